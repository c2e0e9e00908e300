"""Max pooling and its gradient against the golden model, through the vector unit's ports."""

import numpy as np
import pytest

from eftrain_hw.config import AcceleratorConfig
from eftrain_hw.formats import BFP16, Blocked, format_named
from eftrain_hw.golden import maxpool_backward, maxpool_forward
from eftrain_hw.vector.commands import POOL_BACKWARD, POOL_FORWARD

SOURCE, SOURCE_EXPONENTS, RESULT, RESULT_EXPONENTS, INDEX = (k << 13 for k in range(5))
SOURCE_LOW, RESULT_LOW = 5 << 13, 6 << 13


def tensor(rng, config, shape, format=None):
    values = rng.standard_normal((*shape, config.lanes)).astype(np.float32)
    scale = rng.integers(-3, 4, shape) - 12 * (rng.random(shape) < 0.1)
    values *= np.exp2(scale)[..., None].astype(np.float32)
    values[rng.random(values.shape) < 0.2] = 0
    values = np.round(values * 16) / 16 if rng.random() < 0.5 else values  # many equal ones
    return Blocked.encode(format_named(format or config.format), values)


def fields(config, shape, kernel, **more):
    images, blocks, height, width = shape
    return {
        "source": SOURCE // 64, "source_exponents": SOURCE_EXPONENTS // 64,
        "result": RESULT // 64, "result_exponents": RESULT_EXPONENTS // 64,
        "index": INDEX // 64, "planes": images * blocks, "height": height, "width": width,
        "out_height": height // kernel[0], "out_width": width // kernel[1],
        "kernel_height": kernel[0], "kernel_width": kernel[1], **more,
    }  # fmt: skip


def put(bench, tensor):
    bench.store(SOURCE, tensor.elements)
    if tensor.exponents is not None:
        bench.store(SOURCE_EXPONENTS, tensor.exponents)


def check(bench, want):
    got = bench.fetch(RESULT, want.elements)
    np.testing.assert_array_equal(got, want.elements)
    if want.exponents is not None:
        np.testing.assert_array_equal(bench.fetch(RESULT_EXPONENTS, want.exponents), want.exponents)


CASES = [
    ((1, 2, 6, 8), (2, 2)),
    ((2, 1, 7, 5), (2, 2)),
    ((1, 1, 7, 7), (3, 2)),
    ((1, 2, 5, 3), (5, 3)),
    ((3, 1, 2, 6), (1, 3)),
    ((1, 1, 4, 3), (1, 1)),
    ((1, 1, 6, 1), (3, 1)),
    ((1, 1, 9, 2), (3, 2)),
]
CONFIGS = [
    dict(lanes=4, ports=2),
    dict(lanes=8, ports=1),
    dict(lanes=16, ports=2),
    dict(lanes=16, ports=1),
    dict(lanes=8, ports=2, format="fp32"),
    dict(lanes=4, ports=1, format="fp32"),
]
RUNS = [(options, 0.5) for options in CONFIGS] + [(CONFIGS[3], 0.0)]


@pytest.mark.parametrize("options, stall", RUNS, ids=str)
def test_forward(make_unit, options, stall):
    config = AcceleratorConfig(pool_words=128, drain_lanes=4, **options)
    bench = make_unit(config, stall=stall)

    def script():
        for number, (shape, kernel) in enumerate(CASES):
            relu = (number + bool(stall)) % 2
            x = tensor(bench.rng, config, shape)
            put(bench, x)
            bench.command(POOL_FORWARD, **fields(config, shape, kernel, relu=relu))
            yield
            y, index = maxpool_forward(x, kernel=kernel, relu=bool(relu))
            check(bench, y)
            np.testing.assert_array_equal(bench.fetch(INDEX, index), index)
            bench.assert_nothing_else_written()

    bench.play(script())


@pytest.mark.parametrize(
    "options, stall", [(dict(lanes=8, ports=1), 0.5), (dict(lanes=16), 0.0)], ids=str
)
def test_forward_with_low_digits(make_unit, options, stall):
    """Of both digits, and of high ones alone, in turn."""
    config = AcceleratorConfig(pool_words=128, drain_lanes=4, bfp16=True, **options)
    bench = make_unit(config, stall=stall)

    def script():
        for number, (shape, kernel) in enumerate(CASES):
            relu, wide = number % 2, number % 4 != 2
            x = tensor(bench.rng, config, shape, "bfp16")
            high, low = BFP16.digits(x.elements)
            put(bench, Blocked(x.format, high, x.exponents))
            bench.store(SOURCE_LOW, low)
            places = {"source_low": SOURCE_LOW // 64, "result_low": RESULT_LOW // 64}
            bench.command(
                POOL_FORWARD, **fields(config, shape, kernel, relu=relu, wide=wide, **places)
            )
            yield
            x = x if wide else BFP16.high_digits(x)
            y, index = maxpool_forward(x, kernel=kernel, relu=bool(relu))
            digits = BFP16.digits(y.elements) if wide else [y.elements]
            check(bench, Blocked(y.format, digits[0], y.exponents))
            if wide:
                np.testing.assert_array_equal(bench.fetch(RESULT_LOW, digits[1]), digits[1])
            np.testing.assert_array_equal(bench.fetch(INDEX, index), index)
            bench.assert_nothing_else_written()

    bench.play(script())


@pytest.mark.parametrize("options, stall", RUNS, ids=str)
def test_backward(make_unit, options, stall):
    config = AcceleratorConfig(pool_words=128, drain_lanes=4, **options)
    bench = make_unit(config, stall=stall)

    def script():
        for shape, kernel in CASES:
            pooled = (*shape[:2], shape[2] // kernel[0], shape[3] // kernel[1])
            dy = tensor(bench.rng, config, pooled)
            index = bench.rng.integers(0, kernel[0] * kernel[1], dy.elements.shape)
            index = index.astype(np.uint8)
            index[bench.rng.random(index.shape) < 0.2] = 255
            put(bench, dy)
            bench.store(INDEX, index)
            bench.command(POOL_BACKWARD, **fields(config, shape, kernel))
            yield
            check(bench, maxpool_backward(dy, index, input_size=shape[2:], kernel=kernel))
            bench.assert_nothing_else_written()

    bench.play(script())


def test_a_vector_a_cycle(make_unit):
    config = AcceleratorConfig(lanes=16, pool_words=128)
    shape, kernel = (1, 2, 12, 16), (2, 2)
    bench = make_unit(config)
    x = tensor(bench.rng, config, shape)
    put(bench, x)
    bench.command(POOL_FORWARD, **fields(config, shape, kernel))
    assert bench.finish() <= 2 * 12 * 16 + 2 * 16 + 100
    bench = make_unit(config)
    y, index = maxpool_forward(x, kernel=kernel)
    put(bench, y)
    bench.store(INDEX, index)
    bench.command(POOL_BACKWARD, **fields(config, shape, kernel))
    assert bench.finish() <= 2 * 12 * 16 + 8 + 100


def test_commands_follow_each_other(make_unit):
    config = AcceleratorConfig(lanes=8, pool_words=128, drain_lanes=4)
    shape, kernel = (1, 1, 4, 4), (2, 2)
    bench = make_unit(config, stall=0.2)
    x = tensor(bench.rng, config, shape)
    y, index = maxpool_forward(x, kernel=kernel)
    put(bench, x)
    bench.command(POOL_FORWARD, **fields(config, shape, kernel))
    # the gradient of the result itself, which is on its way when the second command starts
    again = {"source": 0x2800 // 64, "source_exponents": 0xA800 // 64, "index": 0xB000 // 64}
    again |= {"result": 0xC000 // 64, "result_exponents": 0xD000 // 64}
    bench.store(0x2800, y.elements)
    bench.store(0xA800, y.exponents)
    bench.store(0xB000, index)
    bench.command(POOL_BACKWARD, **{**fields(config, shape, kernel), **again})
    bench.finish()
    check(bench, y)
    np.testing.assert_array_equal(bench.fetch(INDEX, index), index)
    dx = maxpool_backward(y, index, input_size=shape[2:], kernel=kernel)
    np.testing.assert_array_equal(bench.fetch(0xC000, dx.elements), dx.elements)
    np.testing.assert_array_equal(bench.fetch(0xD000, dx.exponents), dx.exponents)
    bench.assert_nothing_else_written()
