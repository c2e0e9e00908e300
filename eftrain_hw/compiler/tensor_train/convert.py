"""Dense matrices to TT-matrices and back, and to smaller ranks.

A TT-matrix is a list of float32 cores G_k[r_(k-1), m_k, n_k, r_k]:

    W[m_1 .. m_d, n_1 .. n_d] = G_1[m_1, n_1] G_2[m_2, n_2] .. G_d[m_d, n_d]

All sums are made in float64; cores are rounded once, at the end.

Reference: I. Oseledets, Tensor-Train Decomposition, SIAM J. Sci. Comput. 33(5), 2011.
"""

from math import prod, sqrt

import numpy as np

__all__ = ["tt_round", "tt_svd", "tt_to_dense"]


def tt_svd(weight, out_shape, in_shape, *, rank=None, tolerance=None):
    """TT-SVD of a dense matrix.

    Parameters
    ----------
    weight : array
        (out_features, in_features), PyTorch's order.
    out_shape, in_shape : tuple of int
        Factors of both.
    rank : int, tuple of int or None
        At most these ranks, r_1 .. r_(d-1).
    tolerance : float or None
        The error in the Frobenius norm, as a share of the norm of `weight`, that smaller ranks may
        make; 0 or more, less than 1. None: no limit but `rank`.

    Returns
    -------
    list of numpy.ndarray
        float32 cores.

    Raises
    ------
    ValueError
        The shapes do not fit, or the limits are none.
    """
    weight = np.asarray(weight, np.float64)
    expected = (prod(out_shape), prod(in_shape))
    if weight.shape != expected:
        raise ValueError(
            f"weight must have shape {expected}, the products of out_shape {tuple(out_shape)} and"
            f" in_shape {tuple(in_shape)}, not {weight.shape}"
        )
    if not np.isfinite(weight).all():
        raise ValueError("weight must be finite everywhere")
    d = len(out_shape)
    if len(in_shape) != d or d < 2:
        raise ValueError(
            f"out_shape and in_shape must have as many factors, two or more, not {d} and"
            f" {len(in_shape)}"
        )
    limits = _limits(rank, d)
    budget = _budget(tolerance, np.linalg.norm(weight), d)
    tensor = weight.reshape(*out_shape, *in_shape)
    axes = [axis for k in range(d) for axis in (k, d + k)]
    rest = tensor.transpose(axes).reshape(1, -1)
    cores = []
    for k in range(d - 1):
        left = len(rest) * out_shape[k] * in_shape[k]
        u, s, v = np.linalg.svd(rest.reshape(left, -1), full_matrices=False)
        keep = _kept(s, limits[k], budget)
        cores.append(u[:, :keep].reshape(-1, out_shape[k], in_shape[k], keep))
        rest = s[:keep, None] * v[:keep]
    cores.append(rest.reshape(-1, out_shape[-1], in_shape[-1], 1))
    return [core.astype(np.float32) for core in cores]


def tt_round(cores, *, rank=None, tolerance=None):
    """The nearest TT-matrix (to within a factor of sqrt(d - 1)) of smaller ranks.

    No dense matrix is formed: QR from the right, then SVD of one core after the other.

    Parameters
    ----------
    cores : list of array
    rank, tolerance
        As `tt_svd`.

    Returns
    -------
    list of numpy.ndarray
    """
    cores = [np.asarray(core, np.float64) for core in cores]
    _check_cores(cores)
    limits = _limits(rank, len(cores))
    for k in range(len(cores) - 1, 0, -1):
        first, m, n, last = cores[k].shape
        q, r = np.linalg.qr(cores[k].reshape(first, -1).T)
        cores[k] = q.T.reshape(-1, m, n, last)
        cores[k - 1] = np.tensordot(cores[k - 1], r.T, 1)
    budget = _budget(tolerance, np.linalg.norm(cores[0]), len(cores))
    for k in range(len(cores) - 1):
        first, m, n, last = cores[k].shape
        u, s, v = np.linalg.svd(cores[k].reshape(-1, last), full_matrices=False)
        keep = _kept(s, limits[k], budget)
        cores[k] = u[:, :keep].reshape(first, m, n, keep)
        cores[k + 1] = np.tensordot(s[:keep, None] * v[:keep], cores[k + 1], 1)
    return [core.astype(np.float32) for core in cores]


def tt_to_dense(cores):
    """The matrix (out_features, in_features) of a TT-matrix, float32."""
    cores = [np.asarray(core, np.float64) for core in cores]
    _check_cores(cores)
    total = np.ones((1, 1, 1))  # (outputs so far, inputs so far, rank)
    for core in cores:
        total = np.einsum("abr,rmns->ambns", total, core)
        outputs, m, inputs, n, rank = total.shape
        total = total.reshape(outputs * m, inputs * n, rank)
    return total[:, :, 0].astype(np.float32)


def _check_cores(cores):
    shapes = [core.shape for core in cores]
    if len(cores) < 2 or any(len(shape) != 4 for shape in shapes):
        raise ValueError(f"cores must be two or more of four axes each, not shapes {shapes}")
    bonds = [1, *(shape[3] for shape in shapes)]
    if bonds[-1] != 1 or [shape[0] for shape in shapes] != bonds[:-1]:
        raise ValueError(
            f"cores must have equal ranks where they meet, and 1 at both ends, not {shapes}"
        )


def _limits(rank, d):
    if rank is None:
        return (None,) * (d - 1)
    ranks = (rank,) * (d - 1) if isinstance(rank, int) else tuple(rank)
    if len(ranks) != d - 1 or min(ranks) < 1:
        raise ValueError(f"rank must be 1 or more, one integer or {d - 1}, not {rank!r}")
    return ranks


def _budget(tolerance, norm, d):
    """The error that each of the d - 1 truncations may make, absolute."""
    if tolerance is None:
        return 0.0
    if not 0 <= tolerance < 1:
        raise ValueError(f"tolerance must be at least 0 and less than 1, not {tolerance!r}")
    return tolerance * norm / sqrt(d - 1)


def _kept(s, limit, budget):
    """How many singular values: as few as the budget allows, at least one."""
    tail = np.sqrt(np.cumsum(s[::-1] ** 2))[::-1]  # error when values from here on are dropped
    negligible = max(budget, np.finfo(np.float64).eps * len(s) * s[0])
    keep = max(1, int((tail > negligible).sum()))
    return keep if limit is None else min(keep, limit)
