"""Time of descriptors, long loop nests by extrapolation, and of whole programs."""

from dataclasses import dataclass, field, replace
from itertools import product
from math import prod

from ...sequencer.program_format import HEADER_WORDS, LOOPS, Command
from ...streams.command import NOP
from .machine import Machine, Memory, Timing
from .traffic import Traffic, traffic
from .vector import VECTOR_LAYOUTS, vector_cost

__all__ = ["DescriptorTime", "descriptor_time", "program_cycles", "program_time"]

_WHOLE = 60_000  # bus words: descriptors with more are extrapolated
_COMMANDS = 2_000  # likewise
_COUNTED = 3_000  # commands: traffic of more is extrapolated too
_PROGRAM = 2_000_000  # bus words: programs with more are put together from their descriptors
_TILES, _FILLED = 12, 12_000  # tiles, bus words after which the buffers are full: all goes on alike
_VECTORS = frozenset(layout.opcode for layout in VECTOR_LAYOUTS)
_ARRAY_BOUND = 0.9
_DISPATCH = 8  # of a command for the vector unit, besides its words: read, then sent
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
            values = {"use_scalars": 0, **command.values, "work": command.work}
            riding.append((times, vector_cost(config, command.layout, values, memory)))
    return riding


def descriptor_time(config, descriptor, memory=Memory()):  # noqa: B008  (immutable)
    """`DescriptorTime` of a descriptor.

    A short one is carried out. Of a long loop nest a few counts of each loop are, and the rest goes
    on in a straight line, which it does once the buffers are full; traffic and busy cycles are
    counted all the same.
    """
    words, commands = _size(config, descriptor, memory)
    vector, riding = _is_vector(descriptor), _riding(config, descriptor, memory)
    small = words <= _WHOLE and commands <= _COMMANDS
    if small:
        timing = Machine(config, memory).run([descriptor])
        alone = timing
        if riding and not vector:
            alone = Machine(config, memory).run([_array_part(descriptor)])
    elif vector:
        alone = timing = _vector_timing(config, descriptor, memory)
    else:
        alone = timing = _extrapolated(config, _array_part(descriptor), memory)
    limit = _limit(config, descriptor, timing, vector, riding)
    waits = _waits(descriptor)
    time = DescriptorTime(
        timing.cycles,
        timing.fetch,
        0 if vector else alone.head,
        0 if vector else alone.tail,
        timing,
        limit,
        not vector,
        alone.cycles,
        [] if vector else riding,
        "wait_drain" in waits,
        "wait_vector" in waits,
    )
    if time.riding and not small:
        time.cycles = program_cycles([time])
        for times, cost in time.riding:
            timing.read_beats += times * cost.read_beats
            timing.write_beats += times * cost.write_beats
            timing.commands += times
    return time


def program_time(config, descriptors, memory=Memory(), times=None):  # noqa: B008
    """Cycles of a program.

    Carried out as a whole where it is short enough; otherwise put together by `program_cycles`.

    Parameters
    ----------
    config : AcceleratorConfig
    descriptors : list of Descriptor
    memory : Memory
    times : list of DescriptorTime or None
        What `descriptor_time` said of them.
    """
    sizes = [_size(config, each, memory) for each in descriptors]
    if sum(words for words, _ in sizes) <= _PROGRAM and sum(n for _, n in sizes) <= 10 * _COMMANDS:
        return Machine(config, memory).run(descriptors).cycles
    return program_cycles(times or [descriptor_time(config, each, memory) for each in descriptors])


def _size(config, descriptor, memory):
    """(bus words, commands) of a descriptor, about."""
    found = traffic(config, descriptor, [min(count, 3) for count in descriptor.loops])
    share = prod(count / min(count, 3) for count in descriptor.loops)
    words = (found.read_beats + found.write_beats) * share
    words += sum(times * cost.beats for times, cost in _riding(config, descriptor, memory))
    return words, found.commands * share


def _array_part(descriptor):
    commands = [c for c in descriptor.commands if c.layout.opcode not in _VECTORS]
    return replace(descriptor, commands=commands)


def _limit(config, descriptor, timing, vector, riding):
    if vector:
        steps = sum(times * cost.steps for times, cost in riding)
        return "memory" if timing.read_beats + timing.write_beats >= steps else "vector"
    if timing.mac_busy >= _ARRAY_BOUND * timing.cycles:
        return "array"
    lost = timing.lost
    return max(lost, key=lost.get) if any(lost.values()) else "latency"


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


def _vector_timing(config, descriptor, memory):
    """`Timing` of long commands of the vector unit."""
    # as long, so that it is fetched as long
    nops = (len(descriptor.words()) - HEADER_WORDS) // len(Command(NOP, {}).words())
    nothing = replace(descriptor, commands=[Command(NOP, {})] * nops, loops=[1], last=True)
    timing = Machine(config, memory).run([nothing])
    timing.cycles += _DISPATCH + 2 * descriptor.commands[0].layout.words
    for times, cost in _riding(config, descriptor, memory):
        timing.cycles += times * cost.cycles
        timing.read_beats += times * cost.read_beats
        timing.write_beats += times * cost.write_beats
        timing.commands += times
    return timing


def _extrapolated(config, descriptor, memory):
    """`Timing` of a long loop nest.

    Some iterations of each loop are carried out, then for each loop some more of it. What an
    iteration more takes does not change, once the buffers are full; it comes as often as the loops
    around it go round.
    """
    loops = list(descriptor.loops)
    base, steps, tiles = list(loops), {}, 1
    words, _ = _size(config, descriptor, memory)
    enough = min(_TILES, max(3, round(_FILLED * prod(loops) / max(1, words))))
    for d in reversed(range(len(loops))):
        # the end of one round of a loop overlaps the next one, which counts where rounds are short
        low = max(2 if tiles < 2 * enough else 1, -(-enough // tiles))
        if loops[d] > max(2, 3 * low // 2):
            base[d], steps[d] = low, low + max(1, low // 3)
        tiles *= base[d]
    timing = Machine(config, memory).run([descriptor], base)
    cycles, work = timing.cycles, _work(_counted(config, descriptor, base))
    for d, count in enumerate(loops):
        if d in steps:
            more = Machine(config, memory).run([descriptor], [*base[:d], steps[d], *base[d + 1 :]])
            grown = (more.cycles - timing.cycles) / (steps[d] - base[d])
            around = _work(_counted(config, descriptor, [*loops[:d], *base[d:]])) / work
            cycles += (count - base[d]) * grown * around
    # rows begin anywhere in a bus word, which a few iterations show badly
    every = _size(config, descriptor, memory)[1] <= _COUNTED
    counted = traffic(config, descriptor) if every else _counted(config, descriptor, loops)
    factor = cycles / timing.cycles
    timing.cycles = cycles
    counted.read_beats += -(-4 * len(descriptor.words()) // config.bus_bytes)  # itself
    for name in ("read_beats", "write_beats", "mac_busy", "commands"):
        setattr(timing, name, getattr(counted, name))
    alone = timing.fetch + timing.head + timing.tail
    timing.cycles = max(timing.cycles, timing.mac_busy + alone)
    timing.lost = {cause: lost * factor for cause, lost in timing.lost.items()}
    return timing


def _work(counted):
    """What loops around others repeat: the last of their tiles may be smaller."""
    return counted.read_beats + counted.write_beats + counted.mac_busy


def _counted(config, descriptor, counts):
    """`Traffic` of some counts of the loops: linear in each beyond two, first and last apart."""
    choices = [
        [(count, 1)] if count <= 3 else [(2, 3 - count), (3, count - 2)] for count in counts
    ]
    total = Traffic()
    for choice in product(*choices):
        part = traffic(config, descriptor, [count for count, _ in choice])
        total = total.plus(part, prod(share for _, share in choice))
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
