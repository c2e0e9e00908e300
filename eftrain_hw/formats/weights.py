"""Weights between the usual order and the blocked order of DRAM, `[Ob][Ib][kh][kw][i][o]`."""

import numpy as np

__all__ = ["blocked_to_linear", "blocked_to_weights", "linear_to_blocked", "weights_to_blocked"]


def weights_to_blocked(weights, lanes):
    """float32 (O, I, kh, kw) -> (Ob, Ib, kh, kw, i, o), missing channels filled with zeros."""
    weights = np.asarray(weights, np.float32)
    if weights.ndim != 4:
        raise ValueError(f"weights must be (O, I, kh, kw), not shape {weights.shape}")
    outputs, inputs, *kernel = weights.shape
    out_blocks, in_blocks = -(-outputs // lanes), -(-inputs // lanes)
    padded = np.zeros((out_blocks * lanes, in_blocks * lanes, *kernel), np.float32)
    padded[:outputs, :inputs] = weights
    padded = padded.reshape(out_blocks, lanes, in_blocks, lanes, *kernel)
    return np.ascontiguousarray(padded.transpose(0, 2, 4, 5, 3, 1))


def blocked_to_weights(blocked, out_channels, in_channels):
    """The inverse of `weights_to_blocked`."""
    out_blocks, in_blocks, height, width, lanes, _ = blocked.shape
    _check_channels("out_channels", out_channels, out_blocks * lanes)
    _check_channels("in_channels", in_channels, in_blocks * lanes)
    flat = blocked.transpose(0, 5, 1, 4, 2, 3)
    flat = flat.reshape(out_blocks * lanes, in_blocks * lanes, height, width)
    return np.ascontiguousarray(flat[:out_channels, :in_channels])


def linear_to_blocked(weights, shape, lanes):
    """Weights of a linear layer over a flattened map, as those of a 1x1 convolution.

    Parameters
    ----------
    weights : numpy.ndarray
        float32 (O, C * H * W).
    shape : (int, int, int)
        C, H, W.
    lanes : int

    Returns
    -------
    numpy.ndarray
        float32 (Ob, Cb * H * W, 1, 1, i, o), input blocks in the order (channel block, h, w).
    """
    weights = np.asarray(weights, np.float32)
    channels, height, width = shape
    if weights.ndim != 2 or weights.shape[1] != channels * height * width:
        raise ValueError(
            f"weights must be (O, {channels * height * width}), not shape {weights.shape}"
        )
    # (Ob, Cb, H, W, i, o): a convolution whose kernel is the whole map
    blocked = weights_to_blocked(weights.reshape(-1, *shape), lanes)
    return blocked.reshape(blocked.shape[0], -1, 1, 1, lanes, lanes)


def blocked_to_linear(blocked, shape, out_channels):
    """The inverse of `linear_to_blocked`: (O, C * H * W)."""
    channels, height, width = shape
    out_blocks, in_blocks, lanes = blocked.shape[0], blocked.shape[1], blocked.shape[-1]
    if in_blocks != -(-channels // lanes) * height * width:
        raise ValueError(f"weights must be of a map of {tuple(shape)}, not {in_blocks} blocks")
    kernel = blocked.reshape(out_blocks, -1, height, width, lanes, lanes)
    return blocked_to_weights(kernel, out_channels, channels).reshape(out_channels, -1)


def _check_channels(name, value, most):
    if not 1 <= value <= most:
        raise ValueError(f"{name} must be 1 to {most}, not {value!r}")
