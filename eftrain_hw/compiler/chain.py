"""Operations of tensor-train layers: one convolution a core, and the bias of features."""

from dataclasses import dataclass
from math import prod

import numpy as np

from ..formats import blocked_to_weights, weights_to_blocked
from .array_op import ArrayOp

__all__ = ["FeatureBiasOp", "StepView", "TTStepOp"]


@dataclass(frozen=True)
class StepView:
    """Where a step's convolution stores its vectors.

    The convolution makes vectors (image, outer, m, rank block, row, inner), where outer are the
    maps that it takes one after the other as if they were images, and inner the pixels of a row
    (`rows` = 1: of the whole map). They are stored as (image, rank block, outer, row, m, inner), so
    m becomes an axis of pixels: an affine function of the indices. Its strides, in vectors, are
    `strides`.

    Members
    -------
    outer, modes, blocks, rows, inner : int
    """

    outer: int
    modes: int
    blocks: int
    rows: int
    inner: int

    @property
    def pixels(self):
        """Of one rank block."""
        return self.outer * self.rows * self.modes * self.inner

    @property
    def convolution(self):
        """Axes of a vector as the convolution makes it, without the images."""
        return (self.outer, self.modes, self.blocks, self.rows, self.inner)

    @property
    def strides(self):
        """How far apart, in stored vectors, neighbours along each of these axes are."""
        plane = self.rows * self.modes * self.inner
        return (plane, self.inner, self.pixels, self.modes * self.inner, 1)


@dataclass(kw_only=True)
class TTStepOp(ArrayOp):
    """One core of a tensor-train layer: a convolution whose output channels are (m, rank).

    Members
    -------
    core : str
        The parameter is `key`.`core`, such as "0.cores" and "1".
    conv_in : (int, int, int)
        As ArrayOp; there are `view.outer` maps an image.
    view : StepView
    core_shape : tuple
        (r_(k-1), m_k, n_k, r_k), and kh, kw where the core has a kernel.
    reverse : bool
        Cores are contracted from the last to the first: r_k in, r_(k-1) out.
    modes_in_lanes, modes_out_lanes : bool
        n_k is on the lanes of the input (the first step: its rank is 1), m_k on those of the output
        (the last one).
    input_layout : (int, int, bool) or None
        Of the network's input where this is the first operation: channels, pixels, and whether the
        channels are the innermost factor of a feature's number.
    gradient_format : str or None
        What the core's gradient is encoded to; None: it is fp32.
    bound : float
        Its elements start within -bound .. bound.
    """

    core: str
    conv_in: tuple = None
    view: StepView
    core_shape: tuple
    reverse: bool
    modes_in_lanes: bool = False
    modes_out_lanes: bool = False
    input_layout: tuple = None
    gradient_format: str = None
    bound: float = None

    bias = train_bias = transposed = False
    parts, dilation = 1, (1, 1)

    @property
    def weight_name(self):
        return self.core

    @property
    def maps(self):
        return self.view.outer

    @property
    def conv_out(self):
        sides = zip(self.conv_in[1:], self.kernel, self.stride, self.padding, strict=True)
        size = ((n + 2 * p - k) // s + 1 for n, k, s, p in sides)
        return (self.view.modes * self.view.blocks, *size)

    @property
    def interleaved(self):
        """None also where (m, rank block) are stored in this order anyway."""
        view = self.view
        if view.blocks == 1 and view.rows == 1 or view.modes == view.outer == 1:
            return None
        return view

    @property
    def owned(self):
        """Names of its parameters, behind `key`."""
        return (self.core,)

    @property
    def trained_names(self):
        return self.owned if self.train_weight else ()

    @property
    def channels(self):
        """(outputs, inputs) of the convolution that exist."""
        first, m, n, last = self.core_shape[:4]
        inner, outer = (last, first) if self.reverse else (first, last)
        return m * outer, inner * (n if self.modes_in_lanes else 1)

    def macs(self, batch, lanes):
        """Multiplications of one pass on the array: lanes without a channel count too."""
        vectors = prod(self.conv_in[:1]) * prod(self.kernel)
        outputs = prod(self.view.convolution) * lanes
        return batch * outputs * vectors * lanes

    def to_device(self, name, values, lanes):
        """A core as (Ob, Ib, kh, kw, i, o): the convolution's weights, padded with zeros."""
        values = np.asarray(values, np.float32)
        weights = self._as_convolution(values)  # (m, r_out, r_in, kh, kw)
        m, outer, inner, *kernel = weights.shape
        if self.modes_out_lanes:
            return weights_to_blocked(weights.reshape(m * outer, inner, *kernel), lanes)
        padded = np.zeros((m, self.view.blocks * lanes, inner, *kernel), np.float32)
        padded[:, :outer] = weights
        return weights_to_blocked(padded.reshape(-1, inner, *kernel), lanes)

    def from_device(self, name, blocked):
        """The inverse of `to_device`."""
        lanes = blocked.shape[-1]
        outputs, inputs = self.channels
        m = self.core_shape[1]
        if self.modes_out_lanes:
            weights = blocked_to_weights(blocked, outputs, inputs)
        else:
            weights = blocked_to_weights(blocked, m * self.view.blocks * lanes, inputs)
            weights = weights.reshape(m, -1, *weights.shape[1:])[:, : outputs // m]
        return self._from_convolution(weights.reshape(m, -1, *weights.shape[-3:]))

    def _as_convolution(self, core):
        first, m, n, last = core.shape[:4]
        core = core.reshape(first, m, n, last, -1)
        ordered = core.transpose(1, 0, 3, 2, 4) if self.reverse else core.transpose(1, 3, 0, 2, 4)
        outer, inner = ordered.shape[1:3]
        if self.modes_in_lanes:  # the rank of the input is 1
            return ordered.reshape(m, outer, inner * n, *self.kernel)
        return ordered.reshape(m, outer, inner, *self.kernel)

    def _from_convolution(self, weights):
        first, m, n, last = self.core_shape[:4]
        outer, inner = (first, last) if self.reverse else (last, first)
        ordered = weights.reshape(m, outer, inner, n, -1)
        axes = (1, 0, 3, 2, 4) if self.reverse else (2, 0, 3, 1, 4)
        return np.ascontiguousarray(ordered.transpose(axes)).reshape(self.core_shape)


@dataclass
class FeatureBiasOp:
    """y = x + b, where x is fp32: the bias of features that lie on pixels.

    Members
    -------
    key : str
        The parameter is `key`.bias: fp32 (blocks, pixels, lanes) on the device.
    in_shape, out_shape : (int, int, int)
        Of the tensors: blocks, height, width.
    layout : tuple of int
        Device indices of the features: where feature f is in (blocks, pixels, lanes), flat.
    shape : (int, int, int)
        Blocks, pixels (1: one bias for all pixels), lanes.
    format : str
        Of the encoded output.
    bound : float
        As TTStepOp.
    name, x, y, relu, raw, input_gradient, train_bias, dx
        As ConvOp.
    """

    name: str
    x: str
    y: str
    key: str
    in_shape: tuple
    out_shape: tuple
    shape: tuple
    layout: np.ndarray
    format: str
    bound: float
    relu: bool = False
    raw: bool = False
    mask: bool = False
    input_gradient: bool = True
    train_bias: bool = True
    dx: str = None

    owned = ("bias",)

    @property
    def trained_names(self):
        return self.owned if self.train_bias else ()

    def to_device(self, name, values, lanes):
        device = np.zeros(int(np.prod(self.shape)), np.float32)
        device[self.layout] = values
        return device.reshape(self.shape)

    def from_device(self, name, blocked):
        return np.ascontiguousarray(blocked.reshape(-1)[self.layout])
