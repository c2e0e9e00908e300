"""Activations, dropout, addition, concatenation and fan-out on a dict of tensors."""

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
from .join import add_forward, masked, sum_gradients
from .reduce import positive
from .run_layers import dx_name, mask_of

__all__ = ["ELEMENTS", "exists"]


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
    dy, mask = tensors[f"d{op.y}"], mask_of(op, tensors)
    if op.kind == "leaky_relu":
        dx = leaky_relu_backward(dy, tensors[op.x], slope=op.slope, mask=mask)
    else:
        dx = sigmoid_backward(dy, tensors[op.y], mask=mask)
    tensors[dx_name(op)] = dx


def _forward_dropout(op, tensors, step):
    x = tensors[op.x]
    if step is None:
        tensors[op.y] = Blocked.encode(x.format, x.decode())
        return
    seed = layer_seed(step.seed, step.number, op.index)
    tensors[op.y] = dropout(x, p=op.p, seed=seed)


def _backward_dropout(op, tensors, step):
    seed, mask = layer_seed(step.seed, step.number, op.index), mask_of(op, tensors)
    tensors[dx_name(op)] = dropout(tensors[f"d{op.y}"], p=op.p, seed=seed, mask=mask)


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


ELEMENTS = {
    "ActivationOp": (_forward_activation, _backward_activation),
    "AddOp": (_forward_add, _backward_add),
    "ConcatOp": (_forward_concat, _backward_concat),
    "DropoutOp": (_forward_dropout, _backward_dropout),
    "FanoutOp": (_forward_fanout, _backward_fanout),
}
"""(forward, backward) by the operation's type; each takes (op, tensors, step)."""
