"""Every operation of a program on a dict of tensors: forward and backward."""

import numpy as np

from eftrain_hw.formats import Blocked

from .activation import (
    dropout,
    layer_seed,
    leaky_relu_backward,
    leaky_relu_forward,
    sigmoid_backward,
    sigmoid_forward,
)
from .batch_norm import (
    batch_norm_backward,
    batch_norm_forward,
    batch_norm_inference,
    batch_statistics,
    running_statistics,
)
from .conv import conv_backward_input, conv_forward
from .join import add_forward, masked, sum_gradients
from .pooling import maxpool_backward, maxpool_forward
from .reduce import by_channel, positive, sequential_sum
from .weight_gradient import conv_backward_weight
from .windows import (
    avgpool_backward,
    avgpool_forward,
    window_maxpool_backward,
    window_maxpool_forward,
)

__all__ = ["run_backward", "run_forward"]


def run_forward(op, tensors, step):
    """Run an operation on a dict of tensors, in place.

    Parameters
    ----------
    op : object
        Of a Program's `ops`; a loss is none of them here.
    tensors : dict
    step : Step or None
        None: inference.
    """
    _FORWARD[type(op).__name__](op, tensors, step)


def run_backward(op, tensors, step):
    """Make the gradients of an operation's inputs and parameters, in place."""
    _BACKWARD[type(op).__name__](op, tensors, step)


def _dx(op):
    return op.dx or f"d{op.x}"


def _mask(op, tensors):
    return positive(tensors[op.x]) if op.mask else None


# -- convolution


def _geometry(op):
    names = ("stride", "padding", "dilation", "parts")
    return {name: getattr(op, name) for name in names}


def _forward_conv(op, tensors, step):
    x, w = tensors[op.x], tensors[f"{op.key}.weight"]
    x = x.reshape(len(x.elements), *op.in_shape)
    bias = tensors[f"{op.key}.bias.master"].reshape(-1) if op.bias else None
    settings = {**_geometry(op), "relu": op.relu, "encode": not op.raw}
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
        settings = {**_geometry(op), "mask": flat if op.mask else None}
        if op.transposed:
            dx = conv_forward(dy, w, None, **settings)
        else:
            dx = conv_backward_input(dy, w, input_size=op.in_shape[1:], **settings)
        tensors[_dx(op)] = dx.reshape(*x.elements.shape[:-1])
    if not (op.train_weight or op.train_bias):
        return
    settings = {**_geometry(op), "kernel": op.kernel, "split": op.split}
    if op.transposed:
        gradient, _ = conv_backward_weight(dy, flat, **settings)
        bias = sequential_sum(by_channel(dy.decode()))
    else:
        gradient, bias = conv_backward_weight(flat, dy, **settings)
    tensors[f"{op.key}.weight.gradient"] = gradient
    if op.bias:
        tensors[f"{op.key}.bias.gradient"] = bias.reshape(-1, gradient.shape[-1])


# -- pooling


def _forward_pool(op, tensors, step):
    tensors[op.y], tensors[op.index] = maxpool_forward(
        tensors[op.x], kernel=op.kernel, relu=op.relu
    )


def _backward_pool(op, tensors, step):
    if op.input_gradient:
        tensors[_dx(op)] = maxpool_backward(
            tensors[f"d{op.y}"], tensors[op.index], input_size=op.in_shape[1:], kernel=op.kernel
        )


def _windows(op):
    return {"kernel": op.kernel, "stride": op.stride, "padding": op.padding}


def _forward_max(op, tensors, step):
    tensors[op.y], tensors[op.index] = window_maxpool_forward(
        tensors[op.x], relu=op.relu, **_windows(op)
    )


def _backward_max(op, tensors, step):
    tensors[_dx(op)] = window_maxpool_backward(
        tensors[f"d{op.y}"],
        tensors[op.index],
        input_size=op.in_shape[1:],
        mask=_mask(op, tensors),
        **_windows(op),
    )


def _forward_average(op, tensors, step):
    settings = {"count_padding": op.count_padding, "relu": op.relu, "encode": not op.raw}
    tensors[op.y] = avgpool_forward(tensors[op.x], **_windows(op), **settings)


def _backward_average(op, tensors, step):
    tensors[_dx(op)] = avgpool_backward(
        tensors[f"d{op.y}"],
        input_size=op.in_shape[1:],
        count_padding=op.count_padding,
        mask=_mask(op, tensors),
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
        mask=_mask(op, tensors),
    )
    if op.input_gradient:
        tensors[_dx(op)] = dx
    if op.train_weight or op.train_bias:
        tensors |= {f"{key}.weight.gradient": dgamma, f"{key}.bias.gradient": dbeta}


# -- activations


def exists(segments, lanes):
    """Which lanes of the blocks hold a channel: booleans (blocks, lanes)."""
    blocks = [np.arange(-(-c // lanes) * lanes).reshape(-1, lanes) < c for c in segments]
    return np.concatenate(blocks)


def _forward_activation(op, tensors, step):
    x = tensors[op.x]
    if op.kind == "leaky_relu":
        tensors[op.y] = leaky_relu_forward(x, slope=op.slope, encode=not op.raw)
    else:
        real = exists(op.segments, x.elements.shape[-1])
        tensors[op.y] = sigmoid_forward(x, real, encode=not op.raw)


def _backward_activation(op, tensors, step):
    dy, mask = tensors[f"d{op.y}"], _mask(op, tensors)
    if op.kind == "leaky_relu":
        dx = leaky_relu_backward(dy, tensors[op.x], slope=op.slope, mask=mask)
    else:
        dx = sigmoid_backward(dy, tensors[op.y], mask=mask)
    tensors[_dx(op)] = dx


def _forward_dropout(op, tensors, step):
    x = tensors[op.x]
    if step is None:
        tensors[op.y] = Blocked.encode(x.format, x.decode())
        return
    seed = layer_seed(step.seed, step.number, op.index)
    tensors[op.y] = dropout(x, p=op.p, seed=seed)


def _backward_dropout(op, tensors, step):
    seed = layer_seed(step.seed, step.number, op.index)
    tensors[_dx(op)] = dropout(tensors[f"d{op.y}"], p=op.p, seed=seed, mask=_mask(op, tensors))


# -- several inputs, several users


def _forward_add(op, tensors, step):
    a, b = (tensors[name] for name in op.inputs)
    tensors[op.y] = add_forward(a, b, relu=op.relu, encode=not op.raw)


def _backward_add(op, tensors, step):
    dy = tensors[f"d{op.y}"]
    for x, mask, wanted, dx in zip(op.inputs, op.masks, op.wanted, op.dx, strict=True):
        if wanted:
            tensors[dx] = masked(dy, positive(tensors[x])) if mask else dy


def _block_range(tensor, start, count):
    exponents = tensor.exponents
    at = slice(start, start + count)
    if exponents is not None:
        exponents = exponents[:, at]
    return Blocked(tensor.format, tensor.elements[:, at], exponents)


def _forward_concat(op, tensors, step):
    parts = [tensors[name] for name in op.inputs]
    for index, copied in enumerate(op.copied):
        if copied:
            parts[index] = Blocked.encode(parts[index].format, parts[index].decode())
    exponents = None
    if parts[0].exponents is not None:
        exponents = np.concatenate([part.exponents for part in parts], axis=1)
    elements = np.concatenate([part.elements for part in parts], axis=1)
    tensors[op.y] = Blocked(parts[0].format, elements, exponents)


def _backward_concat(op, tensors, step):
    dy, start = tensors[f"d{op.y}"], 0
    parts = zip(op.inputs, op.blocks, op.masks, op.wanted, op.dx, strict=True)
    for x, blocks, mask, wanted, dx in parts:
        if wanted:
            part = _block_range(dy, start, blocks)
            tensors[dx] = masked(part, positive(tensors[x])) if mask else part
        start += blocks


def _forward_fanout(op, tensors, step):
    pass


def _backward_fanout(op, tensors, step):
    tensors[op.dx] = sum_gradients([tensors[name] for name in op.gradients])


_PAIRS = {
    "ActivationOp": (_forward_activation, _backward_activation),
    "AddOp": (_forward_add, _backward_add),
    "AvgPoolOp": (_forward_average, _backward_average),
    "BatchNormOp": (_forward_norm, _backward_norm),
    "ConcatOp": (_forward_concat, _backward_concat),
    "ConvOp": (_forward_conv, _backward_conv),
    "DropoutOp": (_forward_dropout, _backward_dropout),
    "FanoutOp": (_forward_fanout, _backward_fanout),
    "MaxPoolOp": (_forward_max, _backward_max),
    "PoolOp": (_forward_pool, _backward_pool),
}
_FORWARD = {name: pair[0] for name, pair in _PAIRS.items()}
_BACKWARD = {name: pair[1] for name, pair in _PAIRS.items()}
