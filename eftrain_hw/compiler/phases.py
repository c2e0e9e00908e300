"""The phases of a stride: which taps the pixels of a convolution's input have, and where."""

from math import gcd
from typing import NamedTuple

from .tiling import ceil_div

__all__ = ["Axis", "axes_of", "backward_extent", "backward_phases"]


class Axis(NamedTuple):
    """One direction of a convolution."""

    kernel: int
    stride: int
    padding: int
    dilation: int

    @property
    def tap_step(self):
        """From one tap that a pixel has in BP to its next one."""
        return self.stride // gcd(self.stride, self.dilation)

    @property
    def pixel_step(self):
        """By how many dY pixels these two taps differ, downwards."""
        return self.dilation // gcd(self.stride, self.dilation)


def axes_of(op):
    """(vertical, horizontal)."""
    return tuple(
        Axis(*values) for values in zip(op.kernel, op.stride, op.padding, op.dilation, strict=True)
    )


def backward_phases(axis, size):
    """The stride phases of one axis in BP.

    Yields (offset, first tap, taps, dY index of the first pixel's first tap, positions) for pixels
    offset, offset + stride, ..; taps may be 0.
    """
    kernel, stride, padding, dilation = axis
    for offset in range(min(stride, size)):
        reach = range(min(kernel, axis.tap_step))
        first = next((k for k in reach if (offset + padding - k * dilation) % stride == 0), None)
        positions = ceil_div(size - offset, stride)
        if first is None:
            yield offset, 0, 0, 0, positions
            continue
        origin = (offset + padding - first * dilation) // stride
        yield offset, first, ceil_div(kernel - first, axis.tap_step), origin, positions


def backward_extent(axis, size):
    """(lowest dY index, number of them) that `size` dX pixels from 0 on need."""
    spans = [
        (origin - (taps - 1) * axis.pixel_step, origin + positions - 1)
        for _, _, taps, origin, positions in backward_phases(axis, size)
        if taps
    ]
    low = min([0, *(low for low, _ in spans)])
    high = max([0, *(high for _, high in spans)])
    return low, high - low + 1
