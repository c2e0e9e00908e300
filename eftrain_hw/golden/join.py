"""Tensors that meet: residual addition, and the sum of several users' gradients."""

from .arithmetic import fadd
from .reduce import store

__all__ = ["add_forward", "masked", "sum_gradients"]


def add_forward(a, b, *, relu=False, encode=True):
    """a + b of Blocked tensors."""
    return store(a.format, fadd(a.decode(), b.decode()), relu=relu, encode=encode)


def masked(dy, mask):
    """dy where `mask` (booleans), +0 elsewhere, encoded anew."""
    return store(dy.format, dy.decode(), mask=mask)


def sum_gradients(gradients):
    """The first of Blocked gradients plus the second, plus the third, ...; encoded once."""
    total = gradients[0].decode()
    for gradient in gradients[1:]:
        total = fadd(total, gradient.decode())
    return store(gradients[0].format, total)
