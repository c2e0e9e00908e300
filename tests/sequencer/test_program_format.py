"""Patches that loops of one iteration decide leave the issued commands as they are."""

import random
from copy import deepcopy

import pytest

from eftrain_hw.sequencer.interpreter import issued_words
from eftrain_hw.sequencer.opcodes import BY_NAME
from eftrain_hw.sequencer.program_format import (
    ADD,
    LAST,
    OR_FIRST,
    OR_LAST,
    Command,
    Descriptor,
    padded,
)


def random_commands(rng):
    commands = []
    for _ in range(4):
        layout = BY_NAME[rng.choice(["load", "compute", "drain"])]
        command = Command(layout, {name: rng.getrandbits(1) for name in layout.fields})
        fields = [name for name, field in layout.fields.items() if not field.flag]
        for _ in range(6):
            kind = rng.choice([ADD, LAST, OR_FIRST, OR_LAST])
            names = list(layout.fields) if kind in (OR_FIRST, OR_LAST) else fields
            name = rng.choice(names)
            masks = [1 << bit for bit in range(5)] if kind == ADD else range(32)
            command.patch(kind, name, rng.choice(masks), rng.getrandbits(1))
        commands.append(command)
    return commands


@pytest.mark.parametrize("seed", range(20))
def test_settled_patches_change_nothing(seed):
    rng = random.Random(seed)
    loops = [rng.choice([1, 1, 2, 3]) for _ in range(5)]
    commands = random_commands(rng)
    settled = deepcopy(commands)
    for command in settled:
        command.settle(loops)
    programs = [
        padded(Descriptor(1, loops, each, last=True).words()) for each in (commands, settled)
    ]
    first, second = (list(issued_words(program)) for program in programs)
    assert [issue[2:4] for issue in first] == [issue[2:4] for issue in second]
    patches = [sum(len(c.patches) for c in each) for each in (commands, settled)]
    if loops.count(1) > 2:
        assert patches[1] < patches[0]


def test_without_real_loops_no_patch_is_left():
    commands = random_commands(random.Random(3))
    for command in commands:
        command.settle([1] * 5)
        assert command.patches == []
