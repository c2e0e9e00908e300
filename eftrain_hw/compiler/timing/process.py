"""Cycles and traffic of vector programs: what the walker and the elements take."""

from functools import lru_cache
from math import ceil
from typing import NamedTuple

import numpy as np

from ...vector.assembler import goes_straight_on
from ...vector.program_format import CHUNK

__all__ = ["ProcessWork", "Stage", "process_cycles", "process_work"]

_LOAD = 27  # of an instruction by the walker, before its first segment
_SEGMENT = 6  # of each segment, besides its steps
_BETWEEN = 10  # cycles between instructions
_PIPELINE = 38  # from an element until an instruction may begin that needs it
_RESULT = 38  # from the last element to what leaves
_DATA = 16  # from a run to its first element, besides the memory's latency
_SUM = 15  # until a sum's place can be used again
_SLOW = {"divide": 37, "root": 37, "random": 15}
_OUTER = 9  # of the walker, between iterations of the outer loop
_STREAMS = ("a", "b", "c", "e", "w0", "w1")


class Stage(NamedTuple):
    """An instruction, once through its extent.

    Members
    -------
    segments : int
    walk : float
        Cycles of the walker for a segment.
    elements : float
        Cycles of the elements of a segment, all data there.
    reads : bool
        It waits for data; `waits`: for the results of the instruction before.
    """

    segments: int
    walk: float
    elements: float
    reads: bool
    waits: bool


class ProcessWork(NamedTuple):
    """What a vector program takes.

    Members
    -------
    stages : tuple of Stage
    count : int
        Iterations of the outer loop.
    read_beats, write_beats : int
        Bus beats of its streams.
    """

    stages: tuple
    count: int
    read_beats: int
    write_beats: int


def process_work(config, program, count):
    """`ProcessWork` of a `VectorProgram` whose outer loop goes round `count` times."""
    stages, read, written = [], 0, 0
    for number, instruction in enumerate(program.instructions):
        extent = program.extents[instruction.extent]
        users = [i for i in program.instructions if i.extent == instruction.extent]
        n0 = extent.counts[3]
        chunk = min(n0, CHUNK) if goes_straight_on(extent, users) else 1
        segments = extent.vectors // n0 * -(-n0 // chunk)
        inside = _inside(extent)
        steps = 2.0 * (extent.bounds is not None)
        steps += getattr(instruction.c0, "kind", None) == "position"
        for name in filter(instruction.uses, _STREAMS):
            leaving = name in ("e", "w0", "w1")
            last = leaving and instruction.emit == "last"
            runs = _reductions(extent, instruction) if last else segments
            each = 1 if last else extent.vectors / segments
            share = 1 if leaving or name == "c" else inside
            for beats in _run_beats(config, program, name, each):
                steps += 1 + runs * share / segments
                if leaving:
                    written += runs * beats
                else:
                    read += runs * share * beats
        elements = extent.vectors * config.lanes * _rate(config, instruction) / segments
        reads = any(instruction.uses(name) for name in "abc")
        waits = program.waits(number, config.lanes)
        stages.append(Stage(segments, _SEGMENT + steps, elements, reads, waits))
    return ProcessWork(tuple(stages), count, round(count * read), round(count * written))


@lru_cache(maxsize=4096)
def process_cycles(work, latency):
    """Cycles from the first instruction to the last result, with a memory of some latency."""
    rounds = min(work.count, 3)
    walker = taken = end = before = 0
    ends = []
    for _ in range(rounds):
        for stage in work.stages:
            valid = max(walker, taken) + _LOAD
            taken = max(valid, end + (_PIPELINE if stage.waits else _BETWEEN))
            data = valid + stage.walk + (latency + _DATA if stage.reads else 2)
            whole = stage.segments * stage.elements
            walked = (stage.segments - 1) * stage.walk + stage.elements
            end = max(max(taken + 2, data) + whole, data + walked)
            # two segments wait for their elements
            walker = max(valid + stage.segments * stage.walk, end - 2 * stage.elements)
        walker += _OUTER
        before, ends = end, [*ends, end]
    if rounds > 1:
        before = end + (work.count - rounds) * (ends[-1] - ends[-2])
    return round(before + _RESULT)


def _inside(extent):
    """The share of an extent's vectors that lie inside its bounds."""
    bounds = extent.bounds
    if bounds is None:
        return 1.0
    row, column = bounds.row.start, bounds.column.start
    for axis, count in enumerate(extent.counts):
        shape = tuple(count if k == axis else 1 for k in range(4))
        index = np.arange(count).reshape(shape)
        row = row + index * bounds.row.steps[axis]
        column = column + index * bounds.column.steps[axis]
    inside = (row >= 0) & (row < bounds.height) & (column >= 0) & (column < bounds.width)
    return float(np.broadcast_to(inside, extent.counts).mean())


def _rate(config, instruction):
    """Cycles of an element."""
    if instruction.operation in _SLOW:
        return _SLOW[instruction.operation]
    if instruction.accumulate != "sum":
        return 1
    return max(1, _SUM / (1 if instruction.across else config.lanes))


def _reductions(extent, instruction):
    """How often an instruction's result leaves."""
    n3, n2, n1, _ = extent.counts
    return {"i0": n3 * n2 * n1, "i1": n3 * n2}.get(instruction.reduce, 1)


def _run_beats(config, program, name, vectors):
    """Bus beats of each run of a stream: elements, and exponents where there are any."""
    bus, lanes = config.bus_bytes, config.lanes
    kind = program.kinds.get(name, "elements")
    size = {"elements": config.vector_bytes, "raw": 4 * lanes, "bytes": lanes}[kind]
    yield ceil(vectors * size / bus)
    if kind == "elements" and config.has_exponents:
        yield ceil(vectors / bus)
