"""Dot products of stationary and moving vectors, in every format.

A tensor is turned into an `Operand` once. `Operand.take` gathers vectors of it, `dot_terms` makes
the binary32 term of every pair of vectors, and `accumulate` adds terms in their order.

In bfp16 a mantissa has two digits, and each digit of an aligned vector is treated as a bfp8 vector.

Bit-exactness at BLAS speed: aligned bfp8 mantissas times their power of two are binary32 numbers,
and every partial sum of up to 32 such products is an integer of at most 20 bits times one common
power of two. Hence a matrix product in float32 is exact in whatever order it adds, unless it leaves
the range of binary32; `in_range` proves from the exponents that it cannot, and that no sum
can be subnormal either, so that nothing needs flushing. Where the proof fails, float64
and `arithmetic` take over.
"""

from dataclasses import dataclass

import numpy as np

from eftrain_hw.formats import BFP16, Blocked

from .arithmetic import fadd, flush, fmul

__all__ = [
    "Operand",
    "accumulate",
    "align",
    "digit_pairs",
    "dot_terms",
    "in_range",
    "scaled_digits",
]

_BIAS = 133
_DIGIT_BITS = 8
_ONE_THREAD = 1 << 18  # products: up to here OpenBLAS works in the calling thread
_SCALE = {np.float64: np.ldexp(1.0, np.arange(256) - _BIAS)}
with np.errstate(all="ignore"):
    _SCALE[np.float32] = _SCALE[np.float64].astype(np.float32)
    _RIGHT_SHIFT = np.ldexp(np.float32(1), -np.arange(256))  # 0 from 2^-150 on


def scale(exponents, dtype=np.float32):
    """2^(E - 133) of bfp8 exponents E."""
    return _SCALE[dtype][exponents]


def scaled_digits(operand, mantissas, exponents, *, quick):
    """What the array multiplies: the digits of aligned mantissas, each times its power of two.

    Parameters
    ----------
    operand : Operand
        Whose mantissas they are.
    mantissas, exponents : numpy.ndarray
        Broadcastable; exponents None in fp32.
    quick : bool
        float32 suffices; else float64, where a power of two may leave binary32.

    Returns
    -------
    list of numpy.ndarray
        The high and the low digits in bfp16, in other formats one array.
    """
    if exponents is None:
        return [mantissas]
    dtype = np.float32 if quick else np.float64
    if operand.digits == 1:
        return [mantissas * scale(exponents, dtype)]
    high = np.floor((mantissas + np.float32(128)) * np.float32(1 / BFP16.DIGIT))
    low = np.where(exponents >= _DIGIT_BITS, mantissas - high * np.float32(BFP16.DIGIT), 0)
    below = np.maximum(exponents, _DIGIT_BITS) - _DIGIT_BITS
    return [high * scale(exponents, dtype), low.astype(np.float32) * scale(below, dtype)]


def digit_pairs(stationary, moving):
    """The (stationary, moving) digits that are multiplied, in the order of their terms.

    Low times low, 2^-16 of the whole at most, is left out.
    """
    pairs = [(0, digit) for digit in range(moving.digits)]
    return pairs + [(digit, 0) for digit in range(1, stationary.digits)]


def align(mantissas, exponents, axis):
    """Align mantissas to the largest exponent along `axis` of both arrays.

    Parameters
    ----------
    mantissas : numpy.ndarray
        float32 integers.
    exponents : numpy.ndarray
        Integers, broadcastable to `mantissas`.

    Returns
    -------
    (mantissas, exponents)
        New arrays; `exponents` has length 1 along `axis`.
    """
    largest = exponents.max(axis=axis, keepdims=True)
    # exact in float32 up to a distance of 16, where every mantissa rounds to 0 already
    aligned = mantissas * _RIGHT_SHIFT[largest - exponents]
    return np.rint(aligned, out=aligned), largest


@dataclass
class Operand:
    """A tensor's vectors, ready for `dot_terms`.

    Members
    -------
    values : numpy.ndarray
        float32: elements of fp32, mantissas of bfp8 and bfp16.
    exponents : numpy.ndarray or None
        intp, not in fp32: the shape of `values` without its last axis.
    low, high : int
        Every value is a multiple of (bfp8, bfp16) or not smaller than (fp32, unless zero) one unit
        of biased exponent `low`, and no exponent is larger than `high`.
    digits : int
        Of 8 bits in a mantissa.
    """

    values: np.ndarray
    exponents: np.ndarray | None
    low: int
    high: int
    digits: int = 1

    @classmethod
    def of(cls, tensor: Blocked):
        """The vectors of `tensor`, in its own shape."""
        if tensor.exponents is None:
            values = flush(tensor.elements)
            fields = (values.view(np.uint32) >> 23) & 0xFF
            low = int(fields.min(initial=255, where=fields != 0))
            return cls(values, None, low, int(fields.max(initial=0)))
        exponents = tensor.exponents.astype(np.intp)
        nonzero = exponents != 0
        low = int(exponents.min(initial=255, where=nonzero))
        if low and not nonzero.all() and tensor.elements[~nonzero].any():
            low = 0
        values = tensor.elements.astype(np.float32)
        digits = tensor.format.element_bits // _DIGIT_BITS
        low = max(0, low - _DIGIT_BITS * (digits - 1))
        return cls(values, exponents, low, int(exponents.max(initial=0)), digits)


def in_range(stationary, moving, products, start=None):
    """Whether binary32 sums of `products` products need neither flushing nor infinities.

    Proof. bfp8: a term is a multiple of 2^(low + low' - 266), and so is every sum of terms, rounded
    or not. fp32: a product is at least 2^(low + low' - 254), so its last place and thereby all that
    is summed from products is a multiple of 2^(low + low' - 277). A multiple of 2^-126 is zero
    or normal. A value is below 2^(high - 126), so `products` of them stay below
    products * 2^(high + high' - 252); rounding adds less than a factor of two.
    """
    low = stationary.low + moving.low
    products = int(products) * len(digit_pairs(stationary, moving))
    if stationary.exponents is None:
        fits = low - 277 >= -126
    else:
        fits = low - 266 >= -126 and min(stationary.low, moving.low) >= 7  # normal when scaled
    largest = stationary.high + moving.high - 252 + int(products).bit_length()
    fits = fits and largest <= 125 and max(stationary.high, moving.high) < 255
    if start is not None and fits:
        magnitude = np.abs(start)
        nonzero = magnitude[magnitude != 0]
        fits = bool((nonzero >= 2.0**-103).all() and (nonzero <= 2.0**125).all())
    return fits


def dot_terms(stationary, moving, *, exact_sum, quick):
    """The binary32 term of every stationary vector with every moving vector.

    Parameters
    ----------
    stationary : numpy.ndarray
        (..., rows, lanes): fp32 elements, or scaled aligned mantissas of bfp8 (float32 where
        `quick`, else float64).
    moving : numpy.ndarray
        (..., lanes, positions), likewise.
    exact_sum : bool
        The products of a vector are summed exactly (bfp8) or by a tree of rounded additions.
    quick : bool
        `in_range` holds. The sign of a zero term is then unspecified for bfp8; it has no effect on
        an accumulator that does not start from -0.

    Returns
    -------
    numpy.ndarray
        float32 (..., rows, positions).
    """
    if not exact_sum:
        return _tree(stationary, moving, quick)
    terms = _matmul(stationary, moving)
    if quick:
        return terms
    with np.errstate(over="ignore"):
        return np.where(np.abs(terms) < 2.0**-126, 0.0, terms).astype(np.float32)


def _matmul(stationary, moving):
    """Matrix product in pieces that OpenBLAS doesn't share out among threads.

    These matrices are small: waking threads for each costs more than it gains, and many times more
    when the processor's cores are busy.
    """
    rows, lanes = stationary.shape[-2:]
    positions = moving.shape[-1]
    step = max(16, _ONE_THREAD // (rows * lanes))
    if step >= positions:
        return np.matmul(stationary, moving)
    dtype = np.result_type(stationary, moving)
    result = np.empty((*stationary.shape[:-1], positions), dtype)
    for at in range(0, positions, step):
        part = slice(at, at + step)
        np.matmul(stationary, moving[..., part], out=result[..., part])
    return result


def _tree(stationary, moving, quick):
    def branch(first, count):
        if count == 1:
            row, column = stationary[..., first, None], moving[..., None, first, :]
            return row * column if quick else fmul(row, column)
        left, right = (branch(first + half, count // 2) for half in (0, count // 2))
        return np.add(left, right, out=left) if quick else fadd(left, right)

    positions = moving.shape[-1]
    pairs = int(np.prod(stationary.shape[:-1]))
    step = max(1, (1 << 16) // pairs)
    if step >= positions:
        return branch(0, stationary.shape[-1])
    parts = (
        _tree(stationary, moving[..., at : at + step], quick) for at in range(0, positions, step)
    )
    return np.concatenate(list(parts), axis=-1)


def accumulate(total, term, *, quick):
    """total + term; in place where `quick`."""
    return np.add(total, term, out=total) if quick else fadd(total, term)
