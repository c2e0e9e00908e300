"""Pooling over windows of any stride and padding: maximum and mean, forward and backward."""

import numpy as np

from .arithmetic import fadd, fmul, greater
from .geometry import output_size
from .reduce import store

__all__ = [
    "avgpool_backward",
    "avgpool_forward",
    "window_maxpool_backward",
    "window_maxpool_forward",
]


def _window_slices(size, out, kernel, stride, padding):
    """For each window position, row-major: (position, outputs, inputs), two slices a tensor.

    Only the outputs whose pixel at that position lies inside the map.
    """
    for row in range(kernel[0]):
        for column in range(kernel[1]):
            inside, pixels = [], []
            for at, n, count, s, p in zip((row, column), size, out, stride, padding, strict=True):
                first = max(0, -(-(p - at) // s))
                last = min(count - 1, (n - 1 + p - at) // s)
                inside.append(slice(first, max(first, last + 1)))
                start = first * s + at - p
                pixels.append(slice(start, max(start, last * s + at - p + 1), s))
            if all(part.stop > part.start for part in inside):
                all_vectors = (slice(None), slice(None))
                yield row * kernel[1] + column, (*all_vectors, *inside), (*all_vectors, *pixels)


def window_maxpool_forward(x, *, kernel, stride, padding=(0, 0), relu=False):
    """The largest element of each window, per channel, the first one where several are equal.

    Values are compared and encoded anew as fp32; padding never wins.

    Parameters
    ----------
    x : Blocked
        (N, blocks, H, W, lanes).
    kernel, stride, padding : (int, int)
    relu : bool
        Replace what is not > 0 by +0 (the index stays).

    Returns
    -------
    y : Blocked
        (N, blocks, Ho, Wo, lanes).
    index : numpy.ndarray
        uint8, the shape of `y`: row-major position in the window; 0 where nothing is greater than
        -infinity.
    """
    values = x.decode()
    size = values.shape[2:4]
    out = output_size(size, kernel, stride, padding)
    shape = (*values.shape[:2], *out, values.shape[-1])
    best, index = np.full(shape, -np.inf, np.float32), np.zeros(shape, np.uint8)
    for position, outputs, pixels in _window_slices(size, out, kernel, stride, padding):
        larger = greater(values[pixels], best[outputs])
        best[outputs] = np.where(larger, values[pixels], best[outputs])
        index[outputs] = np.where(larger, np.uint8(position), index[outputs])
    return store(x.format, best, relu=relu), index


def window_maxpool_backward(dy, index, *, input_size, kernel, stride, padding=(0, 0), mask=None):
    """Gradient of the input: the sum of the gradients of the windows that a pixel has won.

    Windows of a pixel are added in ascending order (rows, then columns), from +0 on.

    Parameters
    ----------
    dy : Blocked
        (N, blocks, Ho, Wo, lanes).
    index : numpy.ndarray
        From `window_maxpool_forward`.
    input_size : (int, int)
    mask : numpy.ndarray or None
        Where the input came out of a ReLU: where it is greater than 0.

    Returns
    -------
    Blocked (N, blocks, H, W, lanes).
    """
    gradient = dy.decode()

    def term(position, outputs):
        return np.where(index[outputs] == position, gradient[outputs], np.float32(0))

    return _scatter(dy, term, input_size, kernel, stride, padding, mask)


def _scatter(dy, term, input_size, kernel, stride, padding, mask):
    """Sum of term(position, outputs) over the windows of each pixel."""
    shape = dy.elements.shape
    dx = np.zeros((*shape[:2], *input_size, shape[-1]), np.float32)
    slices = list(_window_slices(input_size, shape[2:4], kernel, stride, padding))
    for position, outputs, pixels in reversed(slices):  # the last position is the first window's
        dx[pixels] = fadd(dx[pixels], term(position, outputs))
    return store(dy.format, dx, mask=mask)


def _factors(size, out, kernel, stride, padding, count_padding):
    """float32 (Ho, Wo, 1): 1 / (elements of the window)."""
    counts = []
    for n, outputs, k, s, p in zip(size, out, kernel, stride, padding, strict=True):
        start = np.arange(outputs) * s - p
        inside = np.minimum(start + k, n) - np.maximum(start, 0)
        counts.append(np.full(outputs, k) if count_padding else inside)
    return (np.float32(1) / np.outer(*counts).astype(np.float32))[..., None]


def avgpool_forward(
    x, *, kernel, stride, padding=(0, 0), count_padding=True, relu=False, encode=True
):
    """The mean of each window: the sum of its elements times 1 / count, in their order.

    Parameters
    ----------
    x : Blocked
        (N, blocks, H, W, lanes).
    kernel, stride, padding : (int, int)
    count_padding : bool
        Whether pixels outside the map count, as zeros.
    relu, encode : bool
        As in `conv_forward`.

    Returns
    -------
    Blocked (N, blocks, Ho, Wo, lanes), or float32 where not `encode`.
    """
    values = x.decode()
    size = values.shape[2:4]
    out = output_size(size, kernel, stride, padding)
    shape = (*values.shape[:2], *out, values.shape[-1])
    total = np.zeros(shape, np.float32)
    factors = _factors(size, out, kernel, stride, padding, count_padding)
    factors = np.broadcast_to(factors, shape)
    for _, outputs, pixels in _window_slices(size, out, kernel, stride, padding):
        total[outputs] = fadd(total[outputs], fmul(values[pixels], factors[outputs]))
    return store(x.format, total, relu=relu, encode=encode)


def avgpool_backward(
    dy, *, input_size, kernel, stride, padding=(0, 0), count_padding=True, mask=None
):
    """Gradient of the input: dy * (1 / count), summed over a pixel's windows in ascending order."""
    out = dy.elements.shape[2:4]
    factors = _factors(input_size, out, kernel, stride, padding, count_padding)
    shares = fmul(dy.decode(), factors)
    return _scatter(dy, lambda _, outputs: shares[outputs], input_size, kernel, stride, padding,
                    mask)  # fmt: skip
