"""Layers that keep the shape or only rename it: activations, dropout, Flatten; Add and Concat."""

from dataclasses import dataclass
from math import isfinite

from .module import Module, fraction

__all__ = ["Add", "Concat", "Dropout", "Flatten", "Identity", "LeakyReLU", "ReLU", "Sigmoid"]


class _SameShape(Module):
    def output_shape(self, shape):
        return tuple(shape)


@dataclass(frozen=True, repr=False)
class ReLU(_SameShape):
    """max(x, 0)."""


@dataclass(frozen=True, repr=False)
class Identity(_SameShape):
    """x, as torch.nn.Identity(): costs nothing."""


@dataclass(frozen=True, repr=False)
class LeakyReLU(_SameShape):
    """x where it is greater than 0, negative_slope * x elsewhere, as torch.nn.LeakyReLU.

    Parameters
    ----------
    negative_slope : float
    """

    negative_slope: float = 0.01

    def __post_init__(self):
        slope = self.negative_slope
        if not isinstance(slope, int | float) or isinstance(slope, bool) or not isfinite(slope):
            raise TypeError(f"LeakyReLU.negative_slope must be a number, not {slope!r}")


@dataclass(frozen=True, repr=False)
class Sigmoid(_SameShape):
    """1 / (1 + exp(-x)), as torch.nn.Sigmoid()."""


@dataclass(frozen=True, repr=False)
class Dropout(_SameShape):
    """Zeroes elements with probability p in training and scales the others by 1 / (1 - p).

    Parameters
    ----------
    p : float
        0 or more, less than 1.
    """

    p: float = 0.5

    def __post_init__(self):
        fraction("Dropout", "p", self.p)


@dataclass(frozen=True, repr=False)
class Flatten(Module):
    """(channels, height, width) to (features,), as torch.nn.Flatten()."""

    def output_shape(self, shape):
        features = 1
        for size in shape:
            features *= size
        return (features,)


@dataclass(frozen=True, repr=False)
class Add(Module):
    """The sum of two tensors of one shape."""

    INPUTS = 2

    def output_shape(self, first, second):
        if tuple(first) != tuple(second):
            raise ValueError(f"inputs must have one shape, not {tuple(first)} and {tuple(second)}")
        return tuple(first)


@dataclass(frozen=True, repr=False)
class Concat(Module):
    """Tensors behind each other along the channels, as torch.cat(..., dim=1).

    Maps of one height and width, two or more of them.
    """

    INPUTS = None  # any number from 2 on

    def output_shape(self, *shapes):
        if any(len(shape) != 3 for shape in shapes):
            flat = next(shape for shape in shapes if len(shape) != 3)
            raise ValueError(f"inputs must be (channels, height, width), not {tuple(flat)}")
        for shape in shapes[1:]:
            if shape[1:] != shapes[0][1:]:
                raise ValueError(
                    "inputs must have one height and width, not"
                    f" {' and '.join(f'{s[1]}x{s[2]}' for s in shapes)}"
                )
        return (sum(shape[0] for shape in shapes), *shapes[0][1:])
