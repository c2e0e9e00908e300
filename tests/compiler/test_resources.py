"""Block RAMs and DSP slices are counted; LUTs and flip-flops lie near what yosys needs."""

import json
from pathlib import Path

import pytest
from amaranth.back import rtlil
from amaranth.hdl import Module

from eftrain_hw import AcceleratorConfig
from eftrain_hw.array.pe_array import PEArray
from eftrain_hw.compiler.resources import block_rams, resources

# `python scripts/measure_resources.py`
MEASURED = json.loads((Path(__file__).parent / "synthesis.json").read_text())


@pytest.mark.parametrize("name", MEASURED)
def test_agrees_with_yosys(name):
    measured = MEASURED[name]
    used = resources(AcceleratorConfig().replace(**measured["changes"])).to_dict()
    for column in ("lut", "ff", "dsp", "bram"):
        exact = column in ("dsp", "bram")
        expected = pytest.approx(measured[column], rel=0 if exact else 0.1)
        assert used[column] == expected, column


@pytest.mark.parametrize("lut_chains", [0, 1, 4])
def test_slices_of_the_array_are_as_many_as_it_has_less_those_in_luts(lut_chains):
    config = AcceleratorConfig(rows=4, lanes=8, lut_chains=lut_chains)
    m = Module()
    m.submodules.array = PEArray(config, primitives="xilinx7")
    text = rtlil.convert(m, ports=[])
    slices = text.count("cell \\DSP48E1")
    assert slices == 16 - 4 * lut_chains
    assert resources(config).parts["compute engine"].dsp == slices


def test_presets_of_the_boards_fit_their_devices():
    for preset in ("pynq-z2", "pynq-z2-32x16", "pynq-z2-fp32"):
        assert resources(AcceleratorConfig.preset(preset)).missing() == [], preset


@pytest.mark.parametrize(
    ("width", "depth", "blocks"),
    [
        (72, 512, 1), (73, 512, 1.5), (108, 512, 1.5), (109, 512, 2), (32, 512, 0.5),
        (32, 1024, 1), (18, 1024, 0.5), (136, 1024, 4), (8, 64, 0.5), (72, 2048, 4),
    ],
)  # fmt: skip
def test_block_rams(width, depth, blocks):
    assert block_rams(width, depth) == blocks


def test_grows_with_the_configuration():
    base = AcceleratorConfig(drain_lanes=4)
    for change in (
        {"rows": 32},
        {"lanes": 32},
        {"drain_lanes": 8},
        {"ports": 4},
        {"moving_words": 1024},
        {"accumulator_depth": 1024},
    ):
        used, more = resources(base), resources(base.replace(**change))
        assert all(getattr(more, name) >= getattr(used, name) for name in ("lut", "dsp", "bram"))
        assert more.lut + more.bram > used.lut + used.bram, change


def test_says_what_does_not_fit():
    assert resources(AcceleratorConfig()).missing() == []
    missing = resources(AcceleratorConfig(rows=32, lanes=32)).missing()
    assert "dsp: 516 are needed, xc7z020 has 220" in missing
    assert any(line.startswith("DOES NOT FIT. dsp") for line in
               resources(AcceleratorConfig(rows=32, lanes=32)).table())  # fmt: skip
