"""The multiplier against float64 (see test_fp32_add for that oracle's own check)."""

import numpy as np

from eftrain_hw.arith import Fp32Multiply


def run(pipeline, a, b):
    inputs = {"a": a.tolist(), "b": b.tolist()}
    return np.array(pipeline(Fp32Multiply(), inputs, ["o"])["o"], np.uint32)


def test_every_corner_and_random_pairs(pipeline, binary32):
    a, b = binary32.pairs(np.random.default_rng(3), 4000)
    expected = binary32.apply(np.multiply, a, b)
    np.testing.assert_array_equal(run(pipeline, a, b), expected)


def test_flush_precedes_rounding_and_special_values(pipeline):
    cases = [
        (0x00FFFFFF, 0x3F000000, 0x00000000),  # exact and subnormal
        (0x00800001, 0x3F7FFFFF, 0x00800000),
        (0x00800000, 0x3F7FFFFF, 0x00000000),  # 2^-126 * (1 - 2^-24) would round up to 2^-126
        (0x80800000, 0x3F7FFFFF, 0x80000000),
        (0x7F7FFFFF, 0x3F800001, 0x7F800000),
        (0x7F800000, 0x80000001, 0x7FC00000),  # infinity times a flushed subnormal
        (0xFF800000, 0x3F800000, 0xFF800000),
        (0x80000000, 0x40000000, 0x80000000),
        (0x3FFFFFFF, 0x3FFFFFFF, 0x407FFFFE),
        (0x3F800001, 0x3FC00000, 0x3FC00002),  # halfway, to even
    ]
    a, b, expected = (np.array(column, np.uint32) for column in zip(*cases))
    np.testing.assert_array_equal(run(pipeline, a, b), expected)
