"""PyTorch's parameter shapes to the device's blocked ones and back."""

import numpy as np

__all__ = ["bias_from_device", "bias_to_device", "weight_from_device", "weight_to_device"]


def _matrix_shape(op):
    """(out channels, in channels, kh, kw) of the convolution that the device runs."""
    if op.flattened:
        channels, height, width = op.flattened
        return op.weight_shape[0], channels * height * width, 1, 1
    if op.folded:
        return op.weight_shape[0], int(np.prod(op.weight_shape[1:])), 1, 1
    return op.weight_shape


def weight_to_device(op, weight, lanes):
    """float32 of PyTorch's shape -> (Ob, Ib, kh, kw, lanes i, lanes o), padded with zeros."""
    weight = np.asarray(weight, np.float32)
    if op.flattened:  # features are (c, h, w); the blocks of the device are (cb, h, w, c in block)
        channels, height, width = op.flattened
        blocks = -(-channels // lanes)
        padded = np.zeros((weight.shape[0], blocks * lanes, height, width), np.float32)
        padded[:, :channels] = weight.reshape(-1, channels, height, width)
        maps = padded.reshape(-1, blocks, lanes, height, width).transpose(0, 1, 3, 4, 2)
        weight = maps.reshape(weight.shape[0], -1, 1, 1)
    else:
        weight = weight.reshape(_matrix_shape(op))
    out_channels, in_channels, kh, kw = weight.shape
    out_blocks, in_blocks = -(-out_channels // lanes), -(-in_channels // lanes)
    padded = np.zeros((out_blocks * lanes, in_blocks * lanes, kh, kw), np.float32)
    padded[:out_channels, :in_channels] = weight
    blocked = padded.reshape(out_blocks, lanes, in_blocks, lanes, kh, kw)
    return np.ascontiguousarray(blocked.transpose(0, 2, 4, 5, 3, 1))


def weight_from_device(op, blocked):
    """The inverse of `weight_to_device`."""
    out_blocks, in_blocks, kh, kw, lanes, _ = blocked.shape
    full = blocked.transpose(0, 5, 1, 4, 2, 3).reshape(
        out_blocks * lanes, in_blocks * lanes, kh, kw
    )
    full = full[: op.weight_shape[0]]
    if op.flattened:
        channels, height, width = op.flattened
        blocks = -(-channels // lanes)
        maps = full.reshape(-1, blocks, height, width, lanes).transpose(0, 1, 4, 2, 3)
        maps = maps.reshape(-1, blocks * lanes, height, width)[:, :channels]
        return np.ascontiguousarray(maps).reshape(op.weight_shape)
    shape = _matrix_shape(op)
    return np.ascontiguousarray(full[:, : shape[1]]).reshape(op.weight_shape)


def bias_to_device(bias, lanes):
    """(O,) -> (Ob, lanes), padded with zeros."""
    blocks = -(-len(bias) // lanes)
    padded = np.zeros(blocks * lanes, np.float32)
    padded[: len(bias)] = bias
    return padded.reshape(blocks, lanes)


def bias_from_device(op, blocked):
    """The inverse of `bias_to_device`."""
    return blocked.reshape(-1)[: op.weight_shape[0]].copy()
