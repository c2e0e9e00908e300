"""The NumPy training model: bit-exact with the hardware, written from docs/numerics.md alone."""

from .conv import conv_backward_input, conv_forward
from .elementary import fexp, flog
from .loss import cross_entropy, squared_error
from .pooling import maxpool_backward, maxpool_forward
from .update import adam, sgd
from .weight_gradient import conv_backward_weight

__all__ = [
    "adam",
    "conv_backward_input",
    "conv_backward_weight",
    "conv_forward",
    "cross_entropy",
    "fexp",
    "flog",
    "maxpool_backward",
    "maxpool_forward",
    "sgd",
    "squared_error",
]
