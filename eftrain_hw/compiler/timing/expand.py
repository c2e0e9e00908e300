"""The commands of a descriptor in the order of issue, and how long the sequencer takes for each."""

from functools import lru_cache
from itertools import product
from typing import NamedTuple

from ...sequencer.program_format import ADD, LAST, LOOPS, OR_FIRST

__all__ = ["Issue", "decode", "expand"]

_WORD = 0xFFFFFFFF
_HEAD = 2  # the two words before the template
_NOT_DUE = 4
_STEP = 2  # of the loops, and one more for each that wraps


class Issue(NamedTuple):
    """One command that is due.

    Members
    -------
    layout : CommandLayout
    words : tuple of int
        As the engine receives them.
    skipped : int
        Cycles for loop steps and commands that were not due, since the command before.
    patching : int
        Cycles for its patches.
    fence : bool
    index : int
        Its place among the descriptor's commands.
    """

    layout: object
    words: tuple
    skipped: int
    patching: int
    fence: bool
    index: int


@lru_cache(maxsize=4096)
def add_cycles(index):
    """Cycles of an ADD's value: one a radix-4 digit (-1, 0, 1, 2) of the index, at least one."""
    cycles = 1
    while True:
        negative = index & 3 == 3
        index = (index >> 2) + negative
        if index == 0:
            return cycles
        cycles += 1


@lru_cache(maxsize=65536)
def decode(layout, words):
    """The fields of a command by name."""
    return layout.unpack(words)


def expand(descriptor, counts=None):
    """Yield every `Issue` of a descriptor.

    Parameters
    ----------
    descriptor : sequencer.program_format.Descriptor
    counts : sequence of int or None
        Other loop counts than the descriptor's own, to look at a part of it.
    """
    loops = list(counts or descriptor.loops)
    loops = [1] * (LOOPS - len(loops)) + loops
    commands = []
    for position, command in enumerate(descriptor.commands):
        template = command.layout.pack(**command.values)
        patches = [
            (
                patch.kind,
                patch.word,
                patch.loops,
                patch.value & _WORD,
                patch.loops.bit_length() - 1,
            )
            for patch in command.patches
        ]
        commands.append(
            (
                command.layout,
                template,
                patches,
                command.when_first,
                command.when_last,
                command.fence,
                command.not_last,
                position,
            )
        )
    skipped = 0
    for indices in product(*(range(count) for count in loops)):
        first = last = 0
        for d in range(LOOPS):
            first |= (indices[d] == 0) << d
            last |= (indices[d] == loops[d] - 1) << d
        ends = last == (1 << LOOPS) - 1
        for layout, template, patches, when_first, when_last, fence, other, position in commands:
            if when_first & ~first or when_last & ~last or (other and ends):
                skipped += _NOT_DUE
                continue
            words = template.copy()
            patching = 2 * len(patches)
            for kind, word, mask, value, loop in patches:
                if kind == ADD:
                    index = indices[loop]
                    if index:
                        words[word] = words[word] + value * index & _WORD
                        patching += add_cycles(index) - 1
                elif kind == LAST:
                    if not mask & ~last:
                        words[word] = value
                elif not mask & ~(first if kind == OR_FIRST else last):
                    words[word] |= value
            yield Issue(layout, tuple(words), skipped, patching, fence, position)
            skipped = 0
        wraps = 0
        for d in reversed(range(LOOPS)):
            if not last >> d & 1:
                break
            wraps += 1
        skipped += _STEP + wraps
