"""Tensors in DRAM."""

from dataclasses import dataclass
from math import prod

import numpy as np

from ..formats import BFP16, Blocked, format_named

__all__ = ["LINE_BYTES", "TensorSpec"]

LINE_BYTES = 64


@dataclass
class TensorSpec:
    """Where and how a tensor lies in DRAM.

    Members
    -------
    name : str
    kind : str
        "activation", "gradient", "weight", "master", "momentum", "weight_gradient",
        "logits", "labels", "targets", "index", "mask" (weights that exist), "running", "statistic"
        (of a batch), "container" (only the parts that views name are used), a name of the
        optimizer's state, "loss" (one fp32 an image, padded to a line, then the batch's; of
        MSELoss: a vector an image, all lanes alike, then the batch's: the last 16 words begin with
        it in any case) or "program".
    storage : str
        "blocked" (elements and exponents of the compute format), "elements" (those alone), "fp32",
        "bytes" or "words".
    shape : tuple
        All axes; the last is `lanes` except for labels, losses and programs.
    address, exponent_address : int
        Byte offsets from the base of the memory; the latter None without exponents.
    low_address : int
        Of the plane of low digits; None where there are none.
    view : (str, int) or None
        This tensor is part of another one, of that name, from that channel block on: images are as
        far from each other as there.
    bits : int or None
        Bits of an element where memory packs it narrower than its type; None: they are the type's.
    pitch : int or None
        Of a view: vectors from image to image.
    nbytes, plane_nbytes : int
        Bytes of the elements, unpacked; of one digit of them.
    """

    name: str
    kind: str
    storage: str
    shape: tuple
    format: str
    address: int = None
    exponent_address: int = None
    low_address: int = None
    view: tuple = None
    bits: int = None
    pitch: int = None

    _DTYPES = {"fp32": np.float32, "bytes": np.uint8, "words": np.uint32}

    @property
    def has_exponents(self):
        return self.storage == "blocked" and format_named(self.format).exponent_bits > 0

    @property
    def digits(self):
        """Planes that the elements lie in: 2 in bfp16."""
        return 2 if self.storage == "blocked" and self.format == "bfp16" else 1

    @property
    def dtype(self):
        """Of what a plane holds."""
        if self.digits == 2:
            return np.dtype(np.int8)
        if self.storage in ("blocked", "elements"):
            return format_named(self.format).element_dtype
        return np.dtype(self._DTYPES[self.storage])

    @property
    def plane_nbytes(self):
        return prod(self.shape) * self.dtype.itemsize

    @property
    def nbytes(self):
        return self.digits * self.plane_nbytes

    @property
    def exponent_nbytes(self):
        return prod(self.shape[:-1]) if self.has_exponents else 0

    @property
    def packed_nbytes(self):
        """Bytes of the elements, packed at their width, and of the exponents."""
        bits = 8 * self.dtype.itemsize * self.digits if self.bits is None else self.bits
        return -(-prod(self.shape) * bits // 8) + self.exponent_nbytes

    @property
    def vector_nbytes(self):
        """Bytes of a vector's elements, or of one digit of them."""
        return self.shape[-1] * self.dtype.itemsize

    def spans(self):
        """[(offset, bytes)] of the elements in memory: one a plane, or one an image where it is a
        view."""
        spans = self._spans(self.address, self.vector_nbytes, self.plane_nbytes)
        if self.digits == 2:
            spans += self._spans(self.low_address, self.vector_nbytes, self.plane_nbytes)
        return spans

    def exponent_spans(self):
        """The same for the exponents; none where there are none."""
        if not self.has_exponents:
            return []
        return self._spans(self.exponent_address, 1, self.exponent_nbytes)

    def _spans(self, address, size, nbytes):
        if self.pitch is None:
            return [(address, nbytes)]
        images = self.shape[0]
        return [(address + n * self.pitch * size, nbytes // images) for n in range(images)]

    def from_bytes(self, elements, exponents=None):
        """The tensor from its bytes: Blocked if `storage` is "blocked", else an array."""
        array = np.frombuffer(elements, self.dtype)
        if self.digits == 2:
            array = BFP16.join(*array.reshape(2, -1))
        array = array.reshape(self.shape).copy()
        if self.storage != "blocked":
            return array
        if not self.has_exponents:
            exponents = None
        if exponents is not None:
            exponents = np.frombuffer(exponents, np.uint8).reshape(self.shape[:-1]).copy()
        return Blocked(format_named(self.format), array, exponents)

    def to_bytes(self, value):
        """(element bytes, exponent bytes or None) of a value that `from_bytes` would return."""
        elements = value.elements if self.storage == "blocked" else value
        kind = format_named(self.format).element_dtype if self.digits == 2 else self.dtype
        elements = np.ascontiguousarray(elements, kind)
        if elements.shape != tuple(self.shape):
            raise ValueError(
                f"tensor {self.name} must have shape {self.shape}, not {elements.shape}"
            )
        exponents = None
        if self.has_exponents:
            exponents = np.ascontiguousarray(value.exponents, np.uint8).tobytes()
        if self.digits == 2:
            elements = np.stack(BFP16.digits(elements))
        return elements.tobytes(), exponents
