"""Divider and square root against float64 and against integers."""

import math

import numpy as np
import pytest

from eftrain_hw.arith import Fp32Divide, Fp32Sqrt

SPECIALS = [0, 0x80000000, 1, 0x800FFFFF, 0x00800000, 0x3F800000, 0xBF800001, 0x3F7FFFFF]
SPECIALS += [0x7F7FFFFF, 0x7F800000, 0xFF800000, 0x7FC00000, 0xFFFFFFFF]


def run(simulate, dut, operands):
    """Results of operations that start as soon as the unit is free; checks the handshake."""
    results = []
    names = ("a", "b")[: len(operands)]

    async def bench(ctx):
        for values in zip(*operands):
            assert not ctx.get(dut.busy)
            for name, value in zip(names, values):
                ctx.set(getattr(dut, name), int(value))
            ctx.set(dut.start, 1)
            await ctx.tick()
            for name in names:  # operands and `start` are ignored while busy
                ctx.set(getattr(dut, name), 0x12345678)
            for cycle in range(1, dut.latency):
                assert ctx.get(dut.busy) and not ctx.get(dut.done)
                ctx.set(dut.start, cycle < dut.latency - 1)
                await ctx.tick()
            assert ctx.get(dut.done)
            results.append(ctx.get(dut.o))
        for _ in range(2):
            ctx.set(dut.start, 0)
            await ctx.tick()
            assert not ctx.get(dut.done) and ctx.get(dut.o) == results[-1]

    simulate(dut, bench, cycles=(dut.latency + 1) * len(operands[0]) + 10)
    return np.array(results, np.uint32)


def test_divide(simulate, binary32):
    rng = np.random.default_rng(5)
    a, b = (grid.ravel() for grid in np.meshgrid(SPECIALS, SPECIALS))
    any_a, any_b = binary32.pairs(rng, 400)
    random = slice(len(binary32.corners) ** 2, None)
    a = np.concatenate([a, any_a[random], [0x00800000, 0x00FFFFFF]]).astype(np.uint32)
    b = np.concatenate([b, any_b[random], [0x3F800001, 0x40000000]]).astype(np.uint32)
    expected = binary32.apply(np.divide, a, b)
    np.testing.assert_array_equal(run(simulate, Fp32Divide(), [a, b]), expected)


@pytest.mark.parametrize("part", [0, 1])
def test_divide_rounds_correctly(simulate, part):
    """Significands over integers, so that no second rounding is involved."""
    rng = np.random.default_rng(6 + part)
    a = rng.integers(1 << 23, 1 << 24, 100)
    b = rng.integers(1 << 23, 1 << 24, 100) if part else (1 << 24) - rng.integers(1, 100, 100)
    bits = [(0x3F800000 | v & 0x7FFFFF).astype(np.uint32) for v in (a, b)]
    for x, y, got in zip(a.tolist(), b.tolist(), run(simulate, Fp32Divide(), bits)):
        scale = 23 if x >= y else 24
        quotient, remainder = divmod(x << scale, y)
        quotient += 2 * remainder > y
        assert int(got) == ((127 + 23 - scale) << 23) + quotient - (1 << 23)


def test_square_root(simulate, binary32):
    rng = np.random.default_rng(7)
    a = np.concatenate([binary32.corners, rng.integers(0, 1 << 31, 300)]).astype(np.uint32)
    expected = binary32.apply(np.sqrt, a)
    np.testing.assert_array_equal(run(simulate, Fp32Sqrt(), [a]), expected)


def test_square_root_rounds_correctly(simulate):
    rng = np.random.default_rng(8)
    roots = rng.integers(1 << 23, 1 << 24, 60)
    near = (roots.astype(object) ** 2 >> 23) + rng.integers(-1, 2, 60)  # next to exact squares
    values = [int(v) for v in near if 1 << 23 <= v < 1 << 25]
    bits = []
    for v in values:
        shift = v.bit_length() - 24
        bits.append(((127 + shift) << 23) + ((v >> shift) & 0x7FFFFF))
    for word, got in zip(bits, run(simulate, Fp32Sqrt(), [np.array(bits, np.uint32)])):
        exponent, significand = word >> 23, word & 0x7FFFFF | 0x800000
        exact = significand << (23 + (exponent - 127) % 2)
        root = math.isqrt(exact)
        root += exact - root * root > root
        assert int(got) == ((127 + (exponent - 127) // 2) << 23) + root - (1 << 23)
