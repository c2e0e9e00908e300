"""The NumPy training model: bit-exact with the hardware, written from docs/numerics.md alone."""

from .conv import conv_backward_input, conv_forward
from .elementary import fexp, flog
from .layout import (
    blocked_to_linear,
    blocked_to_weights,
    linear_to_blocked,
    weights_to_blocked,
)
from .loss import cross_entropy
from .pooling import maxpool_backward, maxpool_forward
from .update import sgd
from .weight_gradient import conv_backward_weight

__all__ = [
    "blocked_to_linear",
    "blocked_to_weights",
    "conv_backward_input",
    "conv_backward_weight",
    "conv_forward",
    "cross_entropy",
    "fexp",
    "flog",
    "linear_to_blocked",
    "maxpool_backward",
    "maxpool_forward",
    "sgd",
    "weights_to_blocked",
]
