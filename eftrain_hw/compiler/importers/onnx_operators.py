"""ONNX operators as layers."""

import numpy as np

from .. import nn
from .common import mean_over
from .onnx_weights import WEIGHTED, padding_of

__all__ = ["OPERATORS"]


def _windows(settings, value):
    kernel = tuple(settings["kernel_shape"])
    stride = tuple(settings.get("strides", (1, 1)))
    if tuple(settings.get("dilations", (1, 1))) != (1, 1):
        raise ValueError("dilations must be 1")
    padding = padding_of(settings, kernel, size=value.shape[1:], stride=stride)
    if settings.get("ceil_mode", 0):
        parts = zip(value.shape[1:], kernel, stride, padding, strict=True)
        if any((n + 2 * p - k) % s for n, k, s, p in parts):
            raise ValueError("ceil_mode must be 0")
    return kernel, stride, padding


def _pool(context, node, name, settings):
    value = context.input(node)
    windows = _windows(settings, value)
    if node.op_type == "MaxPool":
        if len([output for output in node.output if output]) > 1:
            raise ValueError("the indices must not be used")
        layer = nn.MaxPool2d(*windows)
    else:
        layer = nn.AvgPool2d(*windows, False, bool(settings.get("count_include_pad", 0)))
    return context.apply(name, layer, value)[0]


def _mean(context, node, name, settings):
    axes = settings.get("axes")
    if axes is None:
        axes = context.constant(node, 1, "axes")
    if axes is None or sorted(int(axis) % 4 for axis in axes) != [2, 3]:
        raise ValueError(f"axes must be 2 and 3, not {axes}")
    pooled = mean_over(context.values, name, context.input(node), (1, 1))[0]
    if settings.get("keepdims", 1):
        return pooled
    return context.apply(name, nn.Flatten(), pooled)[0]


def _flatten(context, node, name, settings):
    if settings.get("axis", 1) != 1:
        raise ValueError(f"axis must be 1, not {settings['axis']}")
    return context.apply(name, nn.Flatten(), context.input(node))[0]


def _reshape(context, node, name, settings):
    value = context.input(node)
    sizes = context.of.get(node.input[1])
    if not isinstance(sizes, list):
        sizes = [int(size) for size in context.constant(node, 1, "shape")]
    shape, features = sizes, int(np.prod(value.shape))
    if len(shape) != 2 or shape[1] not in (-1, features):
        raise ValueError(f"shape must be (images, {features}), not {tuple(shape)}")
    return context.apply(name, nn.Flatten(), value)[0]


def _concat(context, node, name, settings):
    if any(isinstance(context.of.get(item), list) for item in node.input):
        sizes = []
        for index, item in enumerate(node.input):
            known = context.of.get(item)
            constant = None if isinstance(known, list) else context.constant(node, index, "sizes")
            sizes += known if constant is None else [int(size) for size in np.ravel(constant)]
        return sizes
    if settings["axis"] not in (1, -3):
        raise ValueError(f"axis must be 1, not {settings['axis']}")
    parts = [context.input(node, index) for index in range(len(node.input))]
    return context.apply(name, nn.Concat(), *parts)[0]


def _dropout(context, node, name, settings):
    ratio = context.constant(node, 1, "ratio")
    p = settings.get("ratio", 0.5) if ratio is None else ratio
    return context.apply(name, nn.Dropout(float(p)), context.input(node))[0]


def _constant(context, node, name, settings):
    if "value" not in settings:
        raise ValueError(f"the value must be a tensor, not {sorted(settings)}")
    context.constants[node.output[0]] = settings["value"]


def _layer(make):
    def apply(context, node, name, settings):
        return context.apply(name, make(settings), context.input(node))[0]

    return apply


def _shape(context, node, name, settings):
    """Sizes as a list, None for the batch: exporters compute the target of a Reshape so."""
    return [None, *context.input(node).shape]


def _gather(context, node, name, settings):
    sizes, index = context.of.get(node.input[0]), context.constant(node, 1, "indices")
    if not isinstance(sizes, list) or settings.get("axis", 0) != 0:
        raise ValueError("the data must be the shape of a tensor")
    return [sizes[int(at)] for at in np.atleast_1d(index)]


def _keep_sizes(context, node, name, settings):
    sizes = context.of.get(node.input[0])
    if not isinstance(sizes, list):
        raise ValueError("the data must be the shape of a tensor")
    return sizes


OPERATORS = {
    **WEIGHTED,
    "AveragePool": _pool,
    "Concat": _concat,
    "Constant": _constant,
    "Dropout": _dropout,
    "Flatten": _flatten,
    "Gather": _gather,
    "GlobalAveragePool": _layer(lambda settings: nn.AdaptiveAvgPool2d(1)),
    "Identity": _layer(lambda settings: nn.Identity()),
    "LeakyRelu": _layer(lambda settings: nn.LeakyReLU(settings.get("alpha", 0.01))),
    "MaxPool": _pool,
    "ReduceMean": _mean,
    "Relu": _layer(lambda settings: nn.ReLU()),
    "Reshape": _reshape,
    "Shape": _shape,
    "Sigmoid": _layer(lambda settings: nn.Sigmoid()),
    "Unsqueeze": _keep_sizes,
}
"""By ONNX's name: (context, node, name, attributes) -> nn.Value."""
