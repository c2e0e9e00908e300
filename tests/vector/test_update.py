"""SGD with momentum against the golden model, through the vector unit's ports."""

import numpy as np
import pytest

from eftrain_hw.config import AcceleratorConfig
from eftrain_hw.formats import BFP16, format_named
from eftrain_hw.golden import sgd
from eftrain_hw.vector.commands import UPDATE
from eftrain_hw.vector.update import Update

GRADIENT, MOMENTUM, MASTER, COPY, EXPONENTS = (k << 12 for k in range(5))


def parameters(rng, shape):
    values = rng.standard_normal(shape).astype(np.float32)
    return values * np.exp2(rng.integers(-20, 20, shape)).astype(np.float32)


def fields(**changes):
    lines = {
        "gradient": GRADIENT // 64, "momentum": MOMENTUM // 64, "master": MASTER // 64,
        "result": COPY // 64, "result_exponents": EXPONENTS // 64,
    }  # fmt: skip
    return {**lines, **changes}


def prepare(bench, config, vectors):
    arrays = [parameters(bench.rng, (vectors, config.lanes)) for _ in range(3)]
    for address, array in zip((GRADIENT, MOMENTUM, MASTER), arrays):
        bench.store(address, array)
    bench.set("learning_rate", np.float32(0.05))
    bench.set("momentum", np.float32(0.9))
    g, v, w = arrays
    return sgd(w, v, g, lr=0.05, momentum=0.9, format=format_named(config.format))


def same(bench, address, want):
    got = bench.fetch(address, want)
    np.testing.assert_array_equal(got.view(np.uint8), np.ascontiguousarray(want).view(np.uint8))


@pytest.mark.parametrize(
    "lanes, format, copy, stall",
    [
        (4, "bfp8", 1, 0.5),
        (8, "bfp8", 1, 0.0),
        (16, "bfp8", 1, 0.9),
        (8, "bfp8", 0, 0.5),
        (4, "fp32", 0, 0.0),
        (8, "fp32", 1, 0.5),
    ],
)
def test_equals_the_golden_model(make_unit, format, lanes, stall, copy):
    config = AcceleratorConfig(lanes=lanes, format=format, ports=1, drain_lanes=4)
    bench = make_unit(config, seed=lanes, stall=stall)
    w, v, encoded = prepare(bench, config, 7)
    bench.command(UPDATE, **fields(copy=copy, vectors=7))
    bench.finish()
    same(bench, MASTER, w)
    same(bench, MOMENTUM, v)
    if copy:
        same(bench, COPY, encoded.elements)
        if encoded.exponents is not None:
            same(bench, EXPONENTS, encoded.exponents)
    bench.assert_nothing_else_written()


@pytest.mark.parametrize("lanes, stall", [(4, 0.5), (16, 0.0), (8, 0.9)])
def test_low_digits_of_the_copy(make_unit, lanes, stall):
    """Both digits, by two commands; the second one changes nothing else."""
    config = AcceleratorConfig(lanes=lanes, ports=1, drain_lanes=4, bfp16=True)
    bench = make_unit(config, seed=lanes, stall=stall)
    w, v, _ = prepare(bench, config, 7)
    elements, exponents = format_named("bfp16").encode(w)
    high, low = BFP16.digits(elements)

    def script():
        bench.command(UPDATE, **fields(copy=1, vectors=7))
        yield
        same(bench, MASTER, w)
        same(bench, MOMENTUM, v)
        same(bench, COPY, high)
        same(bench, EXPONENTS, exponents)
        bench.assert_nothing_else_written()
        bench.command(UPDATE, **fields(copy=1, low=1, vectors=7, gradient=0, momentum=0))
        yield
        same(bench, COPY, low)
        bench.assert_nothing_else_written()

    bench.play(script())


def test_one_parameter_a_cycle(make_unit):
    config = AcceleratorConfig(lanes=8)
    bench = make_unit(config)
    prepare(bench, config, 40)
    bench.command(UPDATE, **fields(copy=1, vectors=40))
    assert bench.finish() <= 320 + 2 * 14 + 8 + 7 + 12


def test_long_commands_are_split_into_runs(make_unit, monkeypatch):
    monkeypatch.setattr(Update, "CHUNK", 4)
    config = AcceleratorConfig(lanes=4, drain_lanes=4)
    bench = make_unit(config, stall=0.3)
    w, v, encoded = prepare(bench, config, 11)
    bench.command(UPDATE, **fields(copy=1, vectors=11))
    bench.finish()
    same(bench, MASTER, w)
    same(bench, MOMENTUM, v)
    same(bench, COPY, encoded.elements)
    same(bench, EXPONENTS, encoded.exponents)
    bench.assert_nothing_else_written()
