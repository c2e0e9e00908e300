"""What both importers share."""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import nn

__all__ = ["ImportRefused", "Imported", "Values", "mean_over", "unsupported"]


class ImportRefused(ValueError):
    """A network that can't be imported; says which node and what is supported."""


def unsupported(name, kind, supported, why=""):
    """The error for a node that there is no layer for."""
    why = f": {why}" if why else ""
    return ImportRefused(f"node {name!r} ({kind}) is not supported{why}; supported are {supported}")


@dataclass
class Imported:
    """A network from elsewhere.

    Members
    -------
    network : nn.Network
    state : dict
        float32 parameters and running statistics by the names of the network.
    """

    network: Any
    state: dict

    def _checked(self, state):
        for name, value in self.state.items():
            if name in state and np.shape(state[name]) != value.shape:
                raise ValueError(
                    f"state[{name!r}] must have shape {value.shape}, not {np.shape(state[name])}"
                )
        unknown = sorted(set(state) - set(self.state))
        if unknown:
            raise ValueError(f"state must have names of the network only, not {unknown[0]!r}")
        return {**self.state, **state}


class Values:
    """A graph under construction, and what the nodes of the source have given so far."""

    def __init__(self, input_shape, reserved=()):
        self.graph = nn.Graph(input_shape)
        self.of = {}
        self.state = {}
        self._names = set(reserved)

    def unique(self, text):
        """A name for a layer that no other has; nor a reserved one."""
        name = re.sub(r"\.+", ".", re.sub(r"[^\w.]", "_", text)).strip(".") or "n"
        while name in self._names or name == "input":
            name += "_"
        self._names.add(name)
        return name

    def apply(self, source, layer, *inputs):
        """Add a layer under a name like that of its source; returns (value, name)."""
        return self.apply_as(self.unique(source), source, layer, *inputs)

    def apply_as(self, name, source, layer, *inputs):
        """Add a layer under a name; an error of its shapes names the node of the source."""
        try:
            return self.graph(layer, *inputs, name=name), name
        except ValueError as error:
            raise ImportRefused(f"node {source!r}: {error}") from None

    def keep(self, name, **arrays):
        """Remember a layer's parameters and statistics."""
        for own, value in arrays.items():
            if value is not None:
                self.state[f"{name}.{own}"] = np.array(value, np.float32)


def mean_over(values, source, value, output_size):
    """Adaptive average pooling to `output_size`, where that is a pooling over equal windows."""
    sizes = value.shape[1:]
    if tuple(output_size) == (1, 1):
        layer = nn.AdaptiveAvgPool2d(1)
    elif tuple(output_size) == tuple(sizes):
        layer = nn.Identity()
    elif all(size % out == 0 for size, out in zip(sizes, output_size, strict=True)):
        kernel = tuple(size // out for size, out in zip(sizes, output_size, strict=True))
        layer = nn.AvgPool2d(kernel)
    else:
        raise ImportRefused(
            f"node {source!r}: output_size must divide the map of {sizes[0]}x{sizes[1]},"
            f" not {tuple(output_size)}"
        )
    return values.apply(source, layer, value)
