"""Cycles and traffic of vector programs: what the walker and the elements take."""

from typing import NamedTuple

from ...vector.assembler import goes_straight_on
from ...vector.program_format import CHUNK

__all__ = ["ProcessWork", "process_work"]

_LOAD = 29  # of an instruction by the walker, before its first segment
_SEGMENT = 6  # of each segment, besides its steps
_BETWEEN = 10  # cycles between instructions
_PIPELINE = 41  # from an element until its result has gone
_SUM = 15  # until a sum's place can be used again
_SLOW = {"divide": 37, "root": 37, "random": 15}
_OUTER = 9  # of the walker, between iterations of the outer loop
_STREAMS = ("a", "b", "c", "e", "w0", "w1")


class ProcessWork(NamedTuple):
    """What a vector program takes.

    Members
    -------
    steps : int
        Cycles from its first instruction to the last result.
    read_beats, write_beats : int
        Bus beats of its streams.
    """

    steps: int
    read_beats: int
    write_beats: int


def process_work(config, program, count):
    """`ProcessWork` of a `VectorProgram` whose outer loop goes round `count` times."""
    walker = issue = read = written = 0
    for number, instruction in enumerate(program.instructions):
        extent = program.extents[instruction.extent]
        users = [i for i in program.instructions if i.extent == instruction.extent]
        segments, vectors = _segments(extent, users)
        steps = runs = 0
        for name in _STREAMS:
            if not instruction.uses(name):
                continue
            leaving = name in ("e", "w0", "w1")
            pieces = segments
            if leaving and instruction.emit == "last":
                pieces = _reductions(extent, instruction)
            each = max(1, vectors // segments) if pieces == segments else 1
            for beats in _run_beats(config, program, name, each):
                steps, runs = steps + 1, runs + pieces / segments
                if leaving:
                    written += pieces * beats
                else:
                    read += pieces * beats
        if extent.bounds is not None:
            steps += 2
        steps += getattr(instruction.c0, "kind", None) == "position"
        walker += _LOAD + segments * (_SEGMENT + steps + runs)
        elements = vectors * config.lanes
        issue += elements * _rate(config, instruction) + _BETWEEN
        if program.waits(number, config.lanes):
            issue += _PIPELINE - _BETWEEN
    cycles = max(walker + _OUTER, issue)
    return ProcessWork(round(count * cycles), round(count * read), round(count * written))


def _rate(config, instruction):
    """Cycles of an element."""
    if instruction.operation in _SLOW:
        return _SLOW[instruction.operation]
    if instruction.accumulate != "sum":
        return 1
    return max(1, _SUM / (1 if instruction.across else config.lanes))


def _segments(extent, instructions):
    """(segments, vectors) of an extent that instructions use."""
    vectors, n0 = extent.vectors, extent.counts[3]
    chunk = min(n0, CHUNK) if goes_straight_on(extent, instructions) else 1
    return vectors // n0 * -(-n0 // chunk), vectors


def _reductions(extent, instruction):
    """How often an instruction's result leaves."""
    n3, n2, n1, n0 = extent.counts
    return {"i0": n3 * n2 * n1, "i1": n3 * n2}.get(instruction.reduce, 1)


def _run_beats(config, program, name, vectors):
    """Bus beats of each run of a stream: elements, and exponents where there are any."""
    bus, lanes = config.bus_bytes, config.lanes
    kind = program.kinds.get(name, "elements")
    size = {"elements": config.vector_bytes, "raw": 4 * lanes, "bytes": lanes}[kind]
    yield -(-vectors * size // bus)
    if kind == "elements" and config.has_exponents:
        yield -(-vectors // bus)
