"""The model against the RTL's cycles of layers, poolings, losses, updates and steps, as measured.

`python scripts/measure_cycles.py` measures them; `rtl_cycles.json` holds the programs' words too,
so that nothing is compiled or simulated here.
"""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from eftrain_hw import AcceleratorConfig
from eftrain_hw.compiler.timing import Machine, Memory
from eftrain_hw.sequencer.program_format import padded

ROOT = Path(__file__).parents[2]
REPORT = json.loads((Path(__file__).parent / "rtl_cycles.json").read_text())
CONFIGS = {name: AcceleratorConfig(**fields) for name, fields in REPORT["configs"].items()}
SHARE = 0.02  # of the cycles: what the model may be off,
FLOOR = 60  # but so many cycles where they are more: a few beats and turns of short programs
BEYOND, WORST = 0.05, 0.075  # share of the programs that are off by more, and how far
MEDIAN, BYTES = 0.004, 0.01


@pytest.fixture(scope="module")
def measure_cycles():
    spec = importlib.util.spec_from_file_location(
        "measure_cycles", ROOT / "scripts" / "measure_cycles.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def programs(measure_cycles, config_name):
    """(what, measured run, descriptors, told) of every program of a configuration; `told`: the
    RTL was told how long the first descriptor is, what it could not be when most were measured."""
    for entry in REPORT["entries"]:
        if entry["config"] == config_name:
            for name, descriptors in measure_cycles.measured_descriptors(entry).items():
                what = f"{entry.get('layer', 'network')} {name}"
                yield what, entry["runs"][name], descriptors, entry.get("told", False)


@pytest.mark.parametrize("config_name", CONFIGS)
def test_model_agrees_with_measured_cycles(measure_cycles, config_name):
    config, errors, beyond = CONFIGS[config_name], [], []
    for what, run, descriptors, told in programs(measure_cycles, config_name):
        timing = Machine(config, Memory()).run(descriptors, told=told)
        assert run["mac_busy"] in (0, timing.mac_busy), what
        moved = (timing.read_beats + timing.write_beats) * config.bus_bytes
        assert moved == pytest.approx(run["dram_bytes"], rel=BYTES), what
        off = abs(timing.cycles - run["cycles"])
        errors.append(off / run["cycles"])
        if off > max(FLOOR, SHARE * run["cycles"]):
            beyond.append(what)
            assert errors[-1] < WORST, what
    assert len(errors) > 60
    assert np.median(errors) < MEDIAN
    assert len(beyond) <= BEYOND * len(errors), beyond


def test_words_are_those_of_the_programs(measure_cycles):
    text = REPORT["entries"][0]["runs"]["fp"]["words"]
    (descriptor,) = measure_cycles.descriptors_of(text)
    assert measure_cycles.packed(padded(descriptor.words())) == text
    two = padded(descriptor.words()) + padded(descriptor.words(base_line=4))
    assert len(measure_cycles.descriptors_of(measure_cycles.packed(two))) == 2
