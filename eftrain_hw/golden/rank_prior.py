"""Gaussian shrinkage prior on the rank slices of tensor-train cores.

Cores lie as weights of convolutions, (m * rank blocks, in blocks, kh, kw, i, o): a rank on the
lanes o of one core, its outputs, is the rank on the lanes i of the next one, its inputs.
"""

import numpy as np

from .arithmetic import fadd, fdiv, fmul, greater, mac
from .reduce import sequential_sum

__all__ = ["prior_gradient", "slice_squares", "surviving", "variances"]


def slice_squares(core, *, blocks, side):
    """Sum of the squares of each rank slice, in the order of memory, from +0.

    Parameters
    ----------
    core : numpy.ndarray
        float32.
    blocks : int
        Blocks of the rank.
    side : str
        "out" (lanes o) or "in" (lanes i).

    Returns
    -------
    numpy.ndarray
        float32 (blocks, lanes).
    """
    squares = fmul(core, core)
    lanes = core.shape[-1]
    if side == "out":
        rows = squares.reshape(-1, blocks, *core.shape[1:])
        rows = np.moveaxis(rows, 1, -2).reshape(-1, blocks, lanes)
    else:
        rows = np.moveaxis(squares, (1, 4), (-2, -1)).reshape(-1, blocks, lanes)
    return sequential_sum(rows)


def variances(outputs, inputs, *, count, shape, scale):
    """The closed-form (MAP) variance of each rank index under an inverse gamma hyperprior.

    lambda = (|slice|^2 + |slice'|^2 + 2 * scale) / (count + 2 * (shape + 1))

    Parameters
    ----------
    outputs, inputs : numpy.ndarray
        `slice_squares` of the two cores that meet.
    count : int
        Elements of both slices of an index.
    shape, scale : float
        Of the inverse gamma distribution.
    """
    total = fadd(fadd(outputs, inputs), np.float32(2 * scale))
    return fmul(total, np.float32(1 / (count + 2 * (shape + 1))))


def surviving(variance, mask, threshold):
    """Which ranks are kept: uint8, those of `mask` not below threshold * the largest variance."""
    kept = mask.astype(bool)
    largest = np.where(kept, variance, np.float32(0)).max(initial=np.float32(0))
    below = greater(fmul(largest, np.float32(threshold)), variance)
    return (kept & ~below).astype(np.uint8)


def prior_gradient(g, core, *, strength, outputs=None, inputs=None):
    """g + strength / lambda * core, of the output rank first, then of the input rank.

    Parameters
    ----------
    g, core : numpy.ndarray
        float32 (m * rank blocks, in blocks, kh, kw, i, o).
    strength : float
    outputs, inputs : numpy.ndarray or None
        Variances (blocks, lanes) of the ranks; None where the rank is 1, at an end of the chain.
    """
    strength = np.float32(strength)
    if outputs is not None:
        factor = fdiv(strength, outputs)
        modes = len(core) // len(factor)
        factor = np.tile(factor, (modes, 1))[:, None, None, None, None]
        g = mac(core, factor, g)
    if inputs is not None:
        g = mac(core, fdiv(strength, inputs)[:, None, None, :, None], g)
    return g
