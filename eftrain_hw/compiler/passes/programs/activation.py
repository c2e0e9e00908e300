"""Vector programs of activations."""

from ....vector.assembler import A, B, Instruction
from .context import elementwise

__all__ = ["activation_backward", "activation_forward"]


def activation_forward(context, op):
    """Leaky ReLU: x where it is greater than 0, slope * x elsewhere."""
    to = "w0" if op.raw else "e"
    step = Instruction("multiply", a0=op.slope, b0=A, c0=0.0, a1="b0", post="select", to=(to,))
    return elementwise(step, a=context.map(op.x, op.in_shape), **{to: context.map(op.y)})


def activation_backward(context, op):
    """Leaky ReLU: dy where x is greater than 0, slope * dy elsewhere."""
    dx = context.dx(op)
    to, out = context.out(op, dx)
    step = Instruction("pass", a0=A, b0=B, c0=0.0, invert=True, b1=op.slope, post="select",
                       to=(to,))  # fmt: skip
    maps = {"a": context.map(f"d{op.y}"), "b": context.map(op.x, op.in_shape), to: out}
    return elementwise(step, **maps) + context.mask_jobs(op, dx)
