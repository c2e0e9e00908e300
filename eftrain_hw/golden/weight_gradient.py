"""Weight and bias gradient of a convolution: the lanes are strips of the output plane."""

import math

import numpy as np

from .dot import (
    Operand,
    accumulate,
    align,
    digit_pairs,
    dot_terms,
    in_range,
    scaled_digits,
)
from .geometry import block_parts, ceil_div, output_size, pair, pixel_index, pixel_rows

__all__ = ["bias_gradient", "conv_backward_weight"]

_ONE = Operand(None, None, 127, 127)


def conv_backward_weight(
    x, dy, *, kernel, stride=(1, 1), padding=(0, 0), dilation=(1, 1), parts=1, split
):
    """Gradient of a convolution's weights and bias.

    Lane j = (a * B + b) * C + c of pixel group (ig, r, c') holds image ig * A + a, output row
    b * Rs + r and output column c * Cs + c'. Terms are added in the order of the pixel groups.

    Parameters
    ----------
    x : Blocked
        Input of the layer (N, Ib, H, W, lanes).
    dy : Blocked
        Gradient of its output (N, Ob, Ho, Wo, lanes).
    kernel, stride, padding, dilation : (int, int)
        Of the forward convolution.
    parts : int
        The blocks of input and output channels in that many equal parts, each by itself.
    split : (int, int, int)
        A, B, C: powers of two whose product is `lanes`.

    Returns
    -------
    dw : numpy.ndarray
        float32 (Ob, Ib / parts, kh, kw, i, o).
    db : numpy.ndarray
        float32 (Ob * lanes,).
    """
    if parts > 1:
        geometry = {"stride": stride, "padding": padding, "dilation": dilation}
        pairs = zip(block_parts(x, parts, 1), block_parts(dy, parts, 1), strict=True)
        results = [
            conv_backward_weight(*operands, kernel=kernel, split=split, **geometry)
            for operands in pairs
        ]
        return tuple(np.concatenate(arrays) for arrays in zip(*results, strict=True))
    dilation = pair("dilation", dilation, least=1)
    kernel = pair("kernel", kernel, least=1)
    stride, padding = pair("stride", stride, least=1), pair("padding", padding, least=0)
    images, in_blocks, height, width, lanes = x.elements.shape
    out_blocks, rows, columns = dy.elements.shape[1:4]
    expected = output_size((height, width), kernel, stride, padding, dilation)
    if (images, *expected, lanes) != (dy.elements.shape[0], rows, columns, dy.elements.shape[4]):
        raise ValueError(
            f"gradient must have {images} images of {expected} pixels in vectors of {lanes},"
            f" not shape {dy.elements.shape}"
        )
    if (x.exponents is None) != (dy.exponents is None):
        raise ValueError(f"gradient must be {x.format.name} as the input, not {dy.format.name}")
    _check_split(split, lanes)

    stationary, moving = Operand.of(dy), Operand.of(x)
    groups = _pixel_groups(split, (images, rows, columns))
    products = math.prod(groups) * lanes
    exact_sum = moving.exponents is not None
    pairs = digit_pairs(stationary, moving)
    quick = in_range(stationary, moving, products)

    gradients = _Gather(stationary, (images, rows, columns), quick)
    inputs = _Gather(moving, (images, height, width), quick)
    outputs, taps = out_blocks * lanes, kernel[0] * kernel[1] * in_blocks * lanes
    dw = np.zeros((outputs, taps), np.float32)
    limit = 1 << 20 if exact_sum else 1 << 16
    step = max(1, limit // (taps * max(outputs, lanes)))
    for at in range(0, math.prod(groups), step):
        group = np.arange(at, min(at + step, math.prod(groups)))
        image, row, column = _lane_pixels(group, groups, split)
        # (groups, o, lanes)
        left = [digit.swapaxes(1, 2) for digit in gradients(image, row, column)]
        tap_row = np.arange(kernel[0])[:, None] * dilation[0] - padding[0]
        tap_row = row[..., None, None] * stride[0] + tap_row
        tap_column = np.arange(kernel[1]) * dilation[1] - padding[1]
        tap_column = column[..., None, None] * stride[1] + tap_column
        right = inputs(image[..., None, None], tap_row, tap_column)
        right = [digit.reshape(group.size, lanes, taps) for digit in right]
        if not exact_sum:
            left = [np.ascontiguousarray(digit) for digit in left]
        options = {"exact_sum": exact_sum, "quick": quick}
        terms = [dot_terms(left[a], right[b], **options) for a, b in pairs]
        for step_terms in zip(*terms, strict=True):
            for term in step_terms:
                dw = accumulate(dw, term, quick=quick)
    dw = dw.reshape(out_blocks, lanes, *kernel, in_blocks, lanes).transpose(0, 4, 2, 3, 5, 1)
    return np.ascontiguousarray(dw), bias_gradient(dy, split=split).reshape(-1)


def bias_gradient(dy, *, split):
    """Gradient of a layer's biases: the sum over all pixels, in the order of a weight's.

    Parameters
    ----------
    dy : Blocked
        Gradient of the layer's output (N, Ob, Ho, Wo, lanes).
    split : (int, int, int)
        A, B, C as in `conv_backward_weight`.

    Returns
    -------
    numpy.ndarray
        float32 (Ob, lanes).
    """
    images, out_blocks, rows, columns, lanes = dy.elements.shape
    _check_split(split, lanes)
    operand = Operand.of(dy)
    groups = _pixel_groups(split, (images, rows, columns))
    quick = in_range(operand, _ONE, math.prod(groups) * lanes)
    gradients = _Gather(operand, (images, rows, columns), quick)
    options = {"exact_sum": operand.exponents is not None, "quick": quick}
    total = np.zeros((out_blocks * lanes, 1), np.float32)
    ones = np.ones((1, lanes, 1), np.float32)
    step = max(1, (1 << 20) // (lanes * len(total)))
    for at in range(0, math.prod(groups), step):
        group = np.arange(at, min(at + step, math.prod(groups)))
        pixels = _lane_pixels(group, groups, split)
        digits = [np.ascontiguousarray(digit.swapaxes(1, 2)) for digit in gradients(*pixels)]
        terms = [dot_terms(digit, ones, **options) for digit in digits]
        for step_terms in zip(*terms, strict=True):
            for term in step_terms:
                total = accumulate(total, term, quick=quick)
    return total.reshape(out_blocks, lanes)


def _pixel_groups(split, shape):
    """Pixel groups of (images, rows, columns)."""
    return tuple(ceil_div(size, lanes) for size, lanes in zip(shape, split, strict=True))


def _check_split(split, lanes):
    powers = all(isinstance(part, int) and part > 0 and part & (part - 1) == 0 for part in split)
    if len(split) != 3 or not powers or math.prod(split) != lanes:
        raise ValueError(f"split must be three powers of two of product {lanes}, not {split!r}")


def _lane_pixels(group, groups, split):
    """Image, output row and column of every lane of pixel groups, each (group, lanes).

    Rows from b * Rs + Rs on belong to the next strip, and those from Ho on to nobody: they may
    exist all the same in the tensor that is read.
    """
    image_group, row, column = np.unravel_index(group[:, None], groups)
    a, b, c = np.unravel_index(np.arange(math.prod(split)), split)
    return image_group * split[0] + a, b * groups[1] + row, c * groups[2] + column


class _Gather:
    """Reads pixels of an operand, one a lane, aligned over the lanes (axis 1): a list of digits."""

    def __init__(self, operand, shape, quick):
        self._operand, self._shape, self._quick = operand, shape, quick
        self._values = pixel_rows(operand.values)
        self._exponents = None
        if operand.exponents is not None:
            self._exponents = pixel_rows(operand.exponents)

    def __call__(self, image, row, column):
        index = pixel_index(image, row, column, self._shape)
        values = self._values.take(index, axis=0)  # (group, lanes, ..., blocks, lanes)
        if self._exponents is not None:
            exponents = self._exponents.take(index, axis=0)[..., None]
            values, exponents = align(values, exponents, axis=1)
        else:
            exponents = None
        digits = scaled_digits(self._operand, values, exponents, quick=self._quick)
        return [digit.reshape(*digit.shape[:-2], -1) for digit in digits]
