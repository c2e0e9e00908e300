"""Layers with weights over channels: convolutions and Linear."""

from dataclasses import dataclass

from .formats import pass_formats
from .module import Module, count, extent, pair, quiet

__all__ = ["MAX_KERNEL", "MAX_STRIDE", "Conv2d", "ConvTranspose2d", "Linear"]

MAX_KERNEL = 11
MAX_STRIDE = 4
MAX_DILATION = 64


class _Convolution(Module):
    """Checks that both directions share."""

    def _check(self):
        owner = type(self).__name__
        object.__setattr__(self, "format", pass_formats(f"{owner}.format", self.format))
        count(owner, "in_channels", self.in_channels)
        count(owner, "out_channels", self.out_channels)
        self._set("kernel_size", 1, MAX_KERNEL)
        self._set("stride", 1, MAX_STRIDE)
        self._set("dilation", 1, MAX_DILATION)
        count(owner, "groups", self.groups)
        for name in ("in_channels", "out_channels"):
            if getattr(self, name) % self.groups:
                raise ValueError(
                    f"{owner}.groups must divide in_channels {self.in_channels} and out_channels"
                    f" {self.out_channels}, not {self.groups}"
                )
        self._check_requires_grad()

    def _set(self, name, least, most=None):
        value = pair(type(self).__name__, name, getattr(self, name), least, most)
        object.__setattr__(self, name, value)

    def _check_padding(self):
        given = self.padding
        self._set("padding", 0)
        spans = tuple(d * (k - 1) + 1 for k, d in zip(self.kernel_size, self.dilation, strict=True))
        if any(p >= span for p, span in zip(self.padding, spans, strict=True)):
            kernel = "kernel" if spans == self.kernel_size else "dilated kernel"
            raise ValueError(
                f"{type(self).__name__}.padding must be less than the {kernel} {spans},"
                f" not {given!r}"
            )

    def _check_shape(self, shape):
        if len(shape) != 3 or shape[0] != self.in_channels:
            raise ValueError(
                f"input must be ({self.in_channels} channels, height, width), not {tuple(shape)}"
            )


@dataclass(frozen=True, repr=False)
class Conv2d(_Convolution):
    """2-D convolution (cross-correlation) with zero padding, as torch.nn.Conv2d.

    Parameters
    ----------
    in_channels, out_channels : int
    kernel_size : int or (int, int)
        1 to 11.
    stride : int or (int, int)
        1 to 4.
    padding : int, (int, int), "valid" or "same"
        0 or more, less than the (dilated) kernel. "same" keeps the size, with stride 1, where that
        can be done with as much on either side.
    dilation : int or (int, int)
        Distance of neighbouring taps, 1 to 64.
    groups : int
        Divides both channel counts; in_channels for a depthwise convolution.
    bias : bool
    requires_grad : bool or tuple of str
        Whether the parameters are trained, or which of them.
    format : str, dict or None
        "bfp8" or "bfp16", of all passes; or a dict of them with keys "forward", "backward" and
        "weight_gradient". What is left open is as `compile_network` is told.
    """

    in_channels: int
    out_channels: int
    kernel_size: int | tuple
    stride: int | tuple = 1
    padding: int | tuple | str = 0
    dilation: int | tuple = quiet(1)
    groups: int = quiet(1)
    bias: bool = True
    requires_grad: bool | tuple = quiet(True)
    format: str | dict | None = quiet(None)

    def __post_init__(self):
        self._check()
        if self.padding == "valid":
            object.__setattr__(self, "padding", 0)
        elif self.padding == "same":
            spans = [d * (k - 1) for k, d in zip(self.kernel_size, self.dilation, strict=True)]
            if self.stride != (1, 1) or any(span % 2 for span in spans):
                raise ValueError(
                    'Conv2d.padding must be numbers where the stride is not 1 or "same" would pad'
                    f' the sides differently, not "same" (stride {self.stride}, kernel'
                    f" {self.kernel_size}, dilation {self.dilation})"
                )
            object.__setattr__(self, "padding", tuple(span // 2 for span in spans))
        self._check_padding()

    def output_shape(self, shape):
        self._check_shape(shape)
        axes = zip(
            shape[1:], self.kernel_size, self.stride, self.padding, self.dilation, strict=True
        )
        sizes = tuple(extent(*axis) for axis in axes)
        if min(sizes) < 1:
            dilated = "" if self.dilation == (1, 1) else f" of dilation {self.dilation}"
            raise ValueError(
                f"kernel {self.kernel_size}{dilated} must not be larger than the padded input,"
                f" {shape[1] + 2 * self.padding[0]}x{shape[2] + 2 * self.padding[1]}"
            )
        return (self.out_channels, *sizes)

    def parameters(self):
        shapes = {"weight": (self.out_channels, self.in_channels // self.groups, *self.kernel_size)}
        if self.bias:
            shapes["bias"] = (self.out_channels,)
        return shapes


@dataclass(frozen=True, repr=False)
class ConvTranspose2d(_Convolution):
    """Transposed convolution, as torch.nn.ConvTranspose2d: Conv2d's passes exchanged.

    Parameters
    ----------
    in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias
    requires_grad, format
        As Conv2d, of the convolution whose input gradient this is.
    output_padding : int or (int, int)
        Rows and columns more at the bottom and on the right, less than the stride.
    """

    in_channels: int
    out_channels: int
    kernel_size: int | tuple
    stride: int | tuple = 1
    padding: int | tuple = 0
    output_padding: int | tuple = 0
    groups: int = 1
    bias: bool = True
    dilation: int | tuple = 1
    requires_grad: bool | tuple = quiet(True)
    format: str | dict | None = quiet(None)

    def __post_init__(self):
        self._check()
        self._check_padding()
        given = self.output_padding
        self._set("output_padding", 0)
        if any(o >= s for o, s in zip(self.output_padding, self.stride, strict=True)):
            raise ValueError(
                f"ConvTranspose2d.output_padding must be less than the stride {self.stride},"
                f" not {given!r}"
            )

    def output_shape(self, shape):
        self._check_shape(shape)
        sizes = tuple(
            (size - 1) * s - 2 * p + d * (k - 1) + o + 1
            for size, k, s, p, d, o in zip(
                shape[1:], self.kernel_size, self.stride, self.padding, self.dilation,
                self.output_padding, strict=True,
            )
        )  # fmt: skip
        if min(sizes) < 1:
            raise ValueError(
                f"padding {self.padding} must leave at least one pixel of the output, not"
                f" {sizes[0]}x{sizes[1]}"
            )
        return (self.out_channels, *sizes)

    def parameters(self):
        shapes = {"weight": (self.in_channels, self.out_channels // self.groups, *self.kernel_size)}
        if self.bias:
            shapes["bias"] = (self.out_channels,)
        return shapes


@dataclass(frozen=True, repr=False)
class Linear(Module):
    """Fully connected layer, as torch.nn.Linear.

    Parameters
    ----------
    in_features, out_features : int
    bias : bool
    requires_grad : bool or tuple of str
        Whether the parameters are trained, or which of them.
    format : str, dict or None
        As Conv2d.
    """

    in_features: int
    out_features: int
    bias: bool = True
    requires_grad: bool | tuple = quiet(True)
    format: str | dict | None = quiet(None)

    def __post_init__(self):
        object.__setattr__(self, "format", pass_formats("Linear.format", self.format))
        count("Linear", "in_features", self.in_features)
        count("Linear", "out_features", self.out_features)
        self._check_requires_grad()

    def output_shape(self, shape):
        if len(shape) != 1 or shape[0] != self.in_features:
            hint = "; put Flatten before it" if len(shape) == 3 else ""
            raise ValueError(f"input must be ({self.in_features},), not {tuple(shape)}{hint}")
        return (self.out_features,)

    def parameters(self):
        shapes = {"weight": (self.out_features, self.in_features)}
        if self.bias:
            shapes["bias"] = (self.out_features,)
        return shapes
