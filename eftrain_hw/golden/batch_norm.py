"""Batch normalisation: forward in training and inference, backward."""

from dataclasses import dataclass

import numpy as np

from .arithmetic import fadd, fdiv, fmul, fneg, fsqrt, fsub, mac
from .reduce import by_channel, sequential_sum, store

__all__ = [
    "BatchStatistics",
    "batch_norm_backward",
    "batch_norm_forward",
    "batch_norm_inference",
    "batch_statistics",
    "running_statistics",
]

_ONE = np.float32(1)


@dataclass
class BatchStatistics:
    """Of a batch, float32 (blocks, lanes): mean, variance (biased) and 1 / sqrt(variance + eps)."""

    mean: np.ndarray
    var: np.ndarray
    rstd: np.ndarray


def _inverse_count(x, valid):
    """1 / (images * height * width), as its two rounded factors give it."""
    inverse_images = fdiv(_ONE, np.float32(valid))
    pixels = np.prod(x.elements.shape[2:4])
    return fmul(inverse_images, np.float32(1 / pixels))


def _spread(values):
    """(blocks, lanes) -> (blocks, 1, 1, lanes), for all pixels of a tensor."""
    return np.asarray(values, np.float32)[:, None, None]


def batch_statistics(x, *, eps, valid):
    """Statistics of the valid images of a batch.

    Parameters
    ----------
    x : Blocked
        (N, blocks, H, W, lanes).
    eps : float
    valid : int
        Images that count; with their pixels more than one value a channel.

    Returns
    -------
    BatchStatistics
    """
    values = by_channel(x.decode()[:valid])
    if len(values) < 2:
        raise ValueError(
            f"batch normalisation must have more than one value of each channel, not {valid}"
            f" image of {x.elements.shape[2]}x{x.elements.shape[3]}"
        )
    inv_n = _inverse_count(x, valid)
    mean = fmul(sequential_sum(values), inv_n)
    d = fsub(values, mean)
    var = fmul(sequential_sum(fmul(d, d)), inv_n)
    return BatchStatistics(mean, var, _inverse_root(var, eps))


def _inverse_root(var, eps):
    return fdiv(_ONE, fsqrt(fadd(var, np.float32(eps))))


def running_statistics(x, statistics, mean, var, *, momentum, valid):
    """New running mean and (unbiased) variance after a batch `x`."""
    momentum = np.float32(momentum)
    unbiased = fdiv(statistics.var, fsub(_ONE, _inverse_count(x, valid)))
    mean = mac(momentum, fsub(statistics.mean, mean), mean)
    return mean, mac(momentum, fsub(unbiased, var), var)


def batch_norm_forward(x, mean, rstd, gamma, beta, *, relu=False, encode=True):
    """Normalise with given statistics.

    Parameters
    ----------
    x : Blocked
        (N, blocks, H, W, lanes).
    mean, rstd : numpy.ndarray
        float32 (blocks, lanes).
    gamma, beta : numpy.ndarray
        float32 (blocks, lanes); ones and zeros where there are no parameters.
    relu, encode : bool
        As in `conv_forward`.

    Returns
    -------
    y : Blocked, or float32 where not `encode`
    scale : numpy.ndarray
        float32 (blocks, lanes): gamma / sqrt(variance + eps).
    """
    scale = fmul(gamma, rstd)
    shift = mac(fneg(mean), scale, beta)
    y = mac(x.decode(), _spread(scale), _spread(shift))
    return store(x.format, y, relu=relu, encode=encode), scale


def batch_norm_inference(x, mean, var, gamma, beta, *, eps, relu=False, encode=True):
    """Normalise with running statistics."""
    y, _ = batch_norm_forward(
        x, mean, _inverse_root(var, eps), gamma, beta, relu=relu, encode=encode
    )
    return y


def batch_norm_backward(dy, x, mean, rstd, scale, *, valid, mask=None):
    """Gradients of batch normalisation.

    Parameters
    ----------
    dy, x : Blocked
        Gradient of the output, and the input (N, blocks, H, W, lanes).
    mean, rstd, scale : numpy.ndarray
        float32 (blocks, lanes), of the forward pass.
    valid : int
        The other images get gradient +0.
    mask : numpy.ndarray or None
        Where x came out of a ReLU: where it is greater than 0.

    Returns
    -------
    dx : Blocked
    dgamma, dbeta : numpy.ndarray
        float32 (blocks, lanes).
    """
    inv_n = _inverse_count(x, valid)
    gradient, values = dy.decode(), x.decode()
    rows, d = by_channel(gradient[:valid]), fsub(by_channel(values[:valid]), mean)
    sb, sg = sequential_sum(rows), sequential_sum(fmul(rows, d))
    k = fneg(fmul(fmul(fmul(sg, inv_n), rstd), rstd))
    shift = fmul(scale, mac(fneg(mean), k, fneg(fmul(sb, inv_n))))
    dx = mac(mac(values, _spread(k), gradient), _spread(scale), _spread(shift))
    dx[valid:] = 0
    return store(dy.format, dx, mask=mask), fmul(sg, rstd), sb
