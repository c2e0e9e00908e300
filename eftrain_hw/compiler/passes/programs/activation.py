"""Vector programs of activations."""

from math import prod

import numpy as np

from ....vector.assembler import T0, A, B, Extent, Instruction, R, Walk
from ...parameters import channel_positions
from .blocks import blockwise
from .context import elementwise
from .job import make_job

__all__ = ["activation_backward", "activation_forward"]

I = Instruction  # noqa: E741
_LOG2_E, _ROUND = 1.44269504088896341, 12582912.0
_LN2_HIGH, _LN2_LOW = 0.693359375, -2.12194440e-4
_LEAST = -87.0  # exp is +0 below
_EXP = (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1,
        5.0000001201e-1)  # fmt: skip


def activation_forward(context, op):
    """y of x."""
    x, y = context.map(op.x, op.in_shape), context.map(op.y)
    to = "w0" if op.raw else "e"
    if op.kind == "sigmoid":
        return _sigmoid(context, op, x, y, to)
    step = I("multiply", a0=op.slope, b0=A, c0=0.0, a1="b0", post="select", to=(to,))
    return elementwise(step, a=x, **{to: y})


def activation_backward(context, op):
    """dx of dy and x (leaky ReLU) or y (sigmoid)."""
    dx = context.dx(op)
    to, out = context.out(op, dx)
    dy = context.map(f"d{op.y}")
    if op.kind == "sigmoid":
        jobs = _sigmoid_backward(context, dy, context.map(op.y), to, out)
        return jobs + context.mask_jobs(op, dx)
    step = I("pass", a0=A, b0=B, c0=0.0, invert=True, b1=op.slope, post="select", to=(to,))
    maps = {"a": dy, "b": context.map(op.x, op.in_shape), to: out}
    return elementwise(step, **maps) + context.mask_jobs(op, dx)


def _exponential():
    """R7 = exp(R4), R4 at most 0, by docs/numerics.md; uses R5 and R6."""
    return [
        I("choose", b0=R(4), c0=_LEAST, to=(R(6),)),
        I("mac", a0=R(6), b0=_LOG2_E, c0=_ROUND, c1=-_ROUND, to=(R(5),)),  # k
        I("mac", a0=R(5), b0=-_LN2_HIGH, c0=R(6), a1="a0", b1=-_LN2_LOW, c1=T0, to=(R(6),)),
        I("mac", a0=_EXP[0], b0=R(6), c0=_EXP[1], a1="b0", b1=T0, c1=_EXP[2], to=(R(7),)),
        I("mac", a0=R(7), b0=R(6), c0=_EXP[3], a1="b0", b1=T0, c1=_EXP[4], to=(R(7),)),
        I("mac", a0=R(7), b0=R(6), c0=_EXP[5], to=(R(7),)),
        I("multiply", a0=R(6), b0=R(6), c0=R(7), a1="c0", b1=T0, to=(R(7),)),
        I("mac", a0=R(7), b0=1.0, c0=R(6), c1=1.0, to=(R(7),)),
        I("ldexp", a0=R(7), b0=R(5), to=(R(7),)),
        I("gate", a0=R(7), b0=_LEAST, c0=R(4), invert=True, to=(R(7),)),
    ]


def _sigmoid(context, op, x, y, to):
    """1 / (1 + exp(-x)); +0 in channels that do not exist."""
    lanes = context.config.lanes
    blocks, pixels = x.shape[1], x.pixels
    exists = np.zeros(blocks * lanes, np.float32)
    exists[channel_positions(op.segments, lanes)] = 1
    steps = [
        I("multiply", a0=A, b0=-1.0, to=(R(5),)),
        I("choose", b0=A, c0=R(5), invert=True, to=(R(4),)),  # -|x|
        *_exponential(),
        I("mac", a0=R(7), b0=1.0, c0=1.0, to=(R(6),)),
        I("pass", a0=R(7), b0=A, c0=0.0, a1="c0", c1=1.0, post="select", to=(R(5),)),
        I("divide", a0=R(5), b0=R(6), b1=1.0 if exists.all() else B, to=(to,)),
    ]
    tensors = {"a": x.spec, to: y.spec}
    if not exists.all():  # a mask of the size of an image
        mask = np.repeat(exists.reshape(blocks, 1, lanes), pixels, axis=1)
        tensors["b"] = context.constants.add_vectors(mask.reshape(-1, lanes))

    def jobs(vectors, x_start, y_start):
        def make(first, size, count, part):
            on = (0, 0, 0, 1)
            walks = {"a": Walk(x_start + first, on), to: Walk(y_start + first, on)}
            extent = Extent((1, 1, 1, size), b=Walk(first, on), **walks)
            outer = dict.fromkeys(("a", "b", to), size)
            return make_job(steps, (extent,), tensors, count=count, outer=outer)

        return blockwise(vectors, lanes, make)

    if exists.all() and x.is_whole and y.is_whole:
        return jobs(prod(x.shape), x.start, y.start)
    every = []
    for image in range(x.shape[0]):
        starts = (m.start + image * m.strides[0] for m in (x, y))
        every += jobs(prod(x.shape[1:]), *starts)
    return every


def _sigmoid_backward(context, dy, y, to, out):
    """dy * ((1 - y) * y)."""
    maps = {"a": dy, "b": y, to: out}
    steps = (
        I("mac", a0=B, b0=-1.0, c0=1.0, b1=B, to=(R(4),)),
        I("multiply", a0=A, b0=R(4), to=(to,)),
    )
    tensors = {name: each.spec for name, each in maps.items()}

    def jobs(vectors, starts):
        def make(first, size, count, part):
            walks = {n: Walk(start + first, (0, 0, 0, 1)) for n, start in starts.items()}
            outer = dict.fromkeys(maps, size)
            extent = Extent((1, 1, 1, size), **walks)
            return make_job(steps, (extent,), tensors, count=count, outer=outer)

        return blockwise(vectors, context.config.lanes, make)

    if all(each.is_whole for each in maps.values()):
        return jobs(prod(dy.shape), {name: each.start for name, each in maps.items()})
    every = []
    for image in range(dy.shape[0]):
        starts = {name: m.start + image * m.strides[0] for name, m in maps.items()}
        every += jobs(prod(dy.shape[1:]), starts)
    return every
