"""Descriptors of every operation and pass: the tile loops, and the commands of their body."""

from .forward import pools_with
from .layer import (
    backward_descriptor,
    bias_gradient_descriptor,
    forward_descriptor,
    forward_tiling,
    weight_gradient_descriptor,
)
from .vector import (
    loss_descriptor,
    low_copies_descriptor,
    pool_backward_descriptor,
    pool_forward_descriptor,
    update_descriptor,
)

__all__ = [
    "backward_descriptor",
    "bias_gradient_descriptor",
    "forward_descriptor",
    "forward_tiling",
    "loss_descriptor",
    "low_copies_descriptor",
    "pool_backward_descriptor",
    "pool_forward_descriptor",
    "pools_with",
    "update_descriptor",
    "weight_gradient_descriptor",
]
