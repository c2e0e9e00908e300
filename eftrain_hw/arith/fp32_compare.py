"""Combinational predicates on raw binary32 bits."""

from amaranth.hdl import Cat, Mux, Value

__all__ = ["flush", "greater", "is_positive"]


def greater(a, b):
    """a > b: false where either is NaN; zeros and subnormals of both signs are equal.

    A 31-bit comparison and two levels of logic.
    """
    a, b = _operand(a), _operand(b)
    a_larger, b_larger = a[:31] > b[:31], b[:31] > a[:31]
    nan = _is_nan(a) | _is_nan(b)
    both_zero = ~a[23:31].any() & ~b[23:31].any()
    larger = Mux(a[31], b[31] & b_larger, b[31] | a_larger)
    return larger & ~nan & ~both_zero


def is_positive(a):
    """a > 0: false for NaN, zeros and subnormals."""
    a = _operand(a)
    return ~a[31] & a[23:31].any() & ~_is_nan(a)


def flush(a):
    """`a` with subnormals replaced by zero of their sign."""
    a = _operand(a)
    return Cat(a[:23] & a[23:31].any().replicate(23), a[23:])


def _operand(value):
    value = Value.cast(value)
    if len(value) != 32:
        raise ValueError(f"binary32 operand must be 32 bits wide, not {len(value)!r}")
    return value


def _is_nan(a):
    return a[23:31].all() & a[:23].any()
