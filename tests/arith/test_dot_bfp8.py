"""The pair of integer dot products, in plain arithmetic and on a model of the slice."""

import numpy as np
import pytest
from amaranth.hdl import Elaboratable, Module, Signal, signed

from eftrain_hw.arith import DotPairBfp8, dsp48e1

FIXED = {
    "ACASCREG": 1, "ADREG": 1, "ALUMODEREG": 0, "AREG": 1, "CARRYINREG": 0, "CARRYINSELREG": 0,
    "CREG": 0, "DREG": 1, "INMODEREG": 0, "MREG": 1, "OPMODEREG": 0, "PREG": 1,
    "A_INPUT": "DIRECT", "B_INPUT": "DIRECT", "USE_DPORT": "TRUE", "USE_MULT": "MULTIPLY",
    "USE_SIMD": "ONE48", "USE_PATTERN_DETECT": "NO_PATDET", "AUTORESET_PATDET": "NO_RESET",
    "SEL_MASK": "MASK", "SEL_PATTERN": "PATTERN",
}  # fmt: skip
FIXED_PINS = {
    "ALUMODE": 0, "INMODE": 0b00100, "CEB1": 1, "CEB2": 1, "CEM": 1, "CEP": 1, "CARRYIN": 0,
    "CARRYINSEL": 0, "RSTA": 0, "RSTB": 0, "RSTC": 0, "RSTD": 0, "RSTM": 0, "RSTP": 0,
    "RSTALLCARRYIN": 0, "RSTALUMODE": 0, "RSTCTRL": 0, "RSTINMODE": 0,
}  # fmt: skip


class SliceModel(Elaboratable):
    """DSP48E1 in the one configuration that is used, after UG479; refuses every other."""

    def __init__(self, kind, **arguments):
        assert kind == "DSP48E1"
        self.pins = {name[2:]: v for name, v in arguments.items() if name[:2] in ("i_", "o_")}
        parameters = {name[2:]: v for name, v in arguments.items() if name[:2] == "p_"}
        self.b_registers = parameters.pop("BREG")
        assert parameters.pop("BCASCREG") == self.b_registers
        assert parameters == FIXED
        for pin, value in FIXED_PINS.items():
            assert self.pins[pin].value == value, pin

    def elaborate(self, platform):
        m = Module()
        pins = self.pins
        a2, d, ad = (Signal(signed(25), name=name) for name in ("a2", "d", "ad"))
        b1, b2 = Signal(signed(18)), Signal(signed(18))
        product, result = Signal(signed(43)), Signal(48)
        with m.If(pins["CEA2"]):
            m.d.sync += a2.eq(pins["A"][:25].as_signed())
        with m.If(pins["CED"]):
            m.d.sync += d.eq(pins["D"].as_signed())
        with m.If(pins["CEAD"]):
            m.d.sync += ad.eq(a2 + d)
        m.d.sync += [
            b1.eq(pins["B"].as_signed()),
            b2.eq(b1 if self.b_registers == 2 else pins["B"].as_signed()),
            product.eq(ad * b2),
        ]
        addend = {0b0110101: pins["C"], 0b0010101: pins["PCIN"]}[pins["OPMODE"].value]
        m.d.sync += result.eq(addend + product)
        m.d.comb += [pins["P"].eq(result), pins["PCOUT"].eq(result)]
        return m


def stimulus(rng, lanes, count):
    """Random loads and swaps; elements are random, or extremes, or all the same."""

    def elements():
        values = rng.integers(-127, 128, (count, lanes))
        extreme = rng.choice([-127, -126, -1, 0, 1, 127], (count, lanes))
        same = np.repeat(rng.choice([-127, -1, 0, 1, 127], (count, 1)), lanes, axis=1)
        kind = np.repeat(rng.integers(0, 3, (count, 1)), lanes, axis=1)
        return np.choose(kind, [values, extreme, same])

    inputs = {name: elements() for name in ("w0", "w1", "x")}
    inputs |= {name: rng.random(count) < 0.5 for name in ("load0", "load1", "swap")}
    return inputs


def reference(inputs):
    """Sums of both rows, cycle by cycle, from the contract of the component."""
    lanes = inputs["x"].shape[1]
    shadow = [np.zeros(lanes, int)] * 2
    active = list(shadow)
    sums = ([], [])
    for k, x in enumerate(inputs["x"]):
        if inputs["swap"][k]:
            active = list(shadow)
        for row in (0, 1):
            sums[row].append(int(active[row] @ x))
            if inputs[f"load{row}"][k]:
                shadow[row] = inputs[f"w{row}"][k]
    return {"o0": sums[0], "o1": sums[1]}


@pytest.fixture(params=["portable", "xilinx7", "LUTs", "xilinx7 and LUTs"])
def options(request, monkeypatch):
    """Constructor arguments by lanes."""
    monkeypatch.setattr(dsp48e1, "Instance", SliceModel)
    if request.param in ("portable", "xilinx7"):
        return lambda lanes: {"primitives": request.param}
    few = request.param != "LUTs"  # one chain less, if there is another
    return lambda lanes: {"primitives": "xilinx7", "lut_chains": max(1, lanes // 4 - few)}


@pytest.mark.parametrize("lanes", [4, 8, 16, 32])
def test_random_loads_swaps_and_vectors(pipeline, options, lanes):
    inputs = stimulus(np.random.default_rng(lanes), lanes, 2400 // lanes + 150)
    got = pipeline(
        DotPairBfp8(lanes=lanes, **options(lanes)),
        {name: values.tolist() for name, values in inputs.items()},
        ["o0", "o1"],
    )
    assert got == reference(inputs)


def test_every_combination_of_corners(pipeline, options):
    """Four equal products reach the limits of the packed fields."""
    corners = np.array([-127, -64, -1, 0, 1, 63, 127])
    w0, w1, x = (grid.ravel() for grid in np.meshgrid(corners, corners, corners))
    inputs = {name: np.repeat(v[:, None], 4, axis=1) for name, v in (("w0", w0), ("w1", w1))}
    # the vector meets the weights that were loaded one cycle earlier
    inputs["x"] = np.repeat(np.roll(x, 1)[:, None], 4, axis=1)
    inputs |= {name: np.ones(len(x), bool) for name in ("load0", "load1", "swap")}
    got = pipeline(
        DotPairBfp8(lanes=4, **options(4)),
        {name: values.tolist() for name, values in inputs.items()},
        ["o0", "o1"],
    )
    assert got == reference(inputs)
    assert {4 * 127 * 127, -4 * 127 * 127} <= set(got["o0"]) & set(got["o1"])


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"lanes": 12}, ValueError, "lanes must be one of (4, 8, 16, 32), not 12"),
        ({"lanes": "16"}, TypeError, "lanes must be an int, not '16'"),
        (
            {"lanes": 16, "primitives": "ice40"},
            ValueError,
            "primitives must be one of ('portable', 'xilinx7'), not 'ice40'",
        ),
        ({"lanes": 16, "lut_chains": 5}, ValueError, "lut_chains must be 0 to 4, not 5"),
        ({"lanes": 16, "lut_chains": -1}, ValueError, "lut_chains must be 0 to 4, not -1"),
        ({"lanes": 16, "lut_chains": True}, TypeError, "lut_chains must be an int, not True"),
    ],
)
def test_rejects(rejects, parameters, error, message):
    rejects(DotPairBfp8, parameters, error, f"DotPairBfp8 {message}")
