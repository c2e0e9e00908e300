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


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"lanes": 3}, ValueError, "lanes must be one of (1, 2, 4, 8, 16, 32, 64), not 3"),
        ({"lanes": "4"}, TypeError, "lanes must be an int, not '4'"),
        ({"lanes": 4, "element_bits": 9}, ValueError, "element_bits must be 8, not 9"),
    ],
)
def test_rejects(rejects, parameters, error, message):
    rejects(VectorAlign, parameters, error, f"VectorAlign {message}")
