"""Softmax cross-entropy and its gradient."""

import numpy as np

from eftrain_hw.formats import Blocked

from .arithmetic import fadd, fdiv, flush, fmax, fmul, fneg, fsub, mac
from .elementary import fexp, flog

__all__ = ["cross_entropy"]


def cross_entropy(logits, labels, *, classes, valid, inv_n, format):
    """Mean softmax cross-entropy of a batch and the gradient of its logits.

    Parameters
    ----------
    logits : numpy.ndarray
        float32 (N, blocks, 1, 1, lanes).
    labels : numpy.ndarray
        Integers (N,), below `classes` for the valid images.
    classes : int
        Channels that count; the others get gradient 0.
    valid : int
        Images that count; the others get loss 0 and gradient 0.
    inv_n : float
        What gradients and the loss are multiplied by, as binary32: 1 / valid for the mean.
    format : Format
        Of the gradient.

    Returns
    -------
    losses : numpy.ndarray
        float32 (N,).
    loss : numpy.float32
        Their sum times `inv_n`.
    gradient : Blocked
        (N, blocks, 1, 1, lanes).
    """
    logits = np.asarray(logits, np.float32)
    if logits.ndim != 5 or logits.shape[2:4] != (1, 1):
        raise ValueError(f"logits must be (N, blocks, 1, 1, lanes), not shape {logits.shape}")
    images, blocks, _, _, lanes = logits.shape
    if not 1 <= classes <= blocks * lanes:
        raise ValueError(f"classes must be 1 to {blocks * lanes}, not {classes!r}")
    if not 0 <= valid <= images:
        raise ValueError(f"valid must be 0 to {images}, not {valid!r}")
    labels = np.asarray(labels)
    if labels.shape != (images,):
        raise ValueError(f"labels must have shape {(images,)}, not {labels.shape}")
    labels = labels[:valid]
    if ((labels < 0) | (labels >= classes)).any():
        raise ValueError(f"labels must be 0 to {classes - 1}, not {labels!r}")
    inv_n = np.float32(inv_n)

    z = flush(logits.reshape(images, blocks * lanes)[:valid, :classes])
    largest = z[:, 0]
    for column in z[:, 1:].T:
        largest = fmax(largest, column)
    d = fsub(z, largest[:, None])
    e = fexp(d)
    total = e[:, 0]
    for column in e[:, 1:].T:
        total = fadd(total, column)
    reciprocal = fdiv(np.float32(1), total)
    onehot = np.arange(classes) == labels[:, None]
    minus_onehot = np.where(onehot, np.float32(-1), np.float32(0))
    g = fmul(mac(e, reciprocal[:, None], minus_onehot), inv_n)

    losses = np.zeros(images, np.float32)
    losses[:valid] = fadd(flog(total), fneg(d[np.arange(valid), labels]))
    loss = np.float32(0)
    for item in losses[:valid]:
        loss = fadd(loss, item)
    gradient = np.zeros((images, blocks * lanes), np.float32)
    gradient[:valid, :classes] = g
    gradient = gradient.reshape(images, blocks, 1, 1, lanes)
    return losses, np.float32(fmul(loss, inv_n)), Blocked.encode(format, gradient)
