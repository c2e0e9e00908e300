"""Stochastic rounding with the vector processor's random numbers."""

import numpy as np

from .activation import hash32, layer_seed
from .arithmetic import fadd, fmul, greater, mac

__all__ = ["MASTER_BITS", "MASTER_EXPONENT", "random_numbers", "round_master", "update_seed"]

MASTER_BITS = 16
MASTER_EXPONENT = 1
"""Masters of 16 bits are multiples of 2^(MASTER_EXPONENT - 15), less than 2^MASTER_EXPONENT."""

_ROUND = np.float32(12582912.0)  # 1.5 * 2^23: adding it rounds to an integer
_FIRST_UPDATE = 65536  # seeds of updates start behind those of dropout layers


def update_seed(seed, step, index):
    """The seed of one parameter's update: as a dropout layer's of number 65536 + index."""
    return layer_seed(seed, step, _FIRST_UPDATE + index)


def random_numbers(shape, seed):
    """What the instruction `random` makes, one number an element in the order of memory."""
    count = int(np.prod(shape))
    numbers = np.arange(count, dtype=np.uint32) + np.uint32(seed)
    u = (hash32(numbers) >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-24)
    return u.reshape(shape)


def round_master(w, seed):
    """Round float32 weights to 16-bit integers times a power of two, up or down at random.

    The chance to round up is the distance to the number below, in units of the last place: the
    mean of the result is w, but for the 24 bits of the sum and for the limits of +-32767 units.

    Returns
    -------
    numpy.ndarray
        float32, multiples of 2^(MASTER_EXPONENT - 15).
    """
    scale = np.float32(2.0 ** (MASTER_BITS - 1 - MASTER_EXPONENT))
    limit = np.float32(2 ** (MASTER_BITS - 1) - 1)
    t = fadd(mac(w, scale, random_numbers(w.shape, seed)), np.float32(-0.5))
    q = fadd(fadd(t, _ROUND), -_ROUND)
    q = np.where(greater(q, limit), limit, q)
    q = np.where(greater(-limit, q), -limit, q)
    return fmul(q, np.float32(1 / scale))
