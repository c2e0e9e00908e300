"""Sums in the order of the elements, as the vector processor's accumulators make them."""

import numpy as np

from eftrain_hw.formats import BFP16, Blocked

from .arithmetic import SMALLEST, fadd, flush, greater

__all__ = ["by_channel", "positive", "sequential_sum", "store"]

_ROWS = 2048


@np.errstate(all="ignore")
def sequential_sum(terms):
    """+0 + terms[0] + terms[1] + ..., every addition rounded.

    Parameters
    ----------
    terms : numpy.ndarray
        float32 (T, ...).

    Returns
    -------
    numpy.ndarray
        float32 (...).
    """
    terms = flush(terms)
    flat = terms.reshape(len(terms), -1)
    total = np.zeros(flat.shape[1], np.float32)
    small = np.zeros(flat.shape[1], bool)
    for at in range(0, len(flat), _ROWS):
        # `accumulate` adds one row after the other, which `sum` does not promise
        sums = np.add.accumulate(np.concatenate([total[None], flat[at : at + _ROWS]]), axis=0)
        magnitude = np.abs(sums)
        small |= (((magnitude < SMALLEST) & (sums != 0)) | np.isnan(sums)).any(axis=0)
        total = sums[-1]
    if small.any():  # sums that are flushed, or NaN: the long way
        again = np.zeros(int(small.sum()), np.float32)
        for row in flat[:, small]:
            again = fadd(again, row)
        total = total.copy()
        total[small] = again
    return total.reshape(terms.shape[1:])


def by_channel(values):
    """(N, blocks, H, W, lanes) -> (N * H * W, blocks, lanes): images, rows, columns in order."""
    return np.moveaxis(values, 1, 3).reshape(-1, values.shape[1], values.shape[-1])


def positive(tensor):
    """Whether the elements of a Blocked tensor are greater than 0; subnormals and (bfp16) mantissas
    whose high digit is 0 are not."""
    least = {"fp32": SMALLEST, "bfp8": 1, "bfp16": BFP16.DIGIT // 2}
    return tensor.elements >= least[tensor.format.name]


def store(format, values, *, relu=False, mask=None, encode=True):
    """What leaves an operation: ReLU, then the mask of its input, then rounding to the format.

    Parameters
    ----------
    values : numpy.ndarray
        float32 (..., lanes).
    relu : bool
        Replace what is not > 0 by +0.
    mask : numpy.ndarray or None
        Booleans: where False, the result is +0.
    encode : bool
        False: return float32.
    """
    if relu:
        values = np.where(greater(values, np.float32(0)), values, np.float32(0))
    if mask is not None:
        values = np.where(mask, values, np.float32(0))
    return Blocked.encode(format, values) if encode else values
