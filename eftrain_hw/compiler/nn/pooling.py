"""Pooling over windows, and over the whole map."""

from dataclasses import dataclass

from .module import Module, extent, pair, quiet

__all__ = ["AdaptiveAvgPool2d", "AvgPool2d", "MaxPool2d"]


def _check_map(shape):
    if len(shape) != 3:
        raise ValueError(f"input must be (channels, height, width), not {tuple(shape)}")


class _Windows(Module):
    def _check(self, most):
        owner = type(self).__name__
        kernel = pair(owner, "kernel_size", self.kernel_size, 1, most)
        stride = kernel if self.stride is None else pair(owner, "stride", self.stride, 1, 255)
        padding = pair(owner, "padding", self.padding, 0)
        if any(2 * p > k for p, k in zip(padding, kernel, strict=True)):
            raise ValueError(
                f"{owner}.padding must be at most half of the kernel {kernel}, not {self.padding!r}"
            )
        if self.ceil_mode is not False:
            raise ValueError(f"{owner}.ceil_mode must be False, not {self.ceil_mode!r}")
        for name, value in (("kernel_size", kernel), ("stride", stride), ("padding", padding)):
            object.__setattr__(self, name, value)

    def output_shape(self, shape):
        _check_map(shape)
        axes = zip(shape[1:], self.kernel_size, self.stride, self.padding, strict=True)
        sizes = tuple(extent(*axis) for axis in axes)
        if min(sizes) < 1:
            height, width = (n + 2 * p for n, p in zip(shape[1:], self.padding, strict=True))
            padded = "" if self.padding == (0, 0) else "padded "
            raise ValueError(
                f"kernel {self.kernel_size} must not be larger than the {padded}input,"
                f" {height}x{width}"
            )
        return (shape[0], *sizes)


@dataclass(frozen=True, repr=False)
class MaxPool2d(_Windows):
    """Maximum over windows, as torch.nn.MaxPool2d.

    Parameters
    ----------
    kernel_size : int or (int, int)
        1 to 15, at most 255 positions.
    stride : int, (int, int) or None
        1 to 255; None: the kernel's size.
    padding : int or (int, int)
        At most half of the kernel; padding never wins.
    ceil_mode : bool
        False.
    """

    kernel_size: int | tuple
    stride: int | tuple | None = None
    padding: int | tuple = quiet(0)
    ceil_mode: bool = quiet(False)

    def __post_init__(self):
        self._check(15)


@dataclass(frozen=True, repr=False)
class AvgPool2d(_Windows):
    """Mean over windows, as torch.nn.AvgPool2d.

    Parameters
    ----------
    kernel_size : int or (int, int)
        1 to 255.
    stride, padding, ceil_mode
        As MaxPool2d.
    count_include_pad : bool
        Whether padding counts as pixels of value 0, or not at all.
    """

    kernel_size: int | tuple
    stride: int | tuple | None = None
    padding: int | tuple = 0
    ceil_mode: bool = False
    count_include_pad: bool = True

    def __post_init__(self):
        self._check(255)


@dataclass(frozen=True, repr=False)
class AdaptiveAvgPool2d(Module):
    """Mean over the whole map, as torch.nn.AdaptiveAvgPool2d(1).

    Parameters
    ----------
    output_size : int or (int, int)
        1.
    """

    output_size: int | tuple = 1

    def __post_init__(self):
        size = pair("AdaptiveAvgPool2d", "output_size", self.output_size, 1)
        if size != (1, 1):
            raise ValueError(f"AdaptiveAvgPool2d.output_size must be 1, not {self.output_size!r}")
        object.__setattr__(self, "output_size", size)

    def output_shape(self, shape):
        _check_map(shape)
        return (shape[0], 1, 1)
