"""Vector programs of dropout."""

from math import prod

from ....vector.assembler import A, Extent, Instruction, R, Scalar, Walk
from ...scalars import seed_place
from .blocks import block_vectors, blockwise
from .context import elementwise
from .job import make_job

__all__ = ["dropout_backward", "dropout_forward", "first_of_rest"]


def first_of_rest(program, op):
    """Number of the first element that is not in a whole block."""
    lanes = program.config.lanes
    vectors = program.batch_size * prod(op.out_shape)
    return vectors // block_vectors(lanes) * block_vectors(lanes) * lanes


def dropout_forward(context, op):
    """x / (1 - p) or +0; x in inference."""
    x, y = context.map(op.x, op.in_shape), context.map(op.y)
    if not context.training:
        return elementwise(Instruction("pass", a0=A, to=("e",)), a=x, e=y)
    return _dropped(context, op, x, y, "e")


def dropout_backward(context, op):
    """The same of dy, with the same random numbers."""
    dx = context.dx(op)
    to, out = context.out(op, dx)
    return _dropped(context, op, context.map(f"d{op.y}"), out, to) + context.mask_jobs(op, dx)


def _dropped(context, op, x, y, to):
    if not (x.is_whole and y.is_whole):
        raise ValueError(f"{op.name}: Dropout must not be next to a concatenation")

    def make(first, size, count, part):
        line, place = seed_place(op.index, part)
        steps = (
            Instruction("random", a0=Scalar(place), to=(R(4),)),
            Instruction("gate", a0=A, b0=op.p, c0=R(4), invert=True, b1=1 / (1 - op.p), to=(to,)),
        )
        walks = {n: Walk(m.start + first, (0, 0, 0, 1)) for n, m in (("a", x), (to, y))}
        extent = Extent((1, 1, 1, size), **walks)
        tensors, outer = {"a": x.spec, to: y.spec}, {"a": size, to: size}
        return make_job(steps, (extent,), tensors, count=count, outer=outer, scalars=line)

    return blockwise(prod(x.shape), context.config.lanes, make)
