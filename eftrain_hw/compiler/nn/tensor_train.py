"""Layers whose weights are tensor trains."""

from dataclasses import dataclass
from math import prod

from ..tensor_train.shapes import checked_factors, checked_ranks, core_shapes
from .convolution import MAX_KERNEL, MAX_STRIDE
from .module import Module, count, extent, pair, quiet

__all__ = ["TTConv2d", "TTLinear"]


class _TensorTrain(Module):
    """What both layers share."""

    def _check_train(self, inputs, outputs, kernel=1):
        owner = type(self).__name__
        for name, total in (("in_shape", inputs), ("out_shape", outputs)):
            factors = checked_factors(
                owner, name, getattr(self, name), total, getattr(self, total)
            )
            object.__setattr__(self, name, factors)
        if len(self.in_shape) != len(self.out_shape):
            raise ValueError(
                f"{owner}.in_shape and out_shape must have as many factors, not {self.in_shape}"
                f" and {self.out_shape}"
            )
        ranks = checked_ranks(owner, self.rank, self.out_shape, self.in_shape, kernel)
        object.__setattr__(self, "rank", ranks)
        self._check_requires_grad()

    def core_shapes(self):
        """Shapes of the cores, (r_(k-1), m_k, n_k, r_k)."""
        return core_shapes(self.out_shape, self.in_shape, self.rank)

    def _bias(self, outputs):
        return {"bias": (outputs,)} if self.bias else {}

    def parameters(self):
        shapes = {f"cores.{k}": shape for k, shape in enumerate(self.core_shapes())}
        return shapes | self._bias(prod(self.out_shape))


@dataclass(frozen=True, repr=False)
class TTLinear(_TensorTrain):
    """Fully connected layer whose weight is a TT-matrix.

    W[m_1 .. m_d, n_1 .. n_d] = G_1[m_1, n_1] .. G_d[m_d, n_d]; features are numbered with the first
    factor outermost, as torch.reshape does. Parameters "cores.0" .. and "bias".

    Parameters
    ----------
    in_features, out_features : int
    in_shape, out_shape : tuple of int
        Factors n_k and m_k, as many of one as of the other, two or more.
    rank : int or tuple of int
        r_1 .. r_(d-1), or one for all; at most the exact TT ranks.
    bias : bool
    requires_grad : bool or tuple of str
        Whether the parameters are trained, or which of them.
    """

    in_features: int
    out_features: int
    in_shape: tuple
    out_shape: tuple
    rank: int | tuple = 16
    bias: bool = True
    requires_grad: bool | tuple = quiet(True)

    def __post_init__(self):
        count("TTLinear", "in_features", self.in_features)
        count("TTLinear", "out_features", self.out_features)
        self._check_train("in_features", "out_features")

    def output_shape(self, shape):
        if len(shape) != 1 or shape[0] != self.in_features:
            hint = "; put Flatten before it" if len(shape) == 3 else ""
            raise ValueError(f"input must be ({self.in_features},), not {tuple(shape)}{hint}")
        return (self.out_features,)


@dataclass(frozen=True, repr=False)
class TTConv2d(_TensorTrain):
    """2-D convolution whose weight is a TT-matrix over channels, the kernel in its last core.

    W[o, i, kh, kw] = G_1[m_1, n_1] .. G_d[m_d, n_d, kh, kw], where i has the factor n_1 outermost
    and o the factors m_2 .. m_d, m_1, innermost last. Parameters "cores.0" .. and "bias".

    Parameters
    ----------
    in_channels, out_channels : int
    kernel_size : int or (int, int)
        1 to 11.
    in_shape, out_shape : tuple of int
        Factors of the channels, as TTLinear.
    rank : int or tuple of int
    stride : int or (int, int)
        1 to 4.
    padding : int or (int, int)
        0 or more, less than the kernel.
    bias : bool
    requires_grad : bool or tuple of str
    """

    in_channels: int
    out_channels: int
    kernel_size: int | tuple
    in_shape: tuple
    out_shape: tuple
    rank: int | tuple = 16
    stride: int | tuple = 1
    padding: int | tuple = 0
    bias: bool = True
    requires_grad: bool | tuple = quiet(True)

    def __post_init__(self):
        count("TTConv2d", "in_channels", self.in_channels)
        count("TTConv2d", "out_channels", self.out_channels)
        for name, least, most in (
            ("kernel_size", 1, MAX_KERNEL), ("stride", 1, MAX_STRIDE), ("padding", 0, None),
        ):  # fmt: skip
            value = pair("TTConv2d", name, getattr(self, name), least, most)
            object.__setattr__(self, name, value)
        if any(p >= k for p, k in zip(self.padding, self.kernel_size, strict=True)):
            raise ValueError(
                f"TTConv2d.padding must be less than the kernel {self.kernel_size},"
                f" not {self.padding}"
            )
        self._check_train("in_channels", "out_channels", prod(self.kernel_size))

    def core_shapes(self):
        *cores, last = super().core_shapes()
        return [*cores, (*last, *self.kernel_size)]

    def output_shape(self, shape):
        if len(shape) != 3 or shape[0] != self.in_channels:
            raise ValueError(
                f"input must be ({self.in_channels} channels, height, width), not {tuple(shape)}"
            )
        axes = zip(shape[1:], self.kernel_size, self.stride, self.padding, strict=True)
        sizes = tuple(extent(*axis) for axis in axes)
        if min(sizes) < 1:
            raise ValueError(
                f"kernel {self.kernel_size} must not be larger than the padded input,"
                f" {shape[1] + 2 * self.padding[0]}x{shape[2] + 2 * self.padding[1]}"
            )
        return (self.out_channels, *sizes)
