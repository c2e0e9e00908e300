"""Optimizers: gradients to new weights."""

import numpy as np

from eftrain_hw.formats import Blocked

from .arithmetic import fadd, fdiv, fmul, fneg, fsqrt, fsub, greater, mac
from .reduce import sequential_sum

__all__ = ["adam", "clip_factor", "prepare_gradient", "sgd"]

_ONE = np.float32(1)


def prepare_gradient(g, w, *, factor=None, weight_decay=0.0):
    """What an optimizer sees of a gradient.

    Parameters
    ----------
    g, w : numpy.ndarray
        float32 gradient and weights.
    factor : float or None
        From `clip_factor`.
    weight_decay : float
    """
    if factor is not None:
        g = fmul(g, np.float32(factor))
    if weight_decay:
        g = mac(np.float32(weight_decay), w, g)
    return g


def clip_factor(gradients, max_norm):
    """What to multiply gradients by so that their norm is at most `max_norm`.

    Squares are summed for each lane over the vectors of a tensor, the lanes of a tensor in
    ascending order, then the tensors in theirs; every sum starts from +0.

    Parameters
    ----------
    gradients : list of numpy.ndarray
        float32 (..., lanes).
    max_norm : float
    """
    sums = []
    for g in gradients:
        rows = g.reshape(-1, g.shape[-1])
        sums.append(sequential_sum(sequential_sum(fmul(rows, rows))))
    norm = fsqrt(sequential_sum(np.array(sums, np.float32)))
    factor = fdiv(np.float32(max_norm), fadd(norm, np.float32(1e-6)))
    return np.where(greater(factor, _ONE), _ONE, factor)


def sgd(w, v, g, *, lr, momentum, nesterov=False, format=None):
    """v = momentum * v + g, then w = w - lr * v; every operation rounded.

    Parameters
    ----------
    w, v, g : numpy.ndarray
        float32 weights, velocity and gradient of one shape, whose last axis is the lanes if there
        is a `format`.
    lr, momentum : float
        Rounded to binary32.
    nesterov : bool
        w = w - lr * (momentum * v + g) with the new v.
    format : Format or None
        Of the compute copy.

    Returns
    -------
    (w, v, copy)
        New arrays; `copy` is the new weights as Blocked, None without a format.
    """
    _check_shapes(w, v, g)
    momentum = np.float32(momentum)
    v = mac(momentum, v, g)
    w = mac(fneg(np.float32(lr)), mac(momentum, v, g) if nesterov else v, w)
    return w, v, None if format is None else Blocked.encode(format, w)


def adam(w, m, v, g, *, weight1, weight2, root_scale, step_size, eps, format=None):
    """Adam; every operation rounded.

    Parameters
    ----------
    w, m, v, g : numpy.ndarray
        float32 weights, averages of the gradient and of its square, and the gradient.
    weight1, weight2, root_scale, step_size : float
        Of the host, as binary32: 1 - beta1, 1 - beta2, 1 / sqrt(1 - beta2^t), lr / (1 - beta1^t).
    eps : float
    format : Format or None

    Returns
    -------
    (w, m, v, copy)
        As `sgd`.
    """
    _check_shapes(w, m, v, g)
    m = mac(fsub(g, m), np.float32(weight1), m)
    v = mac(mac(g, g, fneg(v)), np.float32(weight2), v)
    denominator = mac(fsqrt(v), np.float32(root_scale), np.float32(eps))
    w = mac(fdiv(m, denominator), fneg(np.float32(step_size)), w)
    return w, m, v, None if format is None else Blocked.encode(format, w)


def _check_shapes(*arrays):
    shapes = [np.shape(array) for array in arrays]
    if len(set(shapes)) > 1:
        raise ValueError(
            "weights, velocity and gradient must have one shape,"
            f" not {', '.join(map(str, shapes))}"
        )
