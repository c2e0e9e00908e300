"""Scaled conversion against rational arithmetic."""

from fractions import Fraction

import numpy as np
import pytest

from eftrain_hw.arith import ScaledToFp32


def expected(value, exponent):
    exact = Fraction(value) * Fraction(2) ** (exponent - 266)
    if abs(exact) < Fraction(1, 1 << 126):
        return 0
    if abs(exact) >= Fraction(2) ** 128:
        return 0xFF800000 if value < 0 else 0x7F800000
    return int(np.float32(float(exact)).view(np.uint32))


@pytest.mark.parametrize("bits", [2, 17, 20, 21, 23])
def test_corners_and_random(pipeline, bits):
    rng = np.random.default_rng(bits)
    top = 1 << (bits - 1)
    corners = {v for k in range(bits) for v in (1 << k, (1 << k) - 1, -(1 << k), 1 - (1 << k))}
    values, exponents = [], []
    for value in sorted(v for v in corners if -top <= v < top):
        edges = [0, 511, 139, 140, 139 - bits, 140 - bits, 141 - bits, 394 - bits, 395 - bits]
        edges += [393, 394, 395, 140 - abs(value).bit_length(), 395 - abs(value).bit_length()]
        values += [value] * len(edges)
        exponents += edges
    values += rng.integers(-top, top, 600).tolist()
    exponents += rng.integers(0, 512, 600).tolist()
    inputs = {"value": values, "exponent": exponents}
    got = pipeline(ScaledToFp32(integer_bits=bits), inputs, ["o"])["o"]
    assert got == [expected(v, e) for v, e in zip(values, exponents)]


def test_two_bits_exhaustive(pipeline):
    values = [v for v in (-2, -1, 0, 1) for _ in range(512)]
    exponents = list(range(512)) * 4
    inputs = {"value": values, "exponent": exponents}
    got = pipeline(ScaledToFp32(integer_bits=2), inputs, ["o"])["o"]
    assert got == [expected(v, e) for v, e in zip(values, exponents)]


@pytest.mark.parametrize(
    ("bits", "error", "message"),
    [
        (1, ValueError, "must be 2 to 23, not 1"),
        (24, ValueError, "must be 2 to 23, not 24"),
        ("20", TypeError, "must be an int, not '20'"),
    ],
)
def test_rejects(rejects, bits, error, message):
    rejects(ScaledToFp32, {"integer_bits": bits}, error, f"ScaledToFp32 integer_bits {message}")
