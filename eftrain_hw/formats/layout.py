"""The blocked channel layout of tensors in DRAM (oneDNN's nChw16c, block = lanes)."""

from dataclasses import dataclass

import numpy as np

from .base import Format

__all__ = ["Blocked", "block_channels", "unblock_channels"]


@dataclass
class Blocked:
    """A tensor as DRAM holds it: vectors of `lanes` elements along its last axis.

    Members
    -------
    format : Format
    elements : numpy.ndarray
        Activations and gradients (N, blocks, H, W, lanes); weights
        (out blocks, in blocks, kh, kw, in lane, out lane).
    exponents : numpy.ndarray or None
        uint8, the shape of `elements` without the last axis; None where the format has none.
    """

    format: Format
    elements: np.ndarray
    exponents: np.ndarray | None

    @classmethod
    def encode(cls, format, values):
        """Round float32 vectors (..., lanes) to `format`."""
        return cls(format, *format.encode(values))

    def decode(self):
        """The values as float32, exact."""
        return self.format.decode(self.elements, self.exponents)

    def reshape(self, *shape):
        """The same vectors under other leading axes; `shape` excludes the lanes axis."""
        lanes = self.elements.shape[-1]
        exponents = None if self.exponents is None else self.exponents.reshape(shape)
        return Blocked(self.format, self.elements.reshape(*shape, lanes), exponents)


def block_channels(array, lanes):
    """(N, C, H, W) -> (N, ceil(C / lanes), H, W, lanes), missing channels filled with zeros."""
    images, channels, height, width = array.shape
    blocks = -(-channels // lanes)
    padded = np.zeros((images, blocks * lanes, height, width), array.dtype)
    padded[:, :channels] = array
    return np.ascontiguousarray(
        padded.reshape(images, blocks, lanes, height, width).transpose(0, 1, 3, 4, 2)
    )


def unblock_channels(array, channels):
    """The inverse of `block_channels`: (N, blocks, H, W, lanes) -> (N, channels, H, W)."""
    images, blocks, height, width, lanes = array.shape
    if not 1 <= channels <= blocks * lanes:
        raise ValueError(f"channels must be 1 to {blocks * lanes}, not {channels!r}")
    flat = array.transpose(0, 1, 4, 2, 3).reshape(images, blocks * lanes, height, width)
    return np.ascontiguousarray(flat[:, :channels])
