"""Vector programs: what the compiler builds, checked and turned into words."""

import struct
from dataclasses import dataclass, field
from numbers import Real

from . import program_format as layout

__all__ = [
    "A",
    "B",
    "Bounds",
    "C",
    "Extent",
    "INVERSE_IMAGES",
    "Instruction",
    "LEARNING_RATE",
    "MINUS_LEARNING_RATE",
    "MOMENTUM",
    "Operand",
    "POSITION",
    "R",
    "Scalar",
    "T0",
    "VectorProgram",
    "Walk",
    "goes_straight_on",
]

_STREAMS = layout.INDICES[:6]
_KIND_FIELDS = ("a", "b", "c", "w0", "w1")
_PORTS = {"a0": 0, "b1": 0, "b0": 1, "c0": 2, "c1": 2}


@dataclass(frozen=True)
class Operand:
    """An operand that is no constant; constants are plain floats."""

    kind: str
    index: int = 0
    scalar: bool = False


A, B, C = Operand("a"), Operand("b"), Operand("c")
POSITION, T0 = Operand("position"), Operand("t0")
INVERSE_IMAGES, LEARNING_RATE, MOMENTUM, MINUS_LEARNING_RATE = (
    Operand("special", k) for k in range(len(layout.SPECIALS))
)


def Scalar(index):
    """Run-time scalar 0 .. 15 of the command."""
    return Operand("scalar", _integer("Scalar", index, 0, layout.SCALARS - 1))


def R(index, *, scalar=False):
    """Register 0 .. 7; with `scalar`, its word 0 for every element."""
    return Operand("r", _integer("R", index, 0, 7), bool(scalar))


@dataclass(frozen=True)
class Walk:
    """Vector index start + i3 * s3 + i2 * s2 + i1 * s1 + i0 * s0, steps = (s3, s2, s1, s0)."""

    start: int = 0
    steps: tuple = (0, 0, 0, 0)


@dataclass(frozen=True)
class Bounds:
    """Where A and B deliver `pad`: `row` outside 0 .. height - 1 or `column` outside its range."""

    row: Walk
    height: int
    column: Walk
    width: int


@dataclass(frozen=True)
class Extent:
    """Loops i3, i2, i1, i0 over vectors, and how each stream walks in them.

    Members
    -------
    counts : tuple of int
        n3, n2, n1, n0.
    a, b, c, e, w0, w1 : Walk
    position : Walk
        Of the number that the operand POSITION is, modulo 256.
    images : bool
        n3 counts images: those beyond the valid ones are invalid.
    bounds : Bounds or None
    """

    counts: tuple
    a: Walk = field(default_factory=Walk)
    b: Walk = field(default_factory=Walk)
    c: Walk = field(default_factory=Walk)
    e: Walk = field(default_factory=Walk)
    w0: Walk = field(default_factory=Walk)
    w1: Walk = field(default_factory=Walk)
    position: Walk = field(default_factory=Walk)
    images: bool = False
    bounds: Bounds | None = None

    @property
    def vectors(self):
        """Vectors of all loops."""
        n3, n2, n1, n0 = self.counts
        return n3 * n2 * n1 * n0


@dataclass(frozen=True)
class Instruction:
    """One instruction, in the terms of docs/vector-processor.md; `to` holds "e", "w0", "w1", R."""

    operation: str = "pass"
    a0: object = 0.0
    b0: object = 0.0
    c0: object = 0.0
    negate_c0: bool = False
    equal: bool = False
    invert: bool = False
    valid0: bool = False
    accumulate: str = "no"
    reduce: str = "instruction"
    across: bool = False
    a1: str = "t0"
    b1: object = 1.0
    c1: object = -0.0
    negate_c1: bool = False
    post: str = "t1"
    valid1: bool = False
    to: tuple = ()
    emit: str = "every"
    pad: float = 0.0
    extent: int = 0

    def operands(self):
        """{name: operand} of those that are fetched."""
        return {name: getattr(self, name) for name in ("a0", "b0", "c0", "b1", "c1")}

    def register(self):
        """Number of the register that it writes, or None."""
        return next((to.index for to in self.to if isinstance(to, Operand)), None)

    def uses(self, stream):
        """Whether it reads or writes a stream."""
        read = any(isinstance(x, Operand) and x.kind == stream for x in self.operands().values())
        return read or stream in self.to


def bits(value):
    """The bits of a number as binary32."""
    return struct.unpack("<I", struct.pack("<f", value))[0]


@dataclass(frozen=True)
class VectorProgram:
    """Instructions, the extents that they walk, and what the streams hold.

    Members
    -------
    instructions : tuple of Instruction
    extents : tuple of Extent
    kinds : dict
        Of the streams a, b, c, w0, w1 that are used: "elements", "raw" or "bytes".
    outer : dict
        Vectors by which the streams' starts move with the outer loop.
    """

    instructions: tuple
    extents: tuple
    kinds: dict = field(default_factory=dict)
    outer: dict = field(default_factory=dict)

    def words(self, lanes):
        """The program as a list of 32-bit words.

        Raises
        ------
        TypeError, ValueError
            Naming the instruction or the extent, and what is allowed.
        """
        from .assembler_checks import check

        check(self, lanes)
        constants = []
        for instruction in self.instructions:
            for value in instruction.operands().values():
                if isinstance(value, Real) and bits(value) not in constants:
                    constants.append(bits(value))
        if len(constants) > layout.K_CONSTANTS:
            raise ValueError(
                f"VectorProgram must have at most {layout.K_CONSTANTS} constants,"
                f" not {len(constants)}"
            )
        table = {layout.K_BASE + k: value for k, value in enumerate(constants)}
        for number, instruction in enumerate(self.instructions):
            encoded = self._encode(number, instruction, constants, lanes)
            table |= {4 * number + k: word for k, word in enumerate(encoded)}
        for number, name in enumerate(_STREAMS):
            table[4 * number + layout.OUTER_WORD] = self.outer.get(name, 0) & 0xFFFFFFFF
        for number, extent in enumerate(self.extents):
            used = [i for i in self.instructions if i.extent == number]
            table |= _extent_words(number, extent, used)
        return self._file(table)

    def _file(self, table):
        words = [layout.MAGIC << 16 | layout.VERSION, 0, 0, 0]
        for number, name in enumerate(_KIND_FIELDS):
            words[2] |= layout.KINDS.index(self.kinds.get(name, "unused")) << 2 * number
        block, last = None, 0
        for address in sorted(table):
            # a gap of one word costs no more than a new block
            if block is not None and address == last + 2:
                words.append(0)
                words[block] += 1
            elif block is None or address != last + 1:
                block = len(words)
                words.append(address << 16)
            words.append(table[address])
            words[block] += 1
            last = address
        words[1] = len(words) | len(self.instructions) << 16
        words[3] = -sum(words) & 0xFFFFFFFF
        return words

    def _encode(self, number, instruction, constants, lanes):
        values = {"extent": instruction.extent, "to_r": instruction.register() is not None}
        values["r"] = instruction.register() or 0
        for name in ("negate_c0", "negate_c1", "equal", "invert", "valid0", "valid1", "across"):
            values[name] = int(getattr(instruction, name))
        for name in ("a", "b", "c"):
            values[f"use_{name}"] = instruction.uses(name)
        for name in ("e", "w0", "w1"):
            values[f"to_{name}"] = name in instruction.to
        values["emit"] = instruction.emit == "last"
        values["pad"] = instruction.pad != 0
        values["reduce"] = layout.REDUCE.index(instruction.reduce)
        values["accumulate"] = layout.ACCUMULATE.index(instruction.accumulate)
        values["operation"] = layout.OPERATIONS.index(instruction.operation)
        values["post"] = layout.POSTS.index(instruction.post)
        values["a1"] = layout.OPERANDS["a1"].index(instruction.a1)
        values["wait"] = self.waits(number, lanes)
        for name, value in instruction.operands().items():
            kind, index = "k", 0
            if isinstance(value, Real):
                index = constants.index(bits(value))
            elif value.kind in ("scalar", "special"):
                base = layout.K_SCALARS if value.kind == "scalar" else layout.K_SPECIAL
                index = base + value.index
            else:
                kind = value.kind
            values[name] = layout.OPERANDS[name].index(kind)
            values[f"k_{name}"] = index
            if kind == "r":
                values[f"p{_PORTS[name]}"] = value.index
                values[f"scalar{_PORTS[name]}"] = value.scalar
        words = [0, 0, 0]
        for name, (word, shift, size) in layout.field_places().items():
            assert 0 <= int(values.get(name, 0)) < 1 << size, (name, values[name])
            words[word] |= int(values.get(name, 0)) << shift
        return words

    def waits(self, number, lanes):
        """Whether an instruction must not start before the one ahead of it is finished."""
        instruction, before = self.instructions[number], self.instructions[number - 1]
        elements = self.extents[before.extent].vectors * lanes
        if number == 0 or elements < layout.WINDOW or instruction.reduce == "never":
            return True
        if "no" not in (instruction.accumulate, before.accumulate):
            return True
        for value in instruction.operands().values():
            if not isinstance(value, Operand) or value.kind != "r":
                continue
            if value.index == before.register():
                window = elements <= layout.REGISTER_WORDS or elements % layout.REGISTER_WORDS == 0
                if value.index < 4 or value.scalar or before.emit == "last" or not window:
                    return True
        return False


def _extent_words(number, extent, instructions):
    """{address: word} of an extent."""
    n3, n2, n1, n0 = extent.counts
    bounds = extent.bounds
    single = not goes_straight_on(extent, instructions)
    single &= n0 > 1
    chunk = 1 if single else min(n0, layout.CHUNK)
    chunks = -(-n0 // chunk)
    flags = {"images": extent.images, "bounded": bounds is not None, "chunk": chunk}
    flags["last_chunk"] = n0 - chunk * (chunks - 1)
    word, shift = 0, 0
    for name, size in layout.FLAGS:
        word |= int(flags[name]) << shift
        shift += size
    header = [n3 - 1, n2 - 1, n1 - 1, chunks - 1, word]
    header.append(bounds.height | bounds.width << 16 if bounds else 0)
    table = {}
    for j, name in enumerate(layout.INDICES):
        if name in ("row", "column"):
            walk = getattr(bounds, name) if bounds else Walk()
        else:
            walk = getattr(extent, name)
        s3, s2, s1, s0 = walk.steps
        back0 = (chunks - 1) * chunk * s0
        back1 = back0 + (n1 - 1) * s1
        steps = (chunk * s0, s1 - back0, s2 - back1, s3 - back1 - (n2 - 1) * s2)
        table[layout.START_BASE + 16 * number + j] = walk.start & 0xFFFFFFFF
        for level, step in enumerate(steps):
            table[layout.STEP_BASE + 64 * number + 16 * level + j] = step & 0xFFFFFFFF
    for k, value in enumerate(header):
        table[layout.START_BASE + 16 * number + len(layout.INDICES) + k] = value
    return table


def goes_straight_on(extent, instructions):
    """Whether loop i0 goes in runs of vectors; otherwise it goes one by one.

    Parameters
    ----------
    extent : Extent
    instructions : list of Instruction
        All that use it.
    """
    if extent.bounds is not None or extent.position.steps[3] != 0:
        return False
    for instruction in instructions:
        for name in _STREAMS:
            written = name in ("e", "w0", "w1")
            if instruction.uses(name) and not (written and instruction.emit == "last"):
                if getattr(extent, name).steps[3] != 1:
                    return False
    return True


def _integer(what, value, low, high):
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{what} must be int, not {value!r}")
    if not low <= value <= high:
        raise ValueError(f"{what} must be {low} to {high}, not {value!r}")
    return value
