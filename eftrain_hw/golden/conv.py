"""Convolution (and, as its 1x1 case, the linear layer): forward and the gradient of its input."""

import numpy as np

from .arithmetic import flush
from .dot import (
    Operand,
    accumulate,
    align,
    digit_pairs,
    dot_terms,
    in_range,
    scaled_digits,
)
from .geometry import block_parts, output_size, pair, pixel_index, pixel_rows
from .reduce import positive, store

__all__ = ["conv_backward_input", "conv_forward"]


def conv_forward(
    x, w, bias, *, stride=(1, 1), padding=(0, 0), dilation=(1, 1), parts=1, relu=False, mask=None,
    encode=True, format=None,
):  # fmt: skip
    """Forward propagation of a convolution, with bias and ReLU.

    Terms are added in the order (input-channel block, kernel row, kernel column), from the bias on.
    A linear layer over a (C, H, W) map is a 1x1 convolution of the map reshaped to
    (N, blocks * H * W, 1, 1, lanes), see `linear_to_blocked`.

    Parameters
    ----------
    x : Blocked
        Input (N, Ib, H, W, lanes).
    w : Blocked
        Weights (Ob, Ib / parts, kh, kw, i, o).
    bias : numpy.ndarray or None
        float32 (Ob * lanes,).
    stride, padding, dilation : (int, int)
        Vertical and horizontal.
    parts : int
        The blocks of input and output channels in that many equal parts, each by itself.
    relu : bool
        Replace what is not > 0 by +0.
    mask : Blocked or None
        As in `conv_backward_input`, of the shape of the result (for a transposed convolution).
    encode : bool
        Round the result to `format`; otherwise return it as it is.
    format : Format or None
        None: that of `x`.

    Returns
    -------
    Blocked (N, Ob, Ho, Wo, lanes), or a float32 array of that shape where not `encode`.
    """
    if parts > 1:
        outputs = len(w.elements) // parts * w.elements.shape[-1]
        geometry = {"stride": stride, "padding": padding, "dilation": dilation}
        results = [
            conv_forward(x_part, w_part, None if bias is None else bias[at : at + outputs],
                         encode=False, **geometry)
            for x_part, w_part, at in zip(
                block_parts(x, parts, 1), block_parts(w, parts, 0),
                range(0, parts * outputs, outputs), strict=True,
            )
        ]  # fmt: skip
        return _finish(format or x.format, np.concatenate(results, axis=1), relu, mask, encode)
    stride, padding = pair("stride", stride, least=1), pair("padding", padding, least=0)
    dilation = pair("dilation", dilation, least=1)
    lanes = _check(x, w, channels_axis=1, name="input")
    images, _, height, width, _ = x.elements.shape
    out_blocks, in_blocks, *kernel, _, _ = w.elements.shape
    rows, columns = output_size((height, width), kernel, stride, padding, dilation)
    if bias is None:
        bias = np.zeros(out_blocks * lanes, np.float32)
    bias = flush(bias)
    if bias.shape != (out_blocks * lanes,):
        raise ValueError(f"bias must have {out_blocks * lanes} elements, not shape {bias.shape}")

    stationary, moving = Operand.of(w), Operand.of(x)
    products = in_blocks * kernel[0] * kernel[1] * lanes
    quick = in_range(stationary, moving, products, bias)
    mantissas, exponents = stationary.values, stationary.exponents
    if exponents is not None:
        mantissas, exponents = align(mantissas, exponents[..., None], axis=-2)
    matrices = [  # (Ib, kh, kw, Ob, o, i)
        np.ascontiguousarray(digit.transpose(1, 2, 3, 0, 5, 4)).reshape(
            in_blocks, *kernel, out_blocks * lanes, lanes
        )
        for digit in scaled_digits(stationary, mantissas, exponents, quick=quick)
    ]

    taps = [
        (row, column, np.arange(rows) * stride[0] + row * dilation[0] - padding[0],
         np.arange(columns) * stride[1] + column * dilation[1] - padding[1])
        for row in range(kernel[0])
        for column in range(kernel[1])
    ]  # fmt: skip
    pairs = digit_pairs(stationary, moving)
    total = _sum_taps(matrices, moving, pairs, (images, height, width), taps, bias, quick)
    shape = (out_blocks, lanes, images, rows, columns)
    result = np.ascontiguousarray(total.reshape(shape).transpose(2, 0, 3, 4, 1))
    return _finish(format or x.format, result, relu, mask, encode)


def conv_backward_input(
    dy, w, *, input_size, stride=(1, 1), padding=(0, 0), dilation=(1, 1), parts=1, mask=None,
    bias=None, relu=False, encode=True, format=None,
):  # fmt: skip
    """Backward propagation: the gradient of a convolution's input.

    Each stride phase of the input is a dense convolution over the taps that exist for it. Terms are
    added in the order (output-channel block, kernel row, kernel column), from +0 on. It is also the
    forward propagation of a transposed convolution, then from the bias on.

    Parameters
    ----------
    dy : Blocked
        Gradient of the output (N, Ob, Ho, Wo, lanes).
    w : Blocked
        Weights (Ob, Ib / parts, kh, kw, i, o).
    input_size : (int, int)
        H and W of the input.
    stride, padding, dilation, parts
        Of the forward convolution.
    mask : Blocked or None
        The stored input (N, Ib, H, W, lanes) if it came out of a ReLU: the gradient is +0 where it
        is not > 0 (in bfp16: its high digit).
    bias : numpy.ndarray or None
        float32 (Ib * lanes,).
    relu, encode, format
        As in `conv_forward`.

    Returns
    -------
    Blocked (N, Ib, H, W, lanes), or a float32 array of that shape where not `encode`.
    """
    if parts > 1:
        inputs = w.elements.shape[1] * w.elements.shape[-1]
        geometry = {"stride": stride, "padding": padding, "dilation": dilation}
        results = [
            conv_backward_input(dy_part, w_part, input_size=input_size, encode=False,
                                bias=None if bias is None else bias[at : at + inputs], **geometry)
            for dy_part, w_part, at in zip(
                block_parts(dy, parts, 1), block_parts(w, parts, 0),
                range(0, parts * inputs, inputs), strict=True,
            )
        ]  # fmt: skip
        return _finish(format or dy.format, np.concatenate(results, axis=1), relu, mask, encode)
    dilation = pair("dilation", dilation, least=1)
    stride, padding = pair("stride", stride, least=1), pair("padding", padding, least=0)
    size = pair("input_size", input_size, least=1)
    lanes = _check(dy, w, channels_axis=0, name="gradient")
    images, _, rows, columns, _ = dy.elements.shape
    out_blocks, in_blocks, *kernel, _, _ = w.elements.shape
    if output_size(size, kernel, stride, padding, dilation) != (rows, columns):
        raise ValueError(f"gradient must fit an input of {size}, not have {(rows, columns)} pixels")

    stationary, moving = Operand.of(w), Operand.of(dy)
    start = np.zeros(in_blocks * lanes, np.float32) if bias is None else flush(bias)
    if start.shape != (in_blocks * lanes,):
        raise ValueError(f"bias must have {in_blocks * lanes} elements, not shape {start.shape}")
    quick = in_range(stationary, moving, out_blocks * kernel[0] * kernel[1] * lanes, start)
    exponents = stationary.exponents
    if exponents is not None:  # one exponent for each row i: nothing to align
        exponents = exponents[..., None]
    matrices = [  # (Ob, kh, kw, Ib, i, o)
        np.ascontiguousarray(digit.transpose(0, 2, 3, 1, 4, 5)).reshape(
            out_blocks, *kernel, in_blocks * lanes, lanes
        )
        for digit in scaled_digits(stationary, stationary.values, exponents, quick=quick)
    ]
    pairs = digit_pairs(stationary, moving)

    result = np.zeros((images, in_blocks, *size, lanes), np.float32)
    result[...] = (start + np.float32(0)).reshape(in_blocks, 1, 1, lanes)  # one term, +0
    for first_row, first_column in np.ndindex(*stride):
        ih = np.arange((first_row - padding[0]) % stride[0], size[0], stride[0])
        iw = np.arange((first_column - padding[1]) % stride[1], size[1], stride[1])
        taps = [
            (row, column, (ih + padding[0] - row * dilation[0]) // stride[0],
             (iw + padding[1] - column * dilation[1]) // stride[1])
            for row in range(kernel[0]) if row * dilation[0] % stride[0] == first_row
            for column in range(kernel[1]) if column * dilation[1] % stride[1] == first_column
        ]  # fmt: skip
        if not (taps and ih.size and iw.size):
            continue
        total = _sum_taps(matrices, moving, pairs, (images, rows, columns), taps, start, quick)
        shape = (in_blocks, lanes, images, ih.size, iw.size)
        result[:, :, ih[:, None], iw] = total.reshape(shape).transpose(2, 0, 3, 4, 1)
    return _finish(format or dy.format, result, relu, mask, encode)


def _finish(format, result, relu, mask, encode):
    """ReLU or its mask, then rounding to the format."""
    if mask is not None:
        if mask.elements.shape != result.shape:
            raise ValueError(f"mask must have shape {result.shape}, not {mask.elements.shape}")
        mask = positive(mask)
    return store(format, result, relu=relu, mask=mask, encode=encode)


def _check(tensor, w, *, channels_axis, name):
    """The lanes of a tensor and its weights, after checking that they fit together."""
    if tensor.elements.ndim != 5:
        raise ValueError(f"{name} must have 5 axes, not shape {tensor.elements.shape}")
    lanes = tensor.elements.shape[-1]
    if w.elements.ndim != 6 or w.elements.shape[-2:] != (lanes, lanes):
        raise ValueError(f"weights must be (Ob, Ib, kh, kw, {lanes}, {lanes}),"
                         f" not {w.elements.shape}")  # fmt: skip
    if tensor.elements.shape[1] != w.elements.shape[channels_axis]:
        raise ValueError(
            f"{name} must have {w.elements.shape[channels_axis]} channel blocks,"
            f" not {tensor.elements.shape[1]}"
        )
    if (tensor.exponents is None) != (w.exponents is None):
        raise ValueError(f"{name} must be {w.format.name} as the weights, not {tensor.format.name}")
    return lanes


def _sum_taps(matrices, moving, pairs, shape, taps, start, quick):
    """Add the terms of all (block, tap, pair of digits), in that order, to `start`.

    Parameters
    ----------
    matrices : list of numpy.ndarray
        Digits of the stationary vectors (blocks, kh, kw, rows, lanes).
    moving : Operand
        (N, blocks, H, W, lanes).
    pairs : list of (int, int)
    shape : (int, int, int)
        N, H, W of `moving`.
    taps : list of (kernel row, kernel column, rows read, columns read)
    start : numpy.ndarray
        float32 (rows,).

    Returns
    -------
    numpy.ndarray
        float32 (rows, N * result rows * result columns).
    """
    exact_sum = moving.exponents is not None
    exponents = moving.exponents[..., None] if exact_sum else None
    digits = [
        np.ascontiguousarray(pixel_rows(digit).swapaxes(0, 1))
        for digit in scaled_digits(moving, moving.values, exponents, quick=quick)
    ]
    image = np.arange(shape[0])[:, None, None]
    indices = [
        pixel_index(image, row[:, None], column, shape).reshape(-1) for _, _, row, column in taps
    ]
    if exact_sum and quick:
        start = start + np.float32(0)  # +0 for -0, see dot_terms
    total = np.empty((matrices[0].shape[-2], indices[0].size), np.float32)
    total[...] = start[:, None]
    for block in range(matrices[0].shape[0]):
        for (row, column, _, _), index in zip(taps, indices, strict=True):
            vectors = [digit[block].take(index, axis=0).T for digit in digits]
            if not exact_sum:
                vectors = [np.ascontiguousarray(digit) for digit in vectors]
            for left, right in pairs:
                stationary = matrices[left][block, row, column]
                terms = dot_terms(stationary, vectors[right], exact_sum=exact_sum, quick=quick)
                total = accumulate(total, terms, quick=quick)
    return total
