"""PyTorch's parameter shapes to the device's blocked ones and back."""

import numpy as np

from ..formats import blocked_to_linear, blocked_to_weights, linear_to_blocked, weights_to_blocked

__all__ = ["bias_from_device", "bias_to_device", "weight_from_device", "weight_to_device"]


def weight_to_device(op, weight, lanes):
    """float32 of PyTorch's shape -> (Ob, Ib, kh, kw, lanes i, lanes o), padded with zeros."""
    if op.flattened:
        return linear_to_blocked(weight, op.flattened, lanes)
    weight = np.asarray(weight, np.float32)
    if op.folded:
        weight = weight.reshape(len(weight), -1, 1, 1)
    return weights_to_blocked(weight, lanes)


def weight_from_device(op, blocked):
    """The inverse of `weight_to_device`."""
    if op.flattened:
        return blocked_to_linear(blocked, op.flattened, op.weight_shape[0])
    in_channels = np.prod(op.weight_shape[1:]) if op.folded else op.weight_shape[1]
    return blocked_to_weights(blocked, op.weight_shape[0], in_channels).reshape(op.weight_shape)


def bias_to_device(bias, lanes):
    """(O,) -> (Ob, lanes), padded with zeros."""
    padded = np.zeros(-(-len(bias) // lanes) * lanes, np.float32)
    padded[: len(bias)] = bias
    return padded.reshape(-1, lanes)


def bias_from_device(op, blocked):
    """The inverse of `bias_to_device`."""
    return blocked.reshape(-1)[: op.weight_shape[0]].copy()
