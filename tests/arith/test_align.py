"""Alignment against rational arithmetic."""

from fractions import Fraction

import numpy as np
import pytest

from eftrain_hw.arith import VectorAlign


def expected(elements, exponents):
    largest = max(exponents)
    aligned = [
        round(Fraction(m, 1 << (largest - e))) if largest - e < 8 else 0
        for m, e in zip(elements, exponents)
    ]
    return aligned, largest


def check(pipeline, lanes, elements, exponents):
    dut = VectorAlign(lanes=lanes)
    inputs = {"elements": elements, "exponents": exponents}
    got = pipeline(dut, inputs, ["o_elements", "o_exponent"])
    for k, (vector, scales) in enumerate(zip(elements, exponents)):
        assert (got["o_elements"][k], got["o_exponent"][k]) == expected(vector, scales)


def test_every_mantissa_and_distance(pipeline):
    """Lane 0 sets the exponent, the others hold every mantissa at distance 0 to 10 and beyond."""
    mantissas = list(range(-127, 128)) + [0]
    elements, exponents = [], []
    for distance in [*range(11), 15, 16, 64, 128, 200]:
        for k in range(0, 256, 3):
            group = (mantissas * 2)[k : k + 3]
            elements.append([1, *group])
            exponents.append([200, *[200 - distance] * 3])
    check(pipeline, 4, elements, exponents)


@pytest.mark.parametrize("lanes", [1, 2, 8, 16, 32])
def test_random_vectors(pipeline, lanes):
    rng = np.random.default_rng(lanes)
    count = 3000 // lanes
    elements = rng.integers(-127, 128, (count, lanes)).tolist()
    base = rng.integers(0, 256, (count, 1))
    spread = rng.integers(0, rng.choice([1, 4, 9, 256], (count, 1)), (count, lanes))
    exponents = np.clip(base - spread, 0, 255).tolist()
    check(pipeline, lanes, elements, exponents)


def digits(elements, exponents):
    """Both digits of an aligned vector of 16 bits, with their exponents."""
    largest = max(exponents)
    aligned = [round(Fraction(m, 1 << (largest - e))) for m, e in zip(elements, exponents)]
    high = [(m + 128) // 256 for m in aligned]
    low = [m - 256 * h if largest >= 8 else 0 for m, h in zip(aligned, high)]
    return (high, largest), (low, max(largest - 8, 0) if largest >= 8 else largest)


@pytest.mark.parametrize("lanes", [1, 4, 16])
def test_16_bits(pipeline, lanes):
    """Wide vectors of either digit between narrow ones, halfway cases, small exponents."""
    rng = np.random.default_rng(lanes)
    count = 12000 // lanes
    high = rng.integers(-127, 128, (count, lanes))
    low = rng.integers(-127, 128, (count, lanes))
    edges = rng.random(low.shape) < 0.3
    low[edges] = rng.choice([-127, -64, -1, 0, 1, 64, 127], low.shape)[edges]
    base = rng.choice([0, 3, 7, 8, 9, 20, 200, 255], (count, 1))
    spread = rng.integers(0, rng.choice([1, 4, 9, 18, 256], (count, 1)), (count, lanes))
    exponents = np.clip(base - spread, 0, 255).tolist()
    wide, digit = rng.integers(0, 2, (2, count))
    low[wide == 0] = 0
    wide, digit = wide.tolist(), digit.tolist()
    inputs = {
        "elements": high.tolist(), "low": low.tolist(), "exponents": exponents,
        "wide": wide, "digit": digit,
    }  # fmt: skip
    dut = VectorAlign(lanes=lanes, element_bits=16)
    got = pipeline(dut, inputs, ["o_elements", "o_exponent"])
    for k in range(count):
        if wide[k]:
            want = digits((256 * high[k] + low[k]).tolist(), exponents[k])[digit[k]]
        else:
            want = expected(high[k].tolist(), exponents[k])
        assert (got["o_elements"][k], got["o_exponent"][k]) == want, k


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"lanes": 3}, ValueError, "lanes must be one of (1, 2, 4, 8, 16, 32, 64), not 3"),
        ({"lanes": "4"}, TypeError, "lanes must be an int, not '4'"),
        ({"lanes": 4, "element_bits": 9}, ValueError, "element_bits must be 8 or 16, not 9"),
    ],
)
def test_rejects(rejects, parameters, error, message):
    rejects(VectorAlign, parameters, error, f"VectorAlign {message}")
