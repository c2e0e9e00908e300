"""The adder against float64 and against rational arithmetic."""

from fractions import Fraction

import numpy as np

from eftrain_hw.arith import Fp32Add


def run(pipeline, a, b):
    inputs = {"a": a.tolist(), "b": b.tolist()}
    return np.array(pipeline(Fp32Add(), inputs, ["o"])["o"], np.uint32)


def test_every_corner_and_random_pairs(pipeline, binary32):
    a, b = binary32.pairs(np.random.default_rng(1), 4000)
    expected = binary32.apply(np.add, a, b)
    np.testing.assert_array_equal(run(pipeline, a, b), expected)


def test_signed_zeros_and_flush(pipeline):
    cases = [
        (0x80000000, 0x80000000, 0x80000000),
        (0x80000000, 0x00000000, 0x00000000),
        (0x3F800000, 0xBF800000, 0x00000000),
        (0x80000001, 0x80000001, 0x80000000),
        (0x00000001, 0x80000001, 0x00000000),
        (0x007FFFFF, 0x80800000, 0x80800000),
        (0x00800000, 0x80800001, 0x80000000),  # exact sum below 2^-126: zero of its sign
        (0x7F7FFFFF, 0x73000000, 0x7F800000),  # halfway above the largest finite number
        (0x7F7FFFFF, 0x72FFFFFF, 0x7F7FFFFF),
        (0x7F800000, 0xFF800000, 0x7FC00000),
        (0xFF800000, 0x7F7FFFFF, 0xFF800000),
    ]
    a, b, expected = (np.array(column, np.uint32) for column in zip(*cases))
    np.testing.assert_array_equal(run(pipeline, a, b), expected)


def test_float64_oracle_equals_rational_arithmetic(binary32):
    rng = np.random.default_rng(2)
    a, b = binary32.pairs(rng, 400)
    finite = np.isfinite(binary32.exact(a)) & np.isfinite(binary32.exact(b))
    a, b = a[finite], b[finite]
    for operation, apply in ((np.add, Fraction.__add__), (np.multiply, Fraction.__mul__)):
        got = binary32.apply(operation, a, b)
        for x, y, bits in zip(binary32.exact(a), binary32.exact(b), got):
            exact = apply(Fraction(float(x)), Fraction(float(y)))
            assert int(bits) & 0x7FFFFFFF == round_rational(abs(exact))


def round_rational(exact):
    """Bits of a non-negative rational rounded to nearest even, subnormals flushed."""
    if exact < Fraction(1, 1 << 126):
        return 0
    exponent = exact.numerator.bit_length() - exact.denominator.bit_length()
    if Fraction(2) ** exponent > exact:
        exponent -= 1
    significand = round(exact / Fraction(2) ** (exponent - 23))  # Python rounds half to even
    return min(((exponent + 126) << 23) + significand, 0x7F800000)
