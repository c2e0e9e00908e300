"""What every number format offers."""

__all__ = ["Format", "format_named"]


class Format:
    """A number format of vectors along the channel block.

    Members
    -------
    name : str
    element_bits : int
        Bits of an element (a mantissa where there is a shared exponent).
    exponent_bits : int
        Bits of the exponent that a vector shares; 0 without one.
    element_dtype : numpy.dtype
        Type of the stored elements.
    """

    name = None
    element_bits = None
    exponent_bits = 0
    element_dtype = None

    def encode(self, values):
        """Round float32 `values` of shape (..., lanes) to the format.

        Returns (elements, exponents): elements of `element_dtype` and the same shape, exponents
        uint8 of shape (...) (None without exponents). NaN and infinities saturate, see
        docs/numerics.md.
        """
        raise NotImplementedError

    def decode(self, elements, exponents):
        """The inverse of `encode`, exact: float32 of the shape of `elements`."""
        raise NotImplementedError


def format_named(name):
    """The format object of a name."""
    from .bfp8 import BFP8
    from .bfp16 import BFP16
    from .fp32 import FP32

    formats = {"bfp8": BFP8(), "bfp16": BFP16(), "fp32": FP32()}
    if name not in formats:
        raise ValueError(f"format must be one of {tuple(formats)}, not {name!r}")
    return formats[name]
