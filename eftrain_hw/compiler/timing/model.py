"""Time of descriptors, long loop nests by extrapolation, and of whole programs."""

from dataclasses import dataclass, field
from itertools import product
from math import prod

from ...sequencer.program_format import LOOPS
from ...streams.command import NOP
from .schedule import CAUSES, Memory, Timing, fetch_cycles, simulate
from .vector import VECTOR_LAYOUTS, vector_cost

__all__ = ["DescriptorTime", "descriptor_time", "program_cycles"]

_WHOLE = 600  # tiles: longer loop nests are extrapolated
_OUTER, _INNER = (4, 6), (8, 12)  # iterations that are looked at
_VECTORS = frozenset(layout.opcode for layout in VECTOR_LAYOUTS)
_ARRAY_BOUND = 0.9
_DONE = 6  # from the last answer to the program's end
_LEAST = 0.3  # of its speed that the vector unit keeps beside the array


@dataclass
class DescriptorTime:
    """What a descriptor takes as a program of its own.

    Members
    -------
    cycles : float
        From the doorbell to the interrupt, as the `cycles` counter says.
    fetch : int
        Of those, before its first command is read: hidden behind the descriptor before.
    head, tail : float
        Cycles before the first and after the last position (0 for the vector unit).
    timing : Timing
    limit : str
        "array", or why not: one of `CAUSES`, or "vector".
    array : bool
        Runs on the array, not on the vector unit.
    array_cycles : float
        `cycles` without the vector unit's commands that ride on tiles.
    riding : list of (int, VectorCost)
        Those: how many, and what one of them takes.
    waits_drain, waits_vector : bool
        It starts when what the engine was given before is done.
    """

    cycles: float
    fetch: int
    head: float
    tail: float
    timing: Timing
    limit: str
    array: bool
    array_cycles: float = 0
    riding: list = field(default_factory=list)
    waits_drain: bool = False
    waits_vector: bool = False

    @property
    def dram_beats(self):
        return self.timing.read_beats + self.timing.write_beats


def _is_vector(descriptor):
    return all(
        command.layout.opcode in _VECTORS or command.layout is NOP
        for command in descriptor.commands
    )


def _riding(config, descriptor, memory):
    """The vector unit's commands of a descriptor of the array: [(times, VectorCost)]."""
    loops = [1] * (LOOPS - len(descriptor.loops)) + list(descriptor.loops)
    riding = []
    for command in descriptor.commands:
        if command.layout.opcode in _VECTORS:
            fixed = command.when_first | command.when_last
            times = prod(count for d, count in enumerate(loops) if not fixed >> d & 1)
            riding.append((times, vector_cost(config, command.layout, command.values, memory)))
    return riding


def descriptor_time(config, descriptor, memory=Memory()):  # noqa: B008  (immutable)
    """`DescriptorTime` of a descriptor.

    Loops of many iterations are not walked to the end: a few counts are, and the rest goes on in a
    straight line, which it does once the buffers are full. Results are exact below 600 tiles.
    """
    fetch = fetch_cycles(config, len(descriptor.words()), memory)
    if _is_vector(descriptor):
        return _vector_time(config, descriptor, memory, fetch)
    timing = _extrapolated(config, descriptor, memory)
    lost = timing.lost
    limit = "array"
    if timing.mac_busy < _ARRAY_BOUND * timing.cycles:
        limit = max(lost, key=lost.get) if any(lost.values()) else "latency"
    waits = _waits(descriptor)
    time = DescriptorTime(
        timing.cycles,
        fetch,
        timing.head,
        timing.tail,
        timing,
        limit,
        True,
        timing.cycles,
        _riding(config, descriptor, memory),
        "wait_drain" in waits,
        "wait_vector" in waits,
    )
    if time.riding:
        time.cycles = program_cycles([time])
        for times, cost in time.riding:
            timing.read_beats += times * cost.read_beats
            timing.write_beats += times * cost.write_beats
            timing.commands += times
    return time


def _waits(descriptor):
    """The engines that a descriptor's loads wait for; both, where it has a fence."""
    names = ("wait_drain", "wait_vector")
    found = set()
    for command in descriptor.commands:
        if command.fence:
            found.update(names)
        for name in names:
            if name in command.layout.fields:
                word, shift = command.layout.place(name)
                set_ = command.values.get(name, 0) or any(
                    patch.word == word and patch.kind != 0 and patch.value >> shift & 1
                    for patch in command.patches
                )
                if set_:
                    found.add(name)
    return found


def _vector_time(config, descriptor, memory, fetch):
    timing, steps, cycles = Timing(), 0, fetch + 40
    for command in descriptor.commands:
        if command.layout.opcode not in _VECTORS:
            continue
        cost = vector_cost(config, command.layout, command.values, memory)
        cycles += cost.cycles
        steps += cost.steps
        timing.read_beats += cost.read_beats
        timing.write_beats += cost.write_beats
        timing.commands += 1
    timing.cycles = cycles
    limit = "memory" if timing.read_beats + timing.write_beats >= steps else "vector"
    return DescriptorTime(cycles, fetch, 0, 0, timing, limit, False, cycles)


def _extrapolated(config, descriptor, memory):
    loops = list(descriptor.loops)
    tiles = prod(loops)
    innermost = max((d for d, count in enumerate(loops) if count > 1), default=0)
    choices = [[(count, 1.0)] for count in loops]
    for d in range(len(loops)):
        low, high = _INNER if d == innermost else _OUTER
        if tiles <= _WHOLE or loops[d] <= high:
            continue
        tiles = tiles // loops[d] * (low + high)
        share = (loops[d] - low) / (high - low)
        choices[d] = [(low, 1 - share), (high, share)]
    total = None
    for choice in product(*choices):
        counts = [count for count, _ in choice]
        weight = prod(share for _, share in choice)
        part = simulate(config, descriptor, memory, counts=counts)
        if total is None:
            total = Timing(head=part.head, tail=part.tail, tile_bytes=part.tile_bytes)
        total = total.plus(part, weight)
    for cause in CAUSES:
        total.lost[cause] = max(0, total.lost[cause])
    return total


class _VectorQueue:
    """The vector unit's commands: each has a time from which it may start, and work to do."""

    def __init__(self):
        self.now = 0
        self.work = []  # [may start, cycles alone, share of the bus alone]

    def add(self, start, cycles, share):
        self.work.append([start, cycles, share])

    def run(self, until, array_share=0):
        """Go on until a time; returns the cycles by which the array is slowed down meanwhile."""
        slower = 0
        while self.work and self.now < until:
            start, cycles, share = self.work[0]
            if start > self.now:
                self.now = min(start, until)
                continue
            speed = min(1, max(_LEAST, (1 - array_share) / share))
            step = min(until - self.now, cycles / speed)
            slower += step * max(0, array_share + speed * share - 1)
            self.work[0][1] -= step * speed
            self.now += step
            if self.work[0][1] <= 1e-6:
                del self.work[0]
        self.now = max(self.now, until)
        return slower

    def finish(self, now):
        """When all of it is done, with nothing beside it."""
        self.run(now)
        for start, cycles, _ in self.work:
            now = max(now, start) + cycles
        self.work.clear()
        self.now = now
        return now


def program_cycles(times):
    """Cycles of a whole program: `DescriptorTime` of each descriptor, in the order of issue.

    The array's descriptors come one after another, and so do the vector unit's. Each waits for what
    it reads; where both work, the array takes what it needs of the bus and the vector unit what is
    left, but a share of its speed in any case.
    """
    if not times:
        return 0
    vector = _VectorQueue()
    last = drained = times[0].fetch  # last position, last answer
    for time in times:
        body = (time.array_cycles or time.cycles) - time.fetch
        beats = time.dram_beats - sum(count * cost.beats for count, cost in time.riding)
        share = min(1, max(0, beats) / body)
        if not time.array:
            vector.add(drained, body, share)
            continue
        begin = last
        if time.waits_drain:
            begin = max(begin, drained + time.head)
        if time.waits_vector and vector.work:
            begin = max(begin, vector.finish(vector.now) + time.head)
        vector.run(begin)
        end = begin
        parts = max((count for count, _ in time.riding), default=1)
        for part in range(parts):
            left = (body - time.head - time.tail) / parts
            while left > 1:
                end += left
                left = vector.run(end, share)
            for count, cost in time.riding:
                if part * count % parts < count:
                    vector.add(end + time.tail, cost.cycles, min(1, cost.beats / cost.cycles))
        last, drained = end, end + time.tail
    return max(drained, vector.finish(vector.now)) + _DONE
