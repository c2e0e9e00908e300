"""Lane folding of the first layer: kernel positions become channels (im2col on the host)."""

import numpy as np

__all__ = ["fold_input", "is_worth_folding"]


def is_worth_folding(channels, kernel, lanes):
    """Whether (channel, kernel row, kernel column) triples fill the lanes better than channels."""
    taps = kernel[0] * kernel[1]
    return taps > 1 and -(-channels * taps // lanes) < -(-channels // lanes) * taps


def fold_input(x, kernel, stride, padding, dilation=(1, 1)):
    """(N, C, H, W) -> (N, C * kh * kw, Ho, Wo): the pixels that each output pixel sees.

    Channel c * kh * kw + kr * kw + kc of the result at (r, c') is channel c of the zero-padded
    input at (r * stride + kr * dilation, c' * stride + kc * dilation), so that the convolution
    becomes 1x1 with the weights reshaped to (O, C * kh * kw, 1, 1).
    """
    (kh, kw), (sh, sw), (ph, pw) = kernel, stride, padding
    padded = np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)))
    span = (dilation[0] * (kh - 1) + 1, dilation[1] * (kw - 1) + 1)
    windows = np.lib.stride_tricks.sliding_window_view(padded, span, axis=(2, 3))
    windows = windows[:, :, ::sh, ::sw, :: dilation[0], :: dilation[1]]  # (N, C, Ho, Wo, kh, kw)
    images, channels, height, width = windows.shape[:4]
    folded = windows.transpose(0, 1, 4, 5, 2, 3)
    return np.ascontiguousarray(folded).reshape(images, channels * kh * kw, height, width)
