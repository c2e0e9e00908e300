"""Long loop nests: some of their iterations are carried out, the rest goes on alike."""

from itertools import product
from math import prod

from ...sequencer.program_format import LOOPS
from .machine import Machine
from .traffic import Traffic, traffic
from .vector import VECTOR_LAYOUTS, vector_cost

__all__ = ["VECTORS", "extrapolated", "riding_of", "size_of"]

VECTORS = frozenset(layout.opcode for layout in VECTOR_LAYOUTS)
"""Opcodes of the vector unit."""

_COUNTED = 3_000  # commands: traffic of more is extrapolated too
_TILES, _FILLED = 12, 12_000  # tiles, bus words after which the buffers are full: all goes on alike


def riding_of(config, descriptor, memory):
    """The vector unit's commands of a descriptor of the array: [(times, VectorCost)]."""
    loops = [1] * (LOOPS - len(descriptor.loops)) + list(descriptor.loops)
    riding = []
    for command in descriptor.commands:
        if command.layout.opcode in VECTORS:
            fixed = command.when_first | command.when_last
            times = prod(count for d, count in enumerate(loops) if not fixed >> d & 1)
            values = dict.fromkeys(command.layout.fields, 0) | command.values
            values["work"] = command.work
            riding.append((times, vector_cost(config, command.layout, values, memory)))
    return riding


def size_of(config, descriptor, memory):
    """(bus words, commands) of a descriptor, about."""
    found = traffic(config, descriptor, [min(count, 3) for count in descriptor.loops])
    share = prod(count / min(count, 3) for count in descriptor.loops)
    words = (found.read_beats + found.write_beats) * share
    words += sum(times * cost.beats for times, cost in riding_of(config, descriptor, memory))
    return words, found.commands * share


def extrapolated(config, descriptor, memory):
    """`Timing` of a long loop nest.

    Some iterations of each loop are carried out, then for each loop some more of it. What an
    iteration more takes does not change, once the buffers are full; it comes as often as the loops
    around it go round.
    """
    loops = list(descriptor.loops)
    base, steps, tiles = list(loops), {}, 1
    words, _ = size_of(config, descriptor, memory)
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
    every = size_of(config, descriptor, memory)[1] <= _COUNTED
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
