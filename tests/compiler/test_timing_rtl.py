"""The model's cycles and traffic agree with the RTL within 2 % on every pass; the RTL takes the
cycles that `rtl_cycles.json` says, but for some that a register on a way more or less makes."""

import importlib.util
import json
from pathlib import Path

import pytest

from eftrain_hw import AcceleratorConfig
from eftrain_hw.compiler.timing import descriptor_time, program_time
from eftrain_hw.runtime.benchmark import Layer, LayerBench
from eftrain_hw.runtime.benchmark.measure import BYTES_PER_CYCLE
from eftrain_hw.runtime.device import open_device
from sim.models.faults import keep_length_untold

LAYERS = {
    "3x3": Layer(in_channels=32, out_channels=48, height=14, width=14, kernel=3, padding=1),
    "stride 2": Layer(
        in_channels=32, out_channels=32, height=19, width=19, kernel=3, stride=2, padding=1
    ),
    "5x5, odd": Layer(
        in_channels=20, out_channels=33, height=13, width=17, kernel=5, padding=2, batch=3
    ),
    "first": Layer(
        in_channels=3, out_channels=32, height=32, width=32, kernel=3, padding=1, first=True
    ),
    "dilated": Layer(
        in_channels=32, out_channels=32, height=17, width=17, kernel=3, stride=2, padding=3,
        dilation=3, batch=4,
    ),
    "depthwise": Layer(
        in_channels=64, out_channels=64, height=14, width=14, kernel=3, padding=1, groups=64,
        batch=4,
    ),
    "transposed": Layer(
        in_channels=32, out_channels=32, height=8, width=8, kernel=4, stride=2, padding=1,
        transposed=True, batch=4,
    ),
    "one image": Layer(
        in_channels=16, out_channels=16, height=28, width=28, kernel=3, padding=1, batch=1
    ),
}  # fmt: skip
BFP16 = {
    "everything": Layer(
        in_channels=16, out_channels=24, height=14, width=14, kernel=3, padding=1, batch=4,
        format="bfp16",
    ),
    "weight gradients, stride": Layer(
        in_channels=24, out_channels=40, height=9, width=9, kernel=5, padding=2, stride=2, batch=4,
        format={"weight_gradient": "bfp16"},
    ),
    "linear": Layer(
        kind="linear", in_channels=128, out_channels=64, batch=16, format="bfp16"
    ),
}  # fmt: skip
CONFIGS = {
    "16x16": AcceleratorConfig(),
    "8x8": AcceleratorConfig.preset("sim-small"),
}


@pytest.mark.rtl
@pytest.mark.parametrize("layer", BFP16)
def test_model_agrees_with_rtl_in_bfp16(layer):
    agree(BFP16[layer], CONFIGS["8x8"].replace(bfp16=True))


@pytest.mark.rtl
@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("layer", LAYERS)
def test_model_agrees_with_rtl(layer, config):
    agree(LAYERS[layer], CONFIGS[config])


def agree(layer, config):
    with LayerBench(layer, config) as bench:
        for which in layer.passes:
            report = bench.run(which)
            descriptors = bench.program.descriptors[which]
            if len(descriptors) > 1:  # the biases of a transposed convolution
                cycles = program_time(config, descriptors)
                assert cycles == pytest.approx(report["rtl_cycles"], rel=0.02), which
                continue
            time = descriptor_time(config, descriptors[0])
            assert time.cycles == pytest.approx(report["rtl_cycles"], rel=0.02), which
            read_and_written = time.dram_beats * config.bus_bytes
            assert read_and_written == pytest.approx(report["dram_bytes"], rel=0.02), which
            assert time.timing.mac_busy == report["mac_busy"], which


@pytest.mark.rtl
@pytest.mark.parametrize("config", CONFIGS)
def test_measured_cycles_are_those_of_the_rtl(config):
    """Some of the entries; after a change of the RTL: scripts/measure_cycles.py --all."""
    root = Path(__file__).parents[2]
    spec = importlib.util.spec_from_file_location("m", root / "scripts" / "measure_cycles.py")
    measure_cycles = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(measure_cycles)
    report = json.loads((Path(__file__).parent / "rtl_cycles.json").read_text())
    entries = [entry for entry in report["entries"] if entry["config"] == config]
    chosen = [entry for entry in entries if "layer" in entry][::15]
    assert len(chosen) == 3
    config = AcceleratorConfig(**report["configs"][config])
    with open_device("sim", config, bytes_per_cycle=BYTES_PER_CYCLE) as device:
        for entry in chosen:
            program = measure_cycles.with_descriptors(
                measure_cycles.entry_program(config, entry),
                measure_cycles.measured_descriptors(entry),
            )
            if not entry.get("told", False):  # measured before the first length could be told
                keep_length_untold(program)
            found = measure_cycles.measure(device, program)
            for which, run in entry["runs"].items():
                run["cycles"] = pytest.approx(run["cycles"], rel=0.01)
                assert found[which] == run, (entry["layer"], which)
