"""Descriptors of every operation and pass: the tile loops, and the commands of their body."""

from .backward import backward_descriptor
from .forward import forward_descriptor, forward_tiling, pools_with
from .vector import (
    loss_descriptor,
    pool_backward_descriptor,
    pool_forward_descriptor,
    update_descriptor,
)
from .weight_gradient import weight_gradient_descriptor

__all__ = [
    "backward_descriptor",
    "forward_descriptor",
    "forward_tiling",
    "loss_descriptor",
    "pool_backward_descriptor",
    "pool_forward_descriptor",
    "pools_with",
    "update_descriptor",
    "weight_gradient_descriptor",
]
