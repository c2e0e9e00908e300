"""Max pooling with its index, forward and backward (windows that don't overlap)."""

import numpy as np

from eftrain_hw.formats import Blocked

from .arithmetic import flush, greater
from .dot import align
from .geometry import pair

__all__ = ["NO_INDEX", "maxpool_backward", "maxpool_forward"]

NO_INDEX = 255
"""Index of an output that ReLU has cut off."""


def _pair_of_kernel(kernel):
    kernel = pair("kernel", kernel, least=1)
    if kernel[0] * kernel[1] > NO_INDEX:
        raise ValueError(f"kernel must have at most {NO_INDEX} positions, not {kernel!r}")
    return kernel


def maxpool_forward(x, *, kernel, relu=False):
    """The largest element of each window, per channel; the first one where several are equal.

    The stride is the kernel; rows and columns that don't fill a window are left out. The vectors of
    a bfp8 window are aligned to their largest exponent, which the result keeps.

    Parameters
    ----------
    x : Blocked
        (N, blocks, H, W, lanes).
    kernel : (int, int)
        Height and width of the window, at most 255 positions.
    relu : bool
        Replace what is not > 0 by +0 and its index by 255.

    Returns
    -------
    y : Blocked
        (N, blocks, H // kh, W // kw, lanes).
    index : numpy.ndarray
        uint8, the shape of `y`: row-major position in the window.
    """
    kernel = _pair_of_kernel(kernel)
    images, blocks, height, width, _ = x.elements.shape
    rows, columns = height // kernel[0], width // kernel[1]
    if not (rows and columns):
        raise ValueError(f"kernel must fit into the map of {(height, width)}, not {kernel!r}")

    def windows(array):
        array = array[:, :, : rows * kernel[0], : columns * kernel[1]]
        array = array.reshape(images, blocks, rows, kernel[0], columns, kernel[1], *array.shape[4:])
        array = np.moveaxis(array, (3, 5), (0, 1))
        return array.reshape(-1, *array.shape[2:])  # (position, N, blocks, Ho, Wo, ...)

    exponents = None
    if x.exponents is None:
        values = windows(flush(x.elements))
    else:
        exponents = windows(x.exponents.astype(np.intp))
        values, exponents = align(
            windows(x.elements).astype(np.float32), exponents[..., None], axis=0
        )
        exponents = exponents[0, ..., 0].astype(np.uint8)
    best, index = values[0], np.zeros(values.shape[1:], np.uint8)
    for position, candidate in enumerate(values[1:], 1):
        larger = greater(candidate, best)
        best = np.where(larger, candidate, best)
        index[larger] = position
    if relu:
        cut = ~greater(best, np.float32(0))
        best = np.where(cut, np.float32(0), best)
        index[cut] = NO_INDEX
    return Blocked(x.format, best.astype(x.format.element_dtype), exponents), index


def maxpool_backward(dy, index, *, input_size, kernel):
    """Gradient of a max pooling's input: `dy` where the index says so, +0 elsewhere.

    Parameters
    ----------
    dy : Blocked
        (N, blocks, Ho, Wo, lanes).
    index : numpy.ndarray
        uint8, from `maxpool_forward`.
    input_size : (int, int)
        H and W of the input.
    kernel : (int, int)

    Returns
    -------
    Blocked (N, blocks, H, W, lanes), each vector with the exponent of its `dy`; pixels outside
    every window are zero with exponent 0.
    """
    kernel = _pair_of_kernel(kernel)
    height, width = pair("input_size", input_size, least=1)
    images, blocks, rows, columns, lanes = dy.elements.shape
    if index.shape != dy.elements.shape:
        raise ValueError(f"index must have shape {dy.elements.shape}, not {index.shape}")
    if (height // kernel[0], width // kernel[1]) != (rows, columns):
        raise ValueError(
            f"gradient must be of {(height // kernel[0], width // kernel[1])} pixels,"
            f" not {(rows, columns)}"
        )
    elements = np.zeros((images, blocks, height, width, lanes), dy.elements.dtype)
    exponents = None
    if dy.exponents is not None:
        exponents = np.zeros((images, blocks, height, width), np.uint8)
    for position, (row, column) in enumerate(np.ndindex(*kernel)):
        at = (
            slice(None), slice(None),
            slice(row, rows * kernel[0], kernel[0]), slice(column, columns * kernel[1], kernel[1]),
        )  # fmt: skip
        elements[at] = np.where(index == position, dy.elements, dy.elements.dtype.type(0))
        if exponents is not None:
            exponents[at] = dy.exponents
    return Blocked(dy.format, elements, exponents)
