"""ONNX operators with weights as layers, and what all operators use."""

from .. import nn
from .common import ImportRefused, Values

__all__ = ["WEIGHTED", "Context", "padding_of"]


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


def padding_of(settings, kernel, dilation=(1, 1), size=None, stride=(1, 1)):
    """Padding as (vertical, horizontal); ValueError where the sides differ."""
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
    padding = padding_of(settings, kernel, dilation, value.shape[1:], stride)
    return {"kernel_size": kernel, "stride": stride, "dilation": dilation, "padding": padding}


def _conv(context, node, name, settings):
    value, weight = context.input(node), context.constant(node, 1, "weight")
    groups, bias = settings.get("group", 1), context.constant(node, 2, "bias") is not None
    geometry = _geometry(context, settings, weight, value)
    if node.op_type == "Conv":
        layer = nn.Conv2d(weight.shape[1] * groups, len(weight), groups=groups, bias=bias,
                          **geometry)  # fmt: skip
    else:
        if "output_shape" in settings or settings.get("auto_pad", b"").startswith(b"SAME"):
            raise ValueError("output_shape and auto_pad must be left out")
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


WEIGHTED = {
    "Add": _add,
    "BatchNormalization": _norm,
    "Conv": _conv,
    "ConvTranspose": _conv,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "Sum": _add,
}
"""By ONNX's name: (context, node, name, attributes) -> nn.Value."""
