"""What a vector program must be, with a message for each rule."""

from math import inf
from numbers import Real

from . import program_format as layout

__all__ = ["check"]

_STREAMS = layout.INDICES[:6]
_KINDS = {
    "a": ("elements", "raw"), "b": ("elements", "raw", "bytes"), "c": ("raw",), "w0": ("raw",),
    "w1": ("raw", "bytes"),
}  # fmt: skip
_PORTS = (("a0", "b1"), ("b0",), ("c0", "c1"))
_NAMED = {
    "operation": layout.OPERATIONS, "accumulate": layout.ACCUMULATE, "reduce": layout.REDUCE,
    "post": layout.POSTS, "a1": layout.OPERANDS["a1"], "emit": ("every", "last"),
    "pad": (0.0, -inf),
}  # fmt: skip


def check(program, lanes):
    """Raise TypeError or ValueError if a program is not one that the machine runs."""
    _count("VectorProgram instructions", len(program.instructions), layout.INSTRUCTIONS)
    _count("VectorProgram extents", len(program.extents), layout.EXTENTS)
    for name, kind in program.kinds.items():
        if kind not in _KINDS.get(name, ()):
            raise ValueError(f"kind of stream {name!r} must be one of {_KINDS}, not {kind!r}")
    for name, step in program.outer.items():
        if name not in _STREAMS:
            raise ValueError(f"outer steps must be of streams {_STREAMS}, not of {name!r}")
        _word(f"outer step of {name}", step)
    for number, extent in enumerate(program.extents):
        _check_extent(f"extent {number}", extent)
    for number, instruction in enumerate(program.instructions):
        where = f"instruction {number}"
        if instruction.extent not in range(len(program.extents)):
            raise ValueError(
                f"{where}: extent must be 0 to {len(program.extents) - 1},"
                f" not {instruction.extent!r}"
            )
        _check_instruction(where, instruction)
        _check_streams(where, instruction, program)
        _check_registers(where, instruction, program, lanes)
    if program.instructions[0].reduce == "never":
        raise ValueError("instruction 0: reduce must not be 'never': nothing goes before it")


def _check_extent(where, extent):
    if len(extent.counts) != 4:
        raise ValueError(f"{where}: counts must be (n3, n2, n1, n0), not {extent.counts!r}")
    for count in extent.counts:
        _count(f"{where}: count", count, 65535)
    walks = {name: getattr(extent, name) for name in layout.INDICES[:7]}
    if extent.bounds is not None:
        walks |= {"row": extent.bounds.row, "column": extent.bounds.column}
        for name in ("height", "width"):
            _count(f"{where}: {name}", getattr(extent.bounds, name), 32767)
    for name, walk in walks.items():
        if len(walk.steps) != 4:
            raise ValueError(f"{where}: steps of {name} must be (s3, s2, s1, s0)")
        for value in (walk.start, *walk.steps):
            _word(f"{where}: {name}", value)


def _check_instruction(where, instruction):
    for name, allowed in _NAMED.items():
        value = getattr(instruction, name)
        if value not in allowed:
            raise ValueError(f"{where}: {name} must be one of {allowed}, not {value!r}")
    for name, value in instruction.operands().items():
        if isinstance(value, Real) and not isinstance(value, bool):
            continue
        kind = getattr(value, "kind", None)
        if kind is None:
            raise TypeError(f"{where}: {name} must be a number or an Operand, not {value!r}")
        if kind not in (*layout.OPERANDS[name], "scalar", "special"):
            raise ValueError(
                f"{where}: {name} must be a constant or one of {layout.OPERANDS[name]},"
                f" not {kind!r}"
            )
    for names in _PORTS:
        values = [getattr(instruction, name) for name in names]
        registers = {v for v in values if getattr(v, "kind", None) == "r"}
        if len(registers) > 1:
            raise ValueError(f"{where}: {' and '.join(names)} must be one and the same register")
    if instruction.operation == "random" and getattr(instruction.a0, "kind", "k") not in (
        "k", "scalar", "special",
    ):  # fmt: skip
        raise ValueError(f"{where}: the seed of random must be a constant or a scalar")
    for name in ("accumulate",):
        if instruction.across and getattr(instruction, name) == "no":
            raise ValueError(f"{where}: across must go with accumulate")


def _check_streams(where, instruction, program):
    extent = program.extents[instruction.extent]
    n0 = extent.counts[3]
    for to in instruction.to:
        if to not in ("e", "w0", "w1") and getattr(to, "kind", None) != "r":
            raise ValueError(f"{where}: results must go to e, w0, w1 or a register, not {to!r}")
    if sum(getattr(to, "kind", None) == "r" for to in instruction.to) > 1:
        raise ValueError(f"{where}: results must go to one register, not to several")
    for name in _STREAMS:
        if not instruction.uses(name):
            continue
        if name != "e" and program.kinds.get(name, "unused") == "unused":
            raise ValueError(f"{where}: stream {name!r} must have a kind, one of {_KINDS[name]}")
        step = getattr(extent, name).steps[3]
        if name in instruction.to and n0 > 1:
            if instruction.emit == "last" and step != 0:
                raise ValueError(f"{where}: {name} must not step with i0 where emit is 'last'")
            if instruction.emit == "every" and step == 0:
                raise ValueError(f"{where}: {name} must step with i0 where emit is 'every'")


def _check_registers(where, instruction, program, lanes):
    """Each word is read before it is written, where a register is both."""
    written = instruction.register()
    elements = program.extents[instruction.extent].vectors * lanes
    at_end = instruction.emit == "last" and instruction.reduce in ("instruction", "never")
    for value in instruction.operands().values():
        if getattr(value, "kind", None) != "r" or value.index != written:
            continue
        words = lanes if written < 4 else layout.REGISTER_WORDS
        if value.scalar or instruction.across or not (at_end or elements <= words):
            raise ValueError(
                f"{where}: register {written} must not be read where it is written before:"
                f" {elements} elements in {words} words"
            )


def _count(what, value, most):
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{what} must be int, not {value!r}")
    if not 1 <= value <= most:
        raise ValueError(f"{what} must be 1 to {most}, not {value!r}")


def _word(what, value):
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{what} must be int, not {value!r}")
    if not -(1 << 31) <= value < 1 << 31:
        raise ValueError(f"{what} must fit into 32 bits, not {value!r}")
