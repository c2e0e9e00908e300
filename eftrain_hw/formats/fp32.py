"""IEEE binary32, subnormals flushed to zero."""

import numpy as np

from .base import Format

__all__ = ["FP32"]


class FP32(Format):
    """IEEE 754 binary32 without shared exponents; subnormals are stored as zero of their sign."""

    name = "fp32"
    element_bits = 32
    exponent_bits = 0
    element_dtype = np.dtype(np.float32)

    def encode(self, values):
        values = np.array(values, dtype=np.float32)
        tiny = np.abs(values) < np.float32(2.0**-126)
        return np.where(tiny, np.copysign(np.float32(0), values), values), None

    def decode(self, elements, exponents=None):
        return np.array(elements, dtype=np.float32)
