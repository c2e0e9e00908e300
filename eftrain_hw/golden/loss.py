"""Losses and the gradients of a network's outputs."""

import numpy as np

from eftrain_hw.formats import Blocked

from .arithmetic import fadd, fdiv, flush, fmax, fmul, fneg, fsub, mac
from .elementary import fexp, flog
from .reduce import sequential_sum, store

__all__ = ["class_targets", "cross_entropy", "squared_error"]


def class_targets(label_smoothing, classes):
    """Targets of an image's own class and of each other class, float32."""
    rest = label_smoothing / classes
    return np.float32(1 - label_smoothing + rest), np.float32(rest)


def cross_entropy(logits, labels, *, classes, valid, inv_n, format, label_smoothing=0.0):
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
    label_smoothing : float
        Share of the target that is spread over all classes.

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
    target = np.where(onehot, *class_targets(label_smoothing, classes))
    g = fmul(mac(e, reciprocal[:, None], np.where(target == 0, np.float32(0), -target)), inv_n)

    losses = np.zeros(images, np.float32)
    expected = d[np.arange(valid), labels]
    if label_smoothing:
        expected = sequential_sum(fmul(target, d).T)
    losses[:valid] = fadd(flog(total), fneg(expected))
    loss = np.float32(0)
    for item in losses[:valid]:
        loss = fadd(loss, item)
    gradient = np.zeros((images, blocks * lanes), np.float32)
    gradient[:valid, :classes] = g
    gradient = gradient.reshape(images, blocks, 1, 1, lanes)
    return losses, np.float32(fmul(loss, inv_n)), Blocked.encode(format, gradient)


def squared_error(outputs, targets, *, features, valid, inv_n, format, mask=None):
    """Mean squared error of a batch and the gradient of its outputs.

    Parameters
    ----------
    outputs, targets : numpy.ndarray
        float32 (N, blocks, H, W, lanes), 0 in channels that do not exist.
    features : int
        Outputs of one image that exist.
    valid : int
        Images that count.
    inv_n : float
        1 / valid for the mean, as binary32.
    format : Format
        Of the gradient.
    mask : numpy.ndarray or None
        Where the outputs came out of a ReLU: where they are greater than 0.

    Returns
    -------
    losses, loss, gradient
        As `cross_entropy`.
    """
    inv_n = np.float32(inv_n)
    images = len(outputs)
    d = fsub(outputs, targets)
    d[valid:] = 0
    squares = fmul(d, d).reshape(images, -1, d.shape[-1])
    lanes = sequential_sum(squares.swapaxes(0, 1))
    losses = fmul(sequential_sum(lanes.T), np.float32(1 / features))
    loss = sequential_sum(losses[:valid])
    gradient = fmul(d, fmul(inv_n, np.float32(2 / features)))
    return losses, np.float32(fmul(loss, inv_n)), store(format, gradient, mask=mask)
