"""The vector program as 32-bit words in DRAM: layouts as data. docs/vector-processor.md says what
it means, `vector.assembler` writes it; this file is what both and the gateware share.

    header  w0  MAGIC << 16 | VERSION
            w1  words of the program, header included, as the command says them | instructions << 16
            w2  kinds of the streams A, B, C, W0, W1, two bits each from bit 0
            w3  checksum: all words sum to 0 modulo 2^32
    blocks      address << 16 | words, then the words: where in the table memory they go

Table memory (512 words):

    4 * instruction + 0 .. 2        an instruction (`INSTRUCTION`)
    4 * index + 3                   outer step of an index, index < 6
    K_BASE + k                      operand K
    START_BASE + 16 * extent + j    start of index j; j = 9 ..: `HEADER` of the extent
    STEP_BASE + 64 * extent + 16 * level + j    what index j moves by where loop i<level> advances
"""

__all__ = [
    "ACCUMULATE",
    "CHUNK",
    "EXTENTS",
    "FLAGS",
    "HEADER",
    "HEADER_WORDS",
    "INDICES",
    "INSTRUCTION",
    "INSTRUCTIONS",
    "KINDS",
    "K_BASE",
    "K_CONSTANTS",
    "K_SCALARS",
    "K_SPECIAL",
    "MAGIC",
    "OPERANDS",
    "OPERATIONS",
    "OUTER_WORD",
    "POSTS",
    "REDUCE",
    "REGISTER_WORDS",
    "SCALARS",
    "SPECIALS",
    "START_BASE",
    "STEP_BASE",
    "VERSION",
    "WINDOW",
    "field_places",
]

MAGIC = 0xEF50
VERSION = 1
HEADER_WORDS = 4

INSTRUCTIONS, EXTENTS = 32, 4
CHUNK = 32
"""Vectors of a run: a loop i0 over vectors that follow each other goes in steps of these."""

REGISTER_WORDS = 64
"""Words of each of the eight registers R; R0 to R3 use one a lane."""

WINDOW = 40
"""Elements after which what an instruction wrote into a register can be read."""

# operands K: constants of the program, scalars of the command, values of the machine
K_CONSTANTS, SCALARS = 32, 16
K_SCALARS, K_SPECIAL = 32, 48
SPECIALS = ("inverse_images", "learning_rate", "momentum", "minus_learning_rate")

OUTER_WORD = 3
K_BASE, START_BASE, STEP_BASE = 128, 192, 256

INDICES = ("a", "b", "c", "e", "w0", "w1", "position", "row", "column")
"""What walks with the loops; the first six are vector indices of streams."""

HEADER = ("n3", "n2", "n1", "n0", "flags", "bounds")
"""Counts less one (n0: in chunks), flags, height | width << 16."""

FLAGS = (("images", 1), ("bounded", 1), ("chunk", 6), ("last_chunk", 6))
"""n3 counts images; bounds hold; vectors of each chunk, of the last one."""

KINDS = ("unused", "elements", "raw", "bytes")
OPERATIONS = (
    "mac", "multiply", "pass", "gate", "choose", "ldexp", "divide", "root", "random",
)  # fmt: skip
ACCUMULATE = ("no", "sum", "maximum")
REDUCE = ("instruction", "i0", "i1", "never")
POSTS = ("t1", "relu", "select")

OPERANDS = {
    "a0": ("k", "a", "b", "r"),
    "b0": ("k", "a", "b", "r"),
    "c0": ("k", "b", "r", "position"),
    "b1": ("k", "a", "b", "r", "t0"),
    "c1": ("k", "b", "c", "r", "t0"),
    "a1": ("t0", "a0", "b0", "c0"),
}
"""What each operand may be; `r` of a0 and b1 is register p0, of b0 p1, of c0 and c1 p2."""

INSTRUCTION = (
    # word 0: what leaves, which elements, how they accumulate
    (("extent", 2), ("use_a", 1), ("use_b", 1), ("use_c", 1), ("to_e", 1), ("to_w0", 1),
     ("to_w1", 1), ("to_r", 1), ("r", 3), ("emit", 1), ("reduce", 2), ("across", 1),
     ("accumulate", 2), ("pad", 1), ("wait", 1), ("valid0", 1), ("valid1", 1), ("p0", 3),
     ("p1", 3), ("p2", 3)),
    # word 1: operands and operations
    (("a0", 2), ("b0", 2), ("c0", 2), ("b1", 3), ("c1", 3), ("negate_c0", 1), ("negate_c1", 1),
     ("operation", 4), ("equal", 1), ("invert", 1), ("a1", 2), ("post", 2), ("scalar0", 1),
     ("scalar1", 1), ("scalar2", 1)),
    # word 2: which K the operands are
    (("k_a0", 6), ("k_b0", 6), ("k_c0", 6), ("k_b1", 6), ("k_c1", 6)),
)  # fmt: skip


def field_places():
    """{field: (word, shift, bits)} of an instruction."""
    places = {}
    for word, fields in enumerate(INSTRUCTION):
        shift = 0
        for name, bits in fields:
            places[name] = (word, shift, bits)
            shift += bits
        assert shift <= 32
    return places
