"""bfp8 with fewer bits in a mantissa: what is stored narrow and computed with as bfp8."""

import numpy as np

from .base import Format
from .bfp8 import BFP8
from .layout import Blocked

__all__ = ["encode_narrow"]


def encode_narrow(values, bits, format=None):
    """Round float32 vectors (..., lanes) to mantissas of `bits` bits.

    The exponent is bfp8's rule for that width; a narrow mantissa m, at most 2^(bits - 1) - 1 in
    magnitude, is the bfp8 mantissa m * 2^(8 - bits). So the array needs nothing new: memory holds
    `bits` bits, the loader shifts.

    Parameters
    ----------
    values : numpy.ndarray
    bits : int
        2 to 8; 8 is bfp8 itself.
    format : Format or None
        None: bfp8. Another format than bfp8 is left as it is with 8 bits.

    Returns
    -------
    Blocked
        In bfp8.
    """
    if not isinstance(bits, int) or not 2 <= bits <= 8:
        raise ValueError(f"mantissa bits must be 2 to 8, not {bits!r}")
    format = BFP8() if format is None else format
    if not isinstance(format, Format) or (bits < 8 and format.name != "bfp8"):
        raise ValueError(f"mantissas of {bits} bits must be of bfp8, not {format!r}")
    if bits == 8:
        return Blocked.encode(format, values)
    values = np.ascontiguousarray(values, np.float32)
    fields = values.view(np.uint32) & np.uint32(0x7FFFFFFF)
    fields = np.where(fields < 0x00800000, np.uint32(0), fields)  # subnormals: zero
    largest = fields.max(axis=-1)
    top = (1 << (bits - 1)) - 1  # the leading bits of a fraction that rounds up to 2^(bits - 1)
    exponents = (largest >> 23).astype(np.int32)
    exponents += ((largest >> (24 - bits)) & top) == top
    exponents = np.where(largest == 0, 0, np.minimum(exponents, 254))
    with np.errstate(invalid="ignore", over="ignore"):
        scaled = np.ldexp(values.astype(np.float64), (125 + bits - exponents)[..., None])
        scaled[fields == 0] = 0.0
        mantissas = np.clip(np.nan_to_num(np.rint(scaled), posinf=top, neginf=-top), -top, top)
    nan = np.isnan(values)
    mantissas[nan] = np.where(np.signbit(values[nan]), -top, top)
    elements = (mantissas * (1 << (8 - bits))).astype(np.int8)
    return Blocked(format, elements, exponents.astype(np.uint8))
