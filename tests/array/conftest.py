"""Reference arithmetic of one dot product, straight from docs/numerics.md."""

import numpy as np
import pytest

from eftrain_hw.golden.arithmetic import fadd, fmul


def _values(config, elements, exponents):
    """What the lanes of a vector are worth after alignment, exact in float64."""
    if not config.has_exponents:
        return np.asarray(elements, np.float32)
    exponents = np.asarray(exponents, int)
    largest = exponents.max()
    aligned = np.rint(np.ldexp(np.asarray(elements, float), exponents - largest))
    aligned[largest - exponents >= 8] = 0
    return np.ldexp(aligned, largest - 133)


def _digit(elements, low, exponents, digit):
    """What the high or low digits of an aligned vector of 16 bits are worth, exact in float64."""
    exponents = np.asarray(exponents, int)
    largest = exponents.max()
    mantissas = 256.0 * np.asarray(elements, float) + np.asarray(low, float)
    aligned = np.rint(np.ldexp(mantissas, exponents - largest))
    high = np.floor((aligned + 128) / 256)
    if digit:
        return np.ldexp((aligned - 256 * high) * (largest >= 8), largest - 141)
    return np.ldexp(high, largest - 133)


def _terms(config, rows, moving):
    """binary32 terms of stationary `rows` (rows, lanes) with a `moving` vector, by `_values`."""
    if config.has_exponents:
        exact = rows @ moving  # an integer of 20 bits times one power of two
        with np.errstate(over="ignore"):
            return np.where(np.abs(exact) < 2.0**-126, 0.0, exact).astype(np.float32)
    level = fmul(rows, moving).T
    while len(level) > 1:
        level = fadd(level[::2], level[1::2])
    return level[0]


class Reference:
    """Terms and sums of vectors, and random vectors of a configuration."""

    values = staticmethod(_values)
    digit = staticmethod(_digit)
    terms = staticmethod(_terms)
    add = staticmethod(fadd)

    @staticmethod
    def bits(value):
        return int(np.float32(value).view(np.uint32))

    @staticmethod
    def raw(element):
        """An element as the unsigned number in a lane's word."""
        if isinstance(element, np.floating):
            return int(element.view(np.uint32))
        return int(element) & 0xFF

    @staticmethod
    def elements(config, rng, shape):
        if config.has_exponents:
            return rng.integers(-127, 128, shape).astype(np.int8)
        return (rng.standard_normal(shape) * 2.0 ** rng.integers(-6, 7, shape)).astype(np.float32)

    @staticmethod
    def exponents(rng, shape):
        return rng.integers(122, 138, shape).astype(np.uint8)

    @staticmethod
    def constant(config, ones):
        """The moving vector of a `ones` or a `zero` position."""
        if not config.has_exponents:
            return np.full(config.lanes, 1.0 if ones else 0.0, np.float32), None
        element, exponent = (64, 127) if ones else (0, 0)
        return np.full(config.lanes, element, np.int8), np.full(config.lanes, exponent, np.uint8)


@pytest.fixture
def reference():
    return Reference
