"""PyTorch's functions and tensor methods as layers."""

from dataclasses import replace

import numpy as np

from .. import nn
from .common import ImportRefused, mean_over, unsupported

__all__ = ["FUNCTIONS", "ONE_INPUT", "divides", "kind_of"]

FUNCTIONS = (
    "+", "adaptive_avg_pool2d", "add", "avg_pool2d", "cat", "dropout", "flatten", "leaky_relu",
    "max_pool2d", "mean over the map", "relu", "sigmoid", "view and reshape to (N, -1)",
)  # fmt: skip


def kind_of(node):
    return node.target if isinstance(node.target, str) else node.target.__name__


def divides(size, module):
    """Whether windows fit without a rest, so that rounding up changes nothing."""

    def pair(value):
        return (value, value) if isinstance(value, int) else value

    parts = zip(size, *(pair(getattr(module, n)) for n in ("kernel_size", "stride", "padding")))
    return all((n + 2 * p - k) % s == 0 for n, k, s, p in parts)


def _arguments(node, *names):
    """Positional and keyword arguments behind the tensor, by name."""
    given = dict(zip(names, node.args[1:]))
    given.update(node.kwargs)
    if given.get("return_indices") is False:
        del given["return_indices"]
    unknown = set(given) - set(names)
    if unknown:
        raise unsupported(node.name, kind_of(node), list(FUNCTIONS), f"with {sorted(unknown)[0]}")
    return given


def _flatten(walk, node, value):
    given = _arguments(node, "start_dim", "end_dim")
    if (given.get("start_dim", 0), given.get("end_dim", -1)) != (1, -1):
        raise unsupported(node.name, "flatten", list(FUNCTIONS), "from another axis than 1")
    return walk.apply(node, nn.Flatten(), value)


def _view(walk, node, value):
    shape = node.args[1:]
    shape = shape[0] if len(shape) == 1 and isinstance(shape[0], tuple | list) else shape
    features = int(np.prod(value.shape))
    batch = walk.values.of.get(shape[0]) == "size" if not isinstance(shape[0], int) else None
    flat = len(shape) == 2 and (shape[1] in (-1, features)) and (batch or shape[0] == -1)
    if not flat:
        raise unsupported(node.name, kind_of(node), list(FUNCTIONS), f"to {tuple(shape)}")
    return walk.apply(node, nn.Flatten(), value)


def _mean(walk, node, value):
    given = _arguments(node, "dim", "keepdim")
    axes = given.get("dim", ())
    if sorted(a % 4 for a in axes) != [2, 3]:
        raise unsupported(node.name, "mean", list(FUNCTIONS), f"over {axes}")
    pooled = walk.apply(node, nn.AdaptiveAvgPool2d(1), value)
    return pooled if given.get("keepdim") else walk.apply(node, nn.Flatten(), pooled)


def _pool(layer):
    names = ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad")
    if layer is nn.MaxPool2d:
        names = ("kernel_size", "stride", "padding", "dilation", "ceil_mode")

    def make(walk, node, value):
        given = _arguments(node, *names)
        if given.pop("dilation", 1) not in (1, (1, 1)):
            raise unsupported(node.name, kind_of(node), list(FUNCTIONS), "with dilation")
        given["stride"] = given.get("stride") or None
        try:
            made = layer(**{**given, "ceil_mode": False})
            if given.get("ceil_mode") and not divides(value.shape[1:], made):
                made = replace(made, ceil_mode=True)
        except (TypeError, ValueError) as error:
            raise ImportRefused(f"node {node.name!r}: {error}") from None
        return walk.apply(node, made, value)

    return make


def _adaptive(walk, node, value):
    size = _arguments(node, "output_size")["output_size"]
    size = (size, size) if isinstance(size, int) else size
    return mean_over(walk.values, node.name, value, size)[0]


def _relu(walk, node, value):
    return walk.apply(node, nn.ReLU(), value)


def _leaky(walk, node, value):
    given = _arguments(node, "negative_slope", "inplace")
    return walk.apply(node, nn.LeakyReLU(given.get("negative_slope", 0.01)), value)


def _dropout(walk, node, value):
    given = _arguments(node, "p", "training", "inplace")
    return walk.apply(node, nn.Dropout(given.get("p", 0.5)), value)


ONE_INPUT = {
    "adaptive_avg_pool2d": _adaptive,
    "avg_pool2d": _pool(nn.AvgPool2d),
    "contiguous": lambda walk, node, value: value,
    "dropout": _dropout,
    "flatten": _flatten,
    "leaky_relu": _leaky,
    "max_pool2d": _pool(nn.MaxPool2d),
    "mean": _mean,
    "relu": _relu,
    "relu_": _relu,
    "reshape": _view,
    "sigmoid": lambda walk, node, value: walk.apply(node, nn.Sigmoid(), value),
    "view": _view,
}
