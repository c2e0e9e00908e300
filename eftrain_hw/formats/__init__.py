"""Number formats: shapes and exact NumPy codecs."""

from .base import Format, format_named
from .bfp8 import BFP8
from .bfp16 import BFP16
from .fp32 import FP32
from .layout import Blocked, block_channels, unblock_channels
from .narrow import encode_narrow
from .weights import blocked_to_linear, blocked_to_weights, linear_to_blocked, weights_to_blocked

__all__ = [
    "BFP16",
    "BFP8",
    "Blocked",
    "FP32",
    "Format",
    "block_channels",
    "blocked_to_linear",
    "blocked_to_weights",
    "encode_narrow",
    "format_named",
    "linear_to_blocked",
    "unblock_channels",
    "weights_to_blocked",
]
