"""ONNX operators as layers."""

import numpy as np

from .. import nn
from .common import ImportRefused, Values, mean_over

__all__ = ["OPERATORS", "Context"]


class Context:
    """What the nodes of a model have given so far.

    Members
    -------
    values : Values
    constants : dict
        Arrays by name: initializers and Constant nodes.
    uses : dict
        Nodes by the name of a tensor they read.
    of : dict
        nn.Value by name of a tensor.
    sources : dict
        As OnnxImport.
    """

    def __init__(self, values: Values, constants, uses):
        self.values, self.constants, self.uses = values, constants, uses
        self.initializers = set(constants)
        self.of, self.sources = {}, {}

    def input(self, node, index=0):
        """The tensor that a node reads."""
        value = self.of.get(node.input[index])
        if not isinstance(value, nn.Value):
            raise ImportRefused(
                f"node {node.name or node.output[0]!r} ({node.op_type}): input {index} must be the"
                " output of a layer"
            )
        return value

    def constant(self, node, index, what):
        """An array that a node reads; None where it is left out."""
        if index >= len(node.input) or not node.input[index]:
            return None
        name = node.input[index]
        if name not in self.constants:
            raise ValueError(f"{what} must be an initializer or a constant")
        return self.constants[name]

    def weights(self, key, node, **wanted):
        """Keep a layer's parameters: own name = (index of the input, transposed)."""
        for own, (index, transposed) in wanted.items():
            array = self.constant(node, index, own)
            if array is None:
                continue
            self.values.keep(key, **{own: array.T if transposed else array})
            if node.input[index] not in self.initializers:
                raise ValueError(f"{own} must be an initializer")
            self.sources[f"{key}.{own}"] = (node.input[index], transposed)

    def key(self, node, name):
        """A name for a layer with parameters: that of its weight without ".weight"."""
        weight = node.input[1]
        return weight.removesuffix(".weight") if weight.endswith(".weight") else name

    def apply(self, name, layer, *inputs):
        return self.values.apply(name, layer, *inputs)


def _padding(settings, kernel, dilation=(1, 1), size=None, stride=(1, 1)):
    auto = settings.get("auto_pad", b"NOTSET").decode()
    if auto == "VALID":
        return (0, 0)
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        total = [
            max(0, (-(-n // s) - 1) * s + d * (k - 1) + 1 - n)
            for n, s, k, d in zip(size, stride, kernel, dilation, strict=True)
        ]
        pads = [part // 2 for part in total] + [part - part // 2 for part in total]
    else:
        pads = list(settings.get("pads", (0, 0, 0, 0)))
    if pads[:2] != pads[2:]:
        raise ValueError(f"padding must be as much on either side, not {pads}")
    return tuple(pads[:2])


def _geometry(context, settings, weight, value):
    kernel = tuple(settings.get("kernel_shape", weight.shape[2:]))
    if len(kernel) != 2:
        raise ValueError(f"kernels must have two axes, not {kernel}")
    stride = tuple(settings.get("strides", (1, 1)))
    dilation = tuple(settings.get("dilations", (1, 1)))
    padding = _padding(settings, kernel, dilation, value.shape[1:], stride)
    return {"kernel_size": kernel, "stride": stride, "dilation": dilation, "padding": padding}


def _conv(context, node, name, settings):
    value, weight = context.input(node), context.constant(node, 1, "weight")
    groups, bias = settings.get("group", 1), context.constant(node, 2, "bias") is not None
    geometry = _geometry(context, settings, weight, value)
    if node.op_type == "Conv":
        layer = nn.Conv2d(weight.shape[1] * groups, len(weight), groups=groups, bias=bias,
                          **geometry)  # fmt: skip
    else:
        if "output_shape" in settings:
            raise ValueError("output_shape must be left out")
        extra = tuple(settings.get("output_padding", (0, 0)))
        layer = nn.ConvTranspose2d(len(weight), weight.shape[1] * groups, groups=groups, bias=bias,
                                   output_padding=extra, **geometry)  # fmt: skip
    result, key = context.apply(context.key(node, name), layer, value)
    context.weights(key, node, weight=(1, False), bias=(2, False))
    return result


def _gemm(context, node, name, settings):
    value, weight = context.input(node), context.constant(node, 1, "weight")
    if settings.get("alpha", 1.0) != 1.0 or settings.get("beta", 1.0) != 1.0:
        raise ValueError("alpha and beta must be 1")
    if settings.get("transA", 0):
        raise ValueError("transA must be 0")
    transposed = not settings.get("transB", 0)
    bias = context.constant(node, 2, "bias")
    shape = weight.shape[::-1] if transposed else weight.shape
    layer = nn.Linear(shape[1], shape[0], bias is not None)
    result, key = context.apply(context.key(node, name), layer, value)
    context.weights(key, node, weight=(1, transposed), bias=(2, False))
    return result


def _matmul(context, node, name, settings):
    """A Linear layer; an addition of a constant right behind it is its bias."""
    value, weight = context.input(node), context.constant(node, 1, "weight")
    if weight is None or weight.ndim != 2:
        raise ValueError("the second factor must be a constant matrix")
    users = context.uses.get(node.output[0], [])
    bias = None
    if len(users) == 1 and users[0].op_type == "Add":
        other = [item for item in users[0].input if item != node.output[0]]
        bias = other[0] if other and other[0] in context.initializers else None
    layer = nn.Linear(*weight.shape, bias is not None)
    result, key = context.apply(context.key(node, name), layer, value)
    context.weights(key, node, weight=(1, True))
    if bias is not None:
        context.values.keep(key, bias=context.constants[bias].reshape(-1))
        context.sources[f"{key}.bias"] = (bias, False)
        context.of[users[0].output[0]] = result
    return result


def _add(context, node, name, settings):
    if context.of.get(node.output[0]) is not None:  # the bias of a MatMul
        return context.of[node.output[0]]
    if len(node.input) != 2:
        raise ValueError(f"there must be two inputs, not {len(node.input)}")
    return context.apply(name, nn.Add(), context.input(node, 0), context.input(node, 1))[0]


def _norm(context, node, name, settings):
    value, features = context.input(node), len(context.constant(node, 1, "scale"))
    if settings.get("training_mode", 0) and len([o for o in node.output if o]) > 3:
        raise ValueError("outputs must be those of inference")
    momentum = 1 - settings.get("momentum", 0.9)
    layer = nn.BatchNorm2d(features, settings.get("epsilon", 1e-5), round(momentum, 12))
    result, key = context.apply(context.key(node, name), layer, value)
    context.weights(key, node, weight=(1, False), bias=(2, False), running_mean=(3, False),
                    running_var=(4, False))  # fmt: skip
    return result


def _windows(settings, value):
    kernel = tuple(settings["kernel_shape"])
    stride = tuple(settings.get("strides", (1, 1)))
    if tuple(settings.get("dilations", (1, 1))) != (1, 1):
        raise ValueError("dilations must be 1")
    padding = _padding(settings, kernel, size=value.shape[1:], stride=stride)
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
    shape = [int(size) for size in context.constant(node, 1, "shape")]
    features = int(np.prod(value.shape))
    if len(shape) != 2 or shape[1] not in (-1, features):
        raise ValueError(f"shape must be (images, {features}), not {tuple(shape)}")
    return context.apply(name, nn.Flatten(), value)[0]


def _concat(context, node, name, settings):
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


OPERATORS = {
    "Add": _add,
    "AveragePool": _pool,
    "BatchNormalization": _norm,
    "Concat": _concat,
    "Constant": _constant,
    "Conv": _conv,
    "ConvTranspose": _conv,
    "Dropout": _dropout,
    "Flatten": _flatten,
    "Gemm": _gemm,
    "GlobalAveragePool": _layer(lambda settings: nn.AdaptiveAvgPool2d(1)),
    "Identity": _layer(lambda settings: nn.Identity()),
    "LeakyRelu": _layer(lambda settings: nn.LeakyReLU(settings.get("alpha", 0.01))),
    "MatMul": _matmul,
    "MaxPool": _pool,
    "ReduceMean": _mean,
    "Relu": _layer(lambda settings: nn.ReLU()),
    "Reshape": _reshape,
    "Sigmoid": _layer(lambda settings: nn.Sigmoid()),
    "Sum": _add,
}
"""By ONNX's name: (context, node, name, attributes) -> nn.Value."""
