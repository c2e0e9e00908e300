"""Leaky ReLU, sigmoid and dropout, forward and backward."""

import numpy as np

from .arithmetic import fadd, fdiv, flush, fmul, fneg, fsub, greater
from .elementary import fexp
from .reduce import store

__all__ = [
    "dropout",
    "hash32",
    "layer_seed",
    "leaky_relu_backward",
    "leaky_relu_forward",
    "sigmoid_backward",
    "sigmoid_forward",
]

_ZERO, _ONE = np.float32(0), np.float32(1)


def leaky_relu_forward(x, *, slope, encode=True):
    """x where it is greater than 0, slope * x elsewhere."""
    values = x.decode()
    result = np.where(greater(values, _ZERO), values, fmul(values, np.float32(slope)))
    return store(x.format, result, encode=encode)


def leaky_relu_backward(dy, x, *, slope, mask=None):
    """dy where x is greater than 0, slope * dy elsewhere."""
    gradient = dy.decode()
    scaled = fmul(gradient, np.float32(slope))
    result = np.where(greater(x.decode(), _ZERO), gradient, scaled)
    return store(dy.format, result, mask=mask)


def sigmoid_forward(x, exists, *, encode=True):
    """1 / (1 + exp(-x)), by the exponential of -|x|, which never overflows.

    Parameters
    ----------
    x : Blocked
        (N, blocks, H, W, lanes).
    exists : numpy.ndarray
        Booleans (blocks, lanes); channels that do not exist become +0.
    """
    values = x.decode()
    positive = greater(values, _ZERO)
    e = fexp(np.where(positive, fneg(values), values))
    result = fdiv(np.where(positive, _ONE, e), fadd(e, _ONE))
    return store(x.format, result, mask=exists[:, None, None], encode=encode)


def sigmoid_backward(dy, y, *, mask=None):
    """dy * ((1 - y) * y), from the stored output `y`, Blocked or float32."""
    values = flush(y) if isinstance(y, np.ndarray) else y.decode()
    slope = fmul(fsub(_ONE, values), values)
    return store(dy.format, fmul(dy.decode(), slope), mask=mask)


def hash32(a):
    """A 32-bit integer to a 32-bit integer that looks random (B. Jenkins), elementwise."""
    a = np.atleast_1d(np.asarray(a)).astype(np.uint32)
    a = (a + np.uint32(0x7ED55D16)) + (a << np.uint32(12))
    a = (a ^ np.uint32(0xC761C23C)) ^ (a >> np.uint32(19))
    a = (a + np.uint32(0x165667B1)) + (a << np.uint32(5))
    a = (a + np.uint32(0xD3A2646C)) ^ (a << np.uint32(9))
    a = (a + np.uint32(0xFD7046C5)) + (a << np.uint32(3))
    return (a ^ np.uint32(0xB55A4F09)) ^ (a >> np.uint32(16))


def layer_seed(seed, step, index):
    """The seed of one dropout layer in one step: hash(hash(seed) + step) + index, hashed again.

    Parameters
    ----------
    seed, step, index : int
        Of the training run; of the step; of the layer among the dropout layers.
    """
    value = 0
    for part in (seed, step, index):
        value = int(hash32((value + part) & 0xFFFFFFFF)[0])
    return value


def dropout(x, *, p, seed, mask=None):
    """Forward and, on the gradient with the same seed, backward: x / (1 - p) or +0.

    Element number k of the tensor, in the order of its memory, is kept where
    u_k = (hash(seed + k) >> 8) * 2^-24 is at least p.

    Parameters
    ----------
    x : Blocked
        (N, blocks, H, W, lanes).
    p : float
    seed : int
        Of this layer and step, see `layer_seed`.
    mask : numpy.ndarray or None
        Backward, where the input came out of a ReLU: where it is greater than 0.
    """
    count = x.elements.size
    numbers = np.arange(count, dtype=np.uint32) + np.uint32(seed)
    u = (hash32(numbers) >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-24)
    keep = (u >= np.float32(p)).reshape(x.elements.shape)
    scaled = fmul(x.decode(), np.float32(1 / (1 - p)))
    result = np.where(keep, scaled, _ZERO)
    return store(x.format, result, mask=mask)
