"""Block floating point: 8-bit mantissas, one 8-bit power-of-two exponent a vector."""

import numpy as np

from .base import Format

__all__ = ["BFP8"]

_SCALES = np.ldexp(np.float32(1), np.minimum(133 - np.arange(256), 127)).astype(np.float32)
_SCALES[0] = 0  # only zeros and subnormals, which count as zero


class BFP8(Format):
    """Mantissas -127..127 (-128 is not used), value = mantissa * 2^(exponent - 133).

    The exponent is the biased binary32 exponent of the largest magnitude of the vector, plus one
    where that magnitude would round to 128; 254 at most, 0 only for a vector of zeros. Mantissas
    round to nearest even. The scheme is MXINT8's of the OCP Microscaling specification 1.0 with
    the block set to `lanes`.
    """

    name = "bfp8"
    element_bits = 8
    exponent_bits = 8
    element_dtype = np.dtype(np.int8)

    BIAS = 133
    LIMIT = 127

    def encode(self, values):
        values = np.ascontiguousarray(values, dtype=np.float32)
        bits = values.view(np.uint32)
        magnitude = bits & np.uint32(0x7FFFFFFF)
        magnitude = np.where(magnitude < 0x00800000, np.uint32(0), magnitude)  # subnormals: zero
        largest = magnitude.max(axis=-1)
        exponents = (largest >> 23).astype(np.int32)
        exponents += ((largest >> 16) & 0x7F) == 0x7F  # 127.5/64 and above rounds to 128
        exponents = np.where(largest == 0, 0, np.minimum(exponents, 254))
        ordinary = largest.size == 0 or largest.max() < 0x7F800000
        if ordinary and np.all((exponents >= 8) | (exponents == 0)):
            # every scale is a normal power of two, so that rint alone rounds
            scaled = values * _SCALES[exponents][..., None]
            np.rint(scaled, out=scaled)
            np.clip(scaled, -self.LIMIT, self.LIMIT, out=scaled)
            return scaled.astype(np.int8), exponents.astype(np.uint8)
        return self._shifted(bits, magnitude, exponents), exponents.astype(np.uint8)

    def _shifted(self, bits, magnitude, exponents):
        """Mantissas by integer shifts of the significands, for any exponent."""
        significand = (magnitude & 0x7FFFFF).astype(np.int64) | (1 << 23)
        significand[magnitude == 0] = 0
        distance = 17 + exponents[..., None] - (magnitude >> 23).astype(np.int32)
        distance = np.clip(distance, 0, 40)
        half = np.where(distance > 0, np.int64(1) << np.maximum(distance - 1, 0), 0)
        floor = significand >> distance
        remainder = significand - (floor << distance)
        up = (remainder > half) | ((remainder == half) & (floor & 1 == 1) & (distance > 0))
        mantissas = np.minimum(floor + up, self.LIMIT)
        mantissas = np.where(magnitude >= 0x7F800000, self.LIMIT, mantissas)
        return np.where(bits >> 31 == 1, -mantissas, mantissas).astype(np.int8)

    def decode(self, elements, exponents):
        scale = np.exp2(np.asarray(exponents, np.float64)[..., None] - self.BIAS)
        exact = np.asarray(elements, np.float64) * scale
        exact[np.abs(exact) < 2.0**-126] = 0.0
        return exact.astype(np.float32)
