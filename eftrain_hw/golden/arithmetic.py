"""binary32 arithmetic of the machine on NumPy arrays: one IEEE rounding, subnormals flushed."""

import numpy as np

__all__ = [
    "NAN",
    "SMALLEST",
    "fadd",
    "fdiv",
    "flush",
    "fmax",
    "fmul",
    "fneg",
    "fsqrt",
    "fsub",
    "greater",
    "mac",
]

SMALLEST = np.float32(2.0**-126)
"""The smallest normal magnitude."""

NAN = np.uint32(0x7FC00000).view(np.float32)
"""The only NaN that an operation returns."""

_ZERO = np.float32(0)
_EXACT_SMALLEST = 2.0**-126


def flush(values):
    """`values` as float32 with every subnormal replaced by zero of its sign.

    Returns the argument itself where there is nothing to replace.
    """
    values = np.asarray(values, np.float32)
    tiny = (np.abs(values) < SMALLEST) & (values != 0)
    return np.where(tiny, np.copysign(_ZERO, values), values) if tiny.any() else values


def _settle(result, below):
    """Zero where the exact result is `below` the smallest normal, and the canonical NaN."""
    if below.any():
        result = np.where(below, np.copysign(_ZERO, result), result)
    invalid = np.isnan(result)
    if invalid.any():
        result = np.where(invalid, NAN, result)
    return result


def _below(result, exact):
    """Whether the exact value behind a rounded `result` is smaller than 2^-126 in magnitude.

    Only a result of exactly 2^-126 can have come up from below it, so `exact()` (the value in
    float64) is asked for just where one occurs.
    """
    magnitude = np.abs(result)
    if (magnitude == SMALLEST).any():
        return np.abs(exact()) < _EXACT_SMALLEST
    return magnitude < SMALLEST


@np.errstate(all="ignore")
def fadd(a, b):
    """a + b.

    A sum of binary32 numbers below 2^-126 is a multiple of 2^-149 and therefore exact, so its
    magnitude before rounding is its magnitude after it.
    """
    result = np.add(flush(a), flush(b))
    return _settle(result, np.abs(result) < SMALLEST)


def fneg(a):
    """-a: only the sign bit changes."""
    return np.negative(np.asarray(a, np.float32))


def fsub(a, b):
    """a + (-b)."""
    return fadd(a, fneg(b))


@np.errstate(all="ignore")
def fmul(a, b):
    """a * b."""
    a, b = flush(a), flush(b)
    result = np.multiply(a, b)
    # 24 x 24 bits: the product is exact in float64
    return _settle(result, _below(result, lambda: np.multiply(a, b, dtype=np.float64)))


def mac(a, b, c):
    """a * b + c, rounded twice."""
    return fadd(fmul(a, b), c)


@np.errstate(all="ignore")
def fdiv(a, b):
    """a / b."""
    a, b = flush(a), flush(b)
    result = np.divide(a, b)
    # a quotient below 2^-126 is at least 2^-24 of itself away from it: float64 tells them apart
    return _settle(result, _below(result, lambda: np.divide(a, b, dtype=np.float64)))


@np.errstate(all="ignore")
def fsqrt(a):
    """Square root; -0 of -0, NaN of other negative numbers."""
    result = np.sqrt(flush(a))
    return _settle(result, np.zeros(np.shape(result), bool))


def greater(a, b):
    """a > b: false where either is NaN; zeros are equal whatever their sign."""
    with np.errstate(invalid="ignore"):
        return np.greater(flush(a), flush(b))


def fmax(a, b):
    """`b` where b > a, else `a`: the running maximum `a` and its next candidate `b`."""
    return np.where(greater(b, a), flush(b), flush(a))
