"""What the parts of the vector processor hand to each other."""

from amaranth.lib import data

from .. import program_format as layout

__all__ = ["INSTRUCTION", "PORTS", "RUNS", "SEGMENT", "held", "run_struct"]

INSTRUCTION = data.StructLayout(
    {name: bits for fields in layout.INSTRUCTION[:2] for name, bits in fields}
)
"""Words 0 and 1 of an instruction, without gaps."""

SEGMENT = data.StructLayout(
    {"vectors": 6, "pad": 1, "valid": 1, "first": 1, "end": 1, "last": 1, "position": 8}
)
"""Vectors that follow each other: A and B deliver `pad`; the image is `valid`; the first one begins
a reduction, the last one ends it; the last segment of the instruction."""

RUNS = ("a", "ax", "b", "bx", "c", "e", "ex", "w0", "w1", "program", "scalars")
"""Runs by what they carry; x: exponents."""

PORTS = {
    "read0": ("a",),
    "read1": ("b",),
    "read2": ("ax", "bx", "c", "program", "scalars"),
    "write0": ("w0",),
    "write1": ("w1",),
    "element": ("e",),
    "exponent": ("ex",),
}
"""Who goes through which port."""


def held():
    """Operands K of an instruction: a0, b0, c0, b1, c1."""
    return data.ArrayLayout(32, 5)


def run_struct(config):
    """A run, the port that it goes to (one hot, `PORTS`), and what it carries if that is read2:
    0 exponents of A, 1 exponents of B, 2 stream C, 3 the program."""
    return data.StructLayout(
        {"address": config.address_bits, "items": 16, "port": len(PORTS), "kind": 2}
    )
