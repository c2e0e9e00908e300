"""The interpreter against hand-written programs and nested Python loops."""

import itertools

import pytest

from eftrain_hw.array.commands import COMPUTE
from eftrain_hw.dma.commands import LOAD
from eftrain_hw.sequencer.errors import PROGRAM_ERRORS, ProgramError
from eftrain_hw.sequencer.interpreter import issued_commands
from eftrain_hw.sequencer.program_format import (
    ADD,
    LAST,
    LOOPS,
    OR_FIRST,
    OR_LAST,
    Command,
    Descriptor,
    padded,
)
from eftrain_hw.vector.commands import DRAIN


def test_a_nest_of_three_commands_equals_python_loops():
    outer, inner = 3, 4
    load = Command(LOAD, {"base": 5, "row": -1, "rows": 8}, fence=True)
    load.patch(ADD, "vector", 1 << 3, 100).patch(ADD, "vector", 1 << 4, 7)
    load.patch(ADD, "row", 1 << 4, 8).patch(LAST, "rows", 1 << 4, 3)
    compute = Command(COMPUTE, {"m_tiles": 2})
    compute.patch(OR_FIRST, "init", 1 << 4, 1)
    compute.patch(OR_LAST, "release_accumulator", 1 << 3 | 1 << 4, 1)
    drain = Command(DRAIN, {"run": 9}, when_last=1 << 4, when_first=1 << 3)
    words = padded(Descriptor(7, [outer, inner], [load, compute, drain], last=True).words())

    want = []
    for o, i in itertools.product(range(outer), range(inner)):
        want.append(("load", 100 * o + 7 * i, 8 * i - 1, 3 if i == inner - 1 else 8))
        want.append(("compute", int(i == 0), int(o == outer - 1 and i == inner - 1)))
        if i == inner - 1 and o == 0:
            want.append(("drain", 9))
    got = []
    for opcode, fields, fence in issued_commands(words):
        assert fence == (opcode == LOAD.opcode)
        if opcode == LOAD.opcode:
            assert fields["base"] == 5
            got.append(("load", fields["vector"], fields["row"], fields["rows"]))
        elif opcode == COMPUTE.opcode:
            assert fields["m_tiles"] == 2
            got.append(("compute", fields["init"], fields["release_accumulator"]))
        else:
            got.append(("drain", fields["run"]))
    assert got == want


def test_a_command_that_leaves_out_the_last_iteration():
    all_but, last = Command(DRAIN, {"run": 1}, not_last=True), Command(DRAIN, {"run": 2})
    last.when_last = (1 << LOOPS) - 1
    words = Descriptor(0, [2, 3], [all_but, last], last=True).words()
    assert [fields["run"] for _, fields, _ in issued_commands(words)] == [1, 1, 1, 1, 1, 2]


def test_patches_apply_in_order_and_additions_wrap():
    command = Command(LOAD, {"vector": 0xFFFFFFFF})
    command.patch(ADD, "vector", 1 << 4, 1)
    command.patch(LAST, "vector", 1 << 4, 0x70)
    command.patch(OR_LAST, "vector", 1 << 4, 0x0F)
    words = Descriptor(0, [3], [command], last=True).words()
    assert [f["vector"] for _, f, _ in issued_commands(words)] == [0xFFFFFFFF, 0, 0x7F]


def test_descriptors_follow_at_lines():
    one = Command(DRAIN, {"run": 1})
    two = Command(DRAIN, {"run": 2})
    words = padded(Descriptor(1, [], [one]).words())
    words += padded(Descriptor(2, [], []).words())
    words += Descriptor(3, [2], [two], last=True).words()
    assert [f["run"] for _, f, _ in issued_commands(words)] == [1, 2, 2]


@pytest.mark.parametrize("name", sorted(PROGRAM_ERRORS))
def test_reports(name, malformed):
    words, half, before = malformed(name)
    got = []
    with pytest.raises(ProgramError) as report:
        got.extend(issued_commands(words, half_words=half))
    assert report.value.name == name
    assert report.value.code == PROGRAM_ERRORS[name][0]
    assert (report.value.index, report.value.tag) == (1, 0xBAD)
    assert len(got) == before
