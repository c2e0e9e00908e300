"""Time of descriptors, long loop nests by extrapolation, and of whole programs."""

from dataclasses import dataclass, field, replace

from ...sequencer.program_format import HEADER_WORDS, Command
from ...streams.command import NOP
from .extrapolation import VECTORS, extrapolated, riding_of, size_of
from .machine import Machine, Memory, Timing
from .overlap import program_cycles

__all__ = ["DescriptorTime", "descriptor_time", "program_cycles", "program_time"]

_WHOLE = 60_000  # bus words: descriptors with more are extrapolated
_COMMANDS = 2_000  # likewise
_PROGRAM = 2_000_000  # bus words: programs with more are put together from their descriptors
_ARRAY_BOUND = 0.9
_DISPATCH = 8  # of a command for the vector unit, besides its words: read, then sent


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
        command.layout.opcode in VECTORS or command.layout is NOP
        for command in descriptor.commands
    )


def descriptor_time(config, descriptor, memory=Memory()):  # noqa: B008  (immutable)
    """`DescriptorTime` of a descriptor.

    A short one is carried out. Of a long loop nest a few counts of each loop are, and the rest goes
    on in a straight line, which it does once the buffers are full; traffic and busy cycles are
    counted all the same.
    """
    words, commands = size_of(config, descriptor, memory)
    vector, riding = _is_vector(descriptor), riding_of(config, descriptor, memory)
    small = words <= _WHOLE and commands <= _COMMANDS
    if small:
        timing = Machine(config, memory).run([descriptor])
        alone = timing
        if riding and not vector:
            alone = Machine(config, memory).run([_array_part(descriptor)])
    elif vector:
        alone = timing = _vector_timing(config, descriptor, memory)
    else:
        alone = timing = extrapolated(config, _array_part(descriptor), memory)
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
    sizes = [size_of(config, each, memory) for each in descriptors]
    if sum(words for words, _ in sizes) <= _PROGRAM and sum(n for _, n in sizes) <= 10 * _COMMANDS:
        return Machine(config, memory).run(descriptors).cycles
    return program_cycles(times or [descriptor_time(config, each, memory) for each in descriptors])


def _array_part(descriptor):
    commands = [c for c in descriptor.commands if c.layout.opcode not in VECTORS]
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
    for times, cost in riding_of(config, descriptor, memory):
        timing.cycles += times * cost.cycles
        timing.read_beats += times * cost.read_beats
        timing.write_beats += times * cost.write_beats
        timing.commands += times
    return timing
