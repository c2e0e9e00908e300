"""SGD with momentum."""

import numpy as np

from eftrain_hw.formats import Blocked

from .arithmetic import fneg, mac

__all__ = ["sgd"]


def sgd(w, v, g, *, lr, momentum, format=None):
    """v = momentum * v + g, then w = w - lr * v; every operation rounded.

    Parameters
    ----------
    w, v, g : numpy.ndarray
        float32 weights, velocity and gradient of one shape, whose last axis is the lanes if there
        is a `format`.
    lr, momentum : float
        Rounded to binary32.
    format : Format or None
        Of the compute copy.

    Returns
    -------
    (w, v, copy)
        New arrays; `copy` is the new weights as Blocked, None without a format.
    """
    if not np.shape(w) == np.shape(v) == np.shape(g):
        raise ValueError(
            f"weights, velocity and gradient must have one shape,"
            f" not {np.shape(w)}, {np.shape(v)}, {np.shape(g)}"
        )
    v = mac(np.float32(momentum), v, g)
    w = mac(fneg(np.float32(lr)), v, w)
    return w, v, None if format is None else Blocked.encode(format, w)
