"""bfp8 and the rest that its rounding left: 16-bit mantissas of two digits of 8 bits."""

import numpy as np

from .base import Format
from .bfp8 import BFP8
from .layout import Blocked

__all__ = ["BFP16"]


class BFP16(Format):
    """value = mantissa * 2^(exponent - 141), mantissa = 256 * high + low, digits -127..127.

    The high digits and the exponents are those of the vector in bfp8, to the last bit; the low
    digit is what its rounding left, rounded to nearest even and limited to +-127. It is 0 where the
    high one saturates and in vectors whose exponent is below 8. In memory the digits lie in planes
    of their own, so that a bfp16 tensor begins with its bfp8 tensor.
    """

    name = "bfp16"
    element_bits = 16
    exponent_bits = 8
    element_dtype = np.dtype(np.int16)

    BIAS = 141
    DIGIT = 256
    LIMIT = 127 * 257

    def encode(self, values):
        values = np.ascontiguousarray(values, dtype=np.float32)
        high, exponents = BFP8().encode(values)
        scale = exponents.astype(np.int32)[..., None]
        fields = (values.view(np.uint32) >> 23) & 0xFF
        kept = (fields != 0) & (fields != 0xFF) & (scale >= 8)
        exact = np.where(kept, values, np.float32(0)).astype(np.float64)
        kept &= np.abs(exact) < np.ldexp(127.5, scale - BFP8.BIAS)  # else the high digit saturates
        rest = np.ldexp(np.where(kept, exact, 0.0), self.BIAS - scale)
        rest -= np.where(kept, high.astype(np.float64), 0.0) * self.DIGIT
        low = np.clip(np.rint(rest), -127, 127)
        return (high * np.int16(self.DIGIT) + low.astype(np.int16)), exponents

    def decode(self, elements, exponents):
        scale = np.asarray(exponents, np.int32)[..., None] - self.BIAS
        exact = np.ldexp(np.asarray(elements, np.float64), scale)
        exact[np.abs(exact) < 2.0**-126] = 0.0
        return exact.astype(np.float32)

    @staticmethod
    def digits(elements):
        """The high and the low digits of mantissas, int8; low digits from -128 to 127."""
        high = (np.asarray(elements, np.int32) + 128) >> 8
        return high.astype(np.int8), (elements - 256 * high).astype(np.int8)

    @classmethod
    def join(cls, high, low):
        """The inverse of `digits`: int16."""
        return np.asarray(high, np.int16) * np.int16(cls.DIGIT) + np.asarray(low, np.int16)

    @classmethod
    def high_digits(cls, tensor):
        """What a pass in bfp8 sees of a Blocked tensor in bfp16: the first plane, a bfp8 tensor."""
        return Blocked(BFP8(), cls.digits(tensor.elements)[0], tensor.exponents)
