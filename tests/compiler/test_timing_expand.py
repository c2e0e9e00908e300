"""The model walks a program as the sequencer does, and counts the sequencer's cycles."""

import pytest

from eftrain_hw import AcceleratorConfig, compile_network, nn, optim
from eftrain_hw.compiler.timing.expand import add_cycles, expand
from eftrain_hw.dma.commands import LOAD
from eftrain_hw.networks import cifar_cnn, lenet5
from eftrain_hw.sequencer.interpreter import issued_words
from eftrain_hw.sequencer.program_format import ADD, LAST, OR_FIRST, Command, Descriptor, Patch
from eftrain_hw.streams.command import NOP


@pytest.mark.parametrize("network", [cifar_cnn, lenet5])
def test_same_commands_as_the_interpreter(network):
    program = compile_network(
        network(),
        AcceleratorConfig(),
        batch_size=5,
        loss=nn.CrossEntropyLoss(),
        optimizer=optim.SGD(lr=0.1),
    )
    issued = [
        (issue.layout.opcode, list(issue.words), issue.fence)
        for descriptor in program.descriptors["train"]
        for issue in expand(descriptor)
    ]
    assert issued == [issue[2:] for issue in issued_words(program.words("train"))]


@pytest.mark.parametrize(
    ("index", "cycles"), [(0, 1), (2, 1), (3, 2), (10, 2), (11, 3), (42, 3), (43, 4)]
)
def test_add_takes_a_cycle_for_each_digit(index, cycles):
    assert add_cycles(index) == cycles


def test_issue_cycles():
    load = Command(LOAD, {"vector": 7})
    load.patches = [Patch(ADD, 5, 1 << 4, 100), Patch(OR_FIRST, 0, 1 << 4, 4)]
    once = Command(NOP, {}, when_last=1 << 4, fence=True)
    descriptor = Descriptor(0, [1, 1, 1, 1, 4], [load, once])
    first, second, third, fourth, last = expand(descriptor)
    assert [issue.patching for issue in (first, second, third, fourth)] == [4, 4, 4, 5]
    # a command that is not due, then a step of the innermost loop
    assert [issue.skipped for issue in (first, second, last)] == [0, 4 + 2, 0]
    assert first.words[0] == 4 and second.words[0] == 0
    assert last.fence and last.layout is NOP


def test_other_counts_are_a_part_of_the_same_nest():
    command = Command(LOAD, {})
    command.patches = [Patch(LAST, 5, 1 << 4, 9)]
    descriptor = Descriptor(0, [1, 1, 1, 3, 100], [command])
    words = [issue.words[5] for issue in expand(descriptor, [1, 1, 1, 2, 3])]
    assert words == [0, 0, 9] * 2
