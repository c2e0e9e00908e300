"""Where a convolution reads: flat vector indices, with one more vector of zeros for the outside."""

import numpy as np

__all__ = ["block_parts", "ceil_div", "output_size", "pair", "pixel_index", "pixel_rows"]


def block_parts(tensor, parts, axis):
    """A Blocked tensor cut into equal parts along one of its block axes."""
    if tensor.elements.shape[axis] % parts:
        raise ValueError(
            f"parts must divide the {tensor.elements.shape[axis]} blocks, not {parts!r}"
        )
    elements = np.split(tensor.elements, parts, axis)
    exponents = [None] * parts
    if tensor.exponents is not None:
        exponents = np.split(tensor.exponents, parts, axis)
    return [type(tensor)(tensor.format, *pair) for pair in zip(elements, exponents, strict=True)]


def ceil_div(a, b):
    """a / b rounded up."""
    return -(-a // b)


def pair(name, value, *, least):
    """`value` as two ints, (vertical, horizontal); TypeError or ValueError where it isn't."""
    rule = f"{name} must be two integers, {least} or more each, not {value!r}"
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise TypeError(rule)
    if not all(isinstance(item, int | np.integer) for item in value):
        raise TypeError(rule)
    if min(value) < least:
        raise ValueError(rule)
    return int(value[0]), int(value[1])


def output_size(size, kernel, stride, padding, dilation=(1, 1)):
    """(Ho, Wo) of a convolution over a map of `size`; ValueError where a side is empty."""
    result = tuple(
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, k, s, p, d in zip(size, kernel, stride, padding, dilation, strict=True)
    )
    if min(result) < 1:
        raise ValueError(f"kernel must fit into the padded map of {size}, not {kernel!r}")
    return result


def pixel_rows(array):
    """(N, blocks, H, W, ...) -> (N * H * W + 1, blocks, ...), the last row zeros."""
    images, blocks, height, width = array.shape[:4]
    rows = np.zeros((images * height * width + 1, blocks, *array.shape[4:]), array.dtype)
    rows[:-1] = np.moveaxis(array, 1, 3).reshape(-1, blocks, *array.shape[4:])
    return rows


def pixel_index(image, row, column, shape):
    """Row of `pixel_rows` of pixels of a tensor of `shape` (N, H, W); the last one if outside."""
    images, height, width = shape
    inside = (image >= 0) & (image < images)
    inside = inside & (row >= 0) & (row < height) & (column >= 0) & (column < width)
    return np.where(inside, (image * height + row) * width + column, images * height * width)
