"""Number formats: shapes and exact NumPy codecs."""

from .base import Format, format_named
from .bfp8 import BFP8
from .fp32 import FP32
from .layout import Blocked, block_channels, unblock_channels

__all__ = [
    "BFP8",
    "Blocked",
    "FP32",
    "Format",
    "block_channels",
    "format_named",
    "unblock_channels",
]
