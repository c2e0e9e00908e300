"""CRC-32 of a byte stream, as zlib computes it."""

from amaranth.hdl import Cat

__all__ = ["CRC_INITIAL", "CRC_RESIDUE", "next_crc"]

_POLYNOMIAL = 0xEDB88320  # IEEE 802.3, bit-reversed
CRC_INITIAL = 0xFFFFFFFF
CRC_RESIDUE = 0xDEBB20E3
"""The register after a message and its own CRC."""


def next_crc(crc, byte):
    """The 32-bit register after one more byte: XORs only, at most 3 LUT levels.

    The CRC is the inverted register.

    Parameters
    ----------
    crc : Value, 32 bits
    byte : Value, 8 bits
    """
    bits = [crc[k] ^ byte[k] if k < 8 else crc[k] for k in range(32)]
    for _ in range(8):
        out, bits = bits[0], [*bits[1:], None]
        for k in range(32):
            if _POLYNOMIAL >> k & 1:
                bits[k] = out if bits[k] is None else bits[k] ^ out
        assert bits[31] is not None
    return Cat(*bits)
