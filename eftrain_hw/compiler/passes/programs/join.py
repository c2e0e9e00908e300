"""Vector programs where tensors meet: addition, concatenation, several users of a tensor."""

from dataclasses import replace

from ....vector.assembler import A, B, C, Instruction
from .context import elementwise

__all__ = [
    "add_backward",
    "add_forward",
    "concat_backward",
    "concat_forward",
    "fanout_backward",
]


def add_forward(context, op):
    """y = a + b."""
    to = "w0" if op.raw else "e"
    post = "relu" if op.relu else "t1"
    a, b = (context.map(name, op.in_shape) for name in op.inputs)
    step = Instruction("pass", a0=A, c1=B, post=post, to=(to,))
    return elementwise(step, a=a, b=b, **{to: context.map(op.y)})


def _masked(dy, x, dx):
    return elementwise(Instruction("gate", a0=A, b0=B, c0=0.0, to=("e",)), a=dy, b=x, e=dx)


def add_backward(context, op):
    """dy is the gradient of both inputs; it is written anew where a mask is to be taken."""
    dy, jobs = context.map(f"d{op.y}"), []
    for x, mask, wanted, dx in zip(op.inputs, op.masks, op.wanted, op.dx, strict=True):
        if wanted and mask:
            shape = op.in_shape
            jobs += _masked(dy, context.map(x, shape), context.map(dx, shape))
    return jobs


def _parts(whole, blocks):
    """`Map` of each part of a concatenation."""
    start = whole.start
    for count in blocks:
        shape = (whole.shape[0], count, *whole.shape[2:])
        yield replace(whole, start=start, shape=shape)
        start += count * whole.pixels


def concat_forward(context, op):
    """What is no part of y already is copied."""
    step, jobs = Instruction("pass", a0=A, to=("e",)), []
    parts = _parts(context.map(op.y), op.blocks)
    for name, copied, part in zip(op.inputs, op.copied, parts, strict=True):
        if copied:
            jobs += elementwise(step, a=context.map(name, part.shape[1:]), e=part)
    return jobs


def concat_backward(context, op):
    """Parts of dy are the gradients; they are written anew where a mask is to be taken."""
    jobs = []
    parts = _parts(context.map(f"d{op.y}"), op.blocks)
    for x, mask, wanted, dx, part in zip(
        op.inputs, op.masks, op.wanted, op.dx, parts, strict=True
    ):
        if wanted and mask:
            shape = part.shape[1:]
            jobs += _masked(part, context.map(x, shape), context.map(dx, shape))
    return jobs


def fanout_backward(context, op):
    """The users' gradients added in their order: two at a time, sums in between as fp32."""
    dx = context.map(op.dx)
    first, *others = (context.map(name, dx.shape[1:]) for name in op.gradients)
    if not others:
        return elementwise(Instruction("pass", a0=A, to=("e",)), a=first, e=dx)
    second, *rest = others
    total, jobs = context.scratch(dx) if rest else dx, []

    def add(to, other, **maps):
        step = Instruction("pass", a0=A, c1=other, to=(to,))
        jobs.extend(elementwise(step, **maps))

    add("w0" if rest else "e", B, a=first, b=second, **{"w0" if rest else "e": total})
    for number, gradient in enumerate(rest, 1):
        to, out = ("e", dx) if number == len(rest) else ("w0", total)
        add(to, C, a=gradient, c=total, **{to: out})
    return jobs
