"""Tensor-train layers: one convolution a core, whose output channels are (m, rank)."""

import numpy as np

from eftrain_hw.formats import Blocked

from .arithmetic import fadd
from .conv import conv_backward_input, conv_forward
from .reduce import sequential_sum, store
from .weight_gradient import conv_backward_weight

__all__ = [
    "bias_gradient",
    "feature_bias",
    "step_backward_core",
    "step_backward_input",
    "step_forward",
]


def _moved(tensor, move):
    """Apply a function of arrays (..., lanes) to elements and exponents alike."""
    if isinstance(tensor, np.ndarray):
        return move(tensor)
    exponents = tensor.exponents
    if exponents is not None:
        exponents = move(exponents[..., None])[..., 0]
    return Blocked(tensor.format, move(tensor.elements), exponents)


def _stored(result, view, images):
    """Vectors as the convolution makes them, in the order in which they are stored."""

    def move(array):
        axes = array.reshape(images, *view.convolution, array.shape[-1])
        ordered = axes.transpose(0, 3, 1, 4, 2, 5, 6)  # image, rank block, outer, row, m, inner
        return np.ascontiguousarray(ordered).reshape(images, view.blocks, view.pixels, 1, -1)

    return _moved(result, move)


def _loaded(stored, view, size):
    """The inverse, for a gradient that is loaded: (N * outer, m * blocks, *size, lanes)."""

    def move(array):
        images, lanes = array.shape[0], array.shape[-1]
        axes = array.reshape(
            images, view.blocks, view.outer, view.rows, view.modes, view.inner, lanes
        )
        ordered = np.ascontiguousarray(axes.transpose(0, 2, 4, 1, 3, 5, 6))
        return ordered.reshape(images * view.outer, -1, *size, lanes)

    return _moved(stored, move)


def _maps(x, view, conv_in):
    """An input as the maps that the convolution takes it for."""
    return x.reshape(len(x.elements) * view.outer, *conv_in)


def step_forward(x, w, *, view, conv_in, stride, padding, relu=False, encode=True):
    """One core: z[m, r_k, ..] = sum over r_(k-1), n_k of G[r_(k-1), m, n_k, r_k] x[r_(k-1), n_k, ..].

    Parameters
    ----------
    x : Blocked
        (N, blocks, H, W, lanes), of any H and W of as many pixels.
    w : Blocked
        The core as weights of a convolution (m * rank blocks, in blocks, kh, kw, i, o).
    view : StepView
        Where the vectors go.
    conv_in : (int, int, int)
        What the convolution takes a map for: blocks, height, width.
    stride, padding, relu, encode
        As `conv_forward`.

    Returns
    -------
    Blocked (N, blocks, pixels, 1, lanes), or a float32 array of that shape where not `encode`.
    """  # noqa: E501
    images = len(x.elements)
    maps = _maps(x, view, conv_in)
    settings = {"stride": stride, "padding": padding, "relu": relu, "encode": encode}
    return _stored(conv_forward(maps, w, None, **settings), view, images)


def step_backward_input(dy, w, *, view, conv_in, stride, padding, size, mask=None):
    """Gradient of the input of `step_forward`: Blocked (N, in vectors, 1, 1, lanes).

    Parameters
    ----------
    dy : Blocked
        Of the stored output.
    size : (int, int)
        Height and width of the convolution's output.
    mask : Blocked or None
        The stored input, if it came out of a ReLU.
    """
    images = len(dy.elements)
    gradient = _loaded(dy, view, size)
    mask = None if mask is None else _maps(mask, view, conv_in)
    dx = conv_backward_input(
        gradient, w, input_size=conv_in[1:], stride=stride, padding=padding, mask=mask
    )
    return dx.reshape(images, -1, 1, 1)


def step_backward_core(x, dy, *, view, conv_in, kernel, stride, padding, size, split):
    """Gradient of the core: float32, as the weights of `step_forward`."""
    dw, _ = conv_backward_weight(
        _maps(x, view, conv_in), _loaded(dy, view, size), kernel=kernel, stride=stride,
        padding=padding, split=split,
    )  # fmt: skip
    return dw


def feature_bias(z, bias, format, *, relu=False, encode=True):
    """z + bias, then ReLU, then rounding to the format.

    Parameters
    ----------
    z : numpy.ndarray
        float32 (N, blocks, H, W, lanes).
    bias : numpy.ndarray
        float32 (blocks, H * W or 1, lanes).
    """
    images, blocks, height, width, lanes = z.shape
    flat = z.reshape(images, *bias.shape[:1], -1, lanes)
    total = fadd(flat, np.broadcast_to(bias, flat.shape))
    return store(format, total.reshape(z.shape), relu=relu, encode=encode)


def bias_gradient(dy, shape):
    """+0 + dy + dy + ... over images and, where `shape` has one pixel, over pixels."""
    blocks, pixels, lanes = shape
    values = dy.decode().reshape(len(dy.elements), blocks, -1, lanes)
    if pixels == 1:
        values = np.moveaxis(values, 1, 2).reshape(-1, blocks, 1, lanes)
    return sequential_sum(values)
