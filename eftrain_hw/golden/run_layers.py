"""Convolution, pooling and batch normalisation on a dict of tensors."""

import numpy as np

from ..formats import BFP16, format_named
from .batch_norm import (
    batch_norm_backward,
    batch_norm_forward,
    batch_norm_inference,
    batch_statistics,
    running_statistics,
)
from .conv import conv_backward_input, conv_forward
from .pooling import maxpool_backward, maxpool_forward
from .reduce import positive
from .weight_gradient import bias_gradient, conv_backward_weight
from .windows import (
    avgpool_backward,
    avgpool_forward,
    window_maxpool_backward,
    window_maxpool_forward,
)

__all__ = ["LAYERS", "dx_name", "mask_of"]


def dx_name(op):
    """The tensor that an operation's input gradient goes to."""
    return op.dx or f"d{op.x}"


def mask_of(op, tensors):
    """Where an operation's input is greater than 0, if it came out of a ReLU; else None."""
    return positive(tensors[op.x]) if op.mask else None


def _seen(tensor, bfp16):
    """A tensor as a pass reads it: with its low digits, if any, only in bfp16."""
    return BFP16.high_digits(tensor) if tensor.format.name == "bfp16" and not bfp16 else tensor


# -- convolution


def _reader(op, name):
    """What shows a pass of a convolution its operands."""
    bfp16 = op.formats is None or op.formats[name] == "bfp16"
    return lambda tensor: _seen(tensor, bfp16)


def _stored(name):
    return None if name is None else format_named(name)


def _geometry(op):
    names = ("stride", "padding", "dilation", "parts")
    return {name: getattr(op, name) for name in names}


def _forward_conv(op, tensors, step):
    seen = _reader(op, "forward")
    x, w = seen(tensors[op.x]), seen(tensors[f"{op.key}.weight"])
    x = x.reshape(len(x.elements), *op.in_shape)
    bias = tensors[f"{op.key}.bias.master"].reshape(-1) if op.bias else None
    settings = {**_geometry(op), "relu": op.relu, "encode": not op.raw}
    settings["format"] = _stored(op.y_format)
    if op.transposed:
        size = op.out_shape[1:]
        tensors[op.y] = conv_backward_input(x, w, input_size=size, bias=bias, **settings)
    else:
        tensors[op.y] = conv_forward(x, w, bias, **settings)


def _backward_conv(op, tensors, step):
    x, dy = tensors[op.x], tensors[f"d{op.y}"]
    flat = x.reshape(len(x.elements), *op.in_shape)
    w = tensors[f"{op.key}.weight"]
    if op.input_gradient:
        seen = _reader(op, "backward")
        settings = {**_geometry(op), "mask": flat if op.mask else None}
        settings["format"] = _stored(op.dx_format)
        if op.transposed:
            dx = conv_forward(seen(dy), seen(w), None, **settings)
        else:
            size = op.in_shape[1:]
            dx = conv_backward_input(seen(dy), seen(w), input_size=size, **settings)
        tensors[dx_name(op)] = dx.reshape(*x.elements.shape[:-1])
    if not (op.train_weight or op.train_bias):
        return
    seen = _reader(op, "weight_gradient")
    dy, flat = seen(dy), seen(flat)
    if op.train_weight:
        sides = (dy, flat) if op.transposed else (flat, dy)
        gradient, _ = conv_backward_weight(
            *sides, kernel=op.kernel, split=op.split, **_geometry(op)
        )
        mask = tensors.get(f"{op.key}.weight.mask")
        if mask is not None:
            gradient = np.where(mask > 0, gradient, np.float32(0))
        tensors[f"{op.key}.weight.gradient"] = gradient
    if op.bias and op.train_bias:
        tensors[f"{op.key}.bias.gradient"] = bias_gradient(dy, split=op.bias_split)


# -- pooling


def _forward_pool(op, tensors, step):
    tensors[op.y], tensors[op.index] = maxpool_forward(
        _seen(tensors[op.x], op.wide is not False), kernel=op.kernel, relu=op.relu
    )


def _backward_pool(op, tensors, step):
    if op.input_gradient:
        tensors[dx_name(op)] = maxpool_backward(
            _seen(tensors[f"d{op.y}"], op.wide_gradient is not False),
            tensors[op.index], input_size=op.in_shape[1:], kernel=op.kernel
        )


def _windows(op):
    return {"kernel": op.kernel, "stride": op.stride, "padding": op.padding}


def _forward_max(op, tensors, step):
    tensors[op.y], tensors[op.index] = window_maxpool_forward(
        tensors[op.x], relu=op.relu, **_windows(op)
    )


def _backward_max(op, tensors, step):
    tensors[dx_name(op)] = window_maxpool_backward(
        tensors[f"d{op.y}"],
        tensors[op.index],
        input_size=op.in_shape[1:],
        mask=mask_of(op, tensors),
        **_windows(op),
    )


def _forward_average(op, tensors, step):
    settings = {"count_padding": op.count_padding, "relu": op.relu, "encode": not op.raw}
    tensors[op.y] = avgpool_forward(tensors[op.x], **_windows(op), **settings)


def _backward_average(op, tensors, step):
    tensors[dx_name(op)] = avgpool_backward(
        tensors[f"d{op.y}"],
        input_size=op.in_shape[1:],
        count_padding=op.count_padding,
        mask=mask_of(op, tensors),
        **_windows(op),
    )


# -- batch normalisation


def _forward_norm(op, tensors, step):
    x, key = tensors[op.x], op.key
    shape = (x.elements.shape[1], x.elements.shape[-1])
    gamma, beta = np.ones(shape, np.float32), np.zeros(shape, np.float32)
    if op.affine:
        gamma, beta = tensors[f"{key}.weight.master"], tensors[f"{key}.bias.master"]
    settings = {"relu": op.relu, "encode": not op.raw}
    running = [f"{key}.running_mean", f"{key}.running_var"]
    if step is None and op.track:
        mean, var = (tensors[name] for name in running)
        tensors[op.y] = batch_norm_inference(x, mean, var, gamma, beta, eps=op.eps, **settings)
        return
    valid = len(x.elements) if step is None else step.valid_images
    statistics = batch_statistics(x, eps=op.eps, valid=valid)
    mean, rstd = statistics.mean, statistics.rstd
    tensors[op.y], scale = batch_norm_forward(x, mean, rstd, gamma, beta, **settings)
    tensors |= {f"{key}.mean": mean, f"{key}.rstd": rstd, f"{key}.scale": scale}
    if op.track:
        old = (tensors[name] for name in running)
        new = running_statistics(x, statistics, *old, momentum=op.momentum, valid=valid)
        tensors |= dict(zip(running, new, strict=True))


def _backward_norm(op, tensors, step):
    key = op.key
    dx, dgamma, dbeta = batch_norm_backward(
        tensors[f"d{op.y}"],
        tensors[op.x],
        *(tensors[f"{key}.{name}"] for name in ("mean", "rstd", "scale")),
        valid=step.valid_images,
        mask=mask_of(op, tensors),
    )
    if op.input_gradient:
        tensors[dx_name(op)] = dx
    if op.train_weight or op.train_bias:
        tensors |= {f"{key}.weight.gradient": dgamma, f"{key}.bias.gradient": dbeta}


LAYERS = {
    "AvgPoolOp": (_forward_average, _backward_average),
    "BatchNormOp": (_forward_norm, _backward_norm),
    "ConvOp": (_forward_conv, _backward_conv),
    "MaxPoolOp": (_forward_max, _backward_max),
    "PoolOp": (_forward_pool, _backward_pool),
}
"""(forward, backward) by the operation's type; each takes (op, tensors, step)."""
