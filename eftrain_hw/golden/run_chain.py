"""Tensor-train steps and the bias of features on a dict of tensors: forward and backward."""

import numpy as np

from ..formats import Blocked, format_named
from .tensor_train import (
    bias_gradient,
    feature_bias,
    step_backward_core,
    step_backward_input,
    step_forward,
)

__all__ = ["CHAIN"]


def _geometry(op):
    names = ("view", "conv_in", "stride", "padding")
    return {name: getattr(op, name) for name in names}


def _size(op):
    """Height and width of the convolution's output."""
    sides = zip(op.conv_in[1:], op.kernel, op.stride, op.padding, strict=True)
    return tuple((n + 2 * p - k) // s + 1 for n, k, s, p in sides)


def _shaped(tensor, images, shape):
    if isinstance(tensor, np.ndarray):
        return tensor.reshape(images, *shape, tensor.shape[-1])
    return tensor.reshape(images, *shape)


def _forward_step(op, tensors, step):
    x, w = tensors[op.x], tensors[f"{op.key}.{op.core}"]
    y = step_forward(x, w, relu=op.relu, encode=not op.raw, **_geometry(op))
    tensors[op.y] = _shaped(y, len(x.elements), op.out_shape)


def _backward_step(op, tensors, step):
    x, dy = tensors[op.x], tensors[f"d{op.y}"]
    settings = {**_geometry(op), "size": _size(op)}
    if op.input_gradient:
        w = tensors[f"{op.key}.{op.core}"]
        dx = step_backward_input(dy, w, mask=x if op.mask else None, **settings)
        tensors[op.dx or f"d{op.x}"] = dx.reshape(*x.elements.shape[:-1])
    if op.train_weight:
        gradient = step_backward_core(x, dy, kernel=op.kernel, split=op.split, **settings)
        if op.gradient_format is not None:
            gradient = Blocked.encode(format_named(op.gradient_format), gradient)
        tensors[f"{op.key}.{op.core}.gradient"] = gradient


def _forward_bias(op, tensors, step):
    bias = tensors[f"{op.key}.bias.master"]
    z = tensors[op.x]
    format = format_named(op.format)
    tensors[op.y] = feature_bias(z, bias, format, relu=op.relu, encode=not op.raw)


def _backward_bias(op, tensors, step):
    dy = tensors[f"d{op.y}"]
    tensors[f"d{op.x}"] = dy  # the same tensor
    if op.train_bias:
        tensors[f"{op.key}.bias.gradient"] = bias_gradient(dy, op.shape)


CHAIN = {
    "FeatureBiasOp": (_forward_bias, _backward_bias),
    "TTStepOp": (_forward_step, _backward_step),
}
"""(forward, backward) by the operation's type; each takes (op, tensors, step)."""
