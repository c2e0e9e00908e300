# amaranth: UnusedElaboratable=no
"""The sequencer against the interpreter, with its receivers, a slow memory and busy engines."""

import random

import pytest

from eftrain_hw.config import AcceleratorConfig
from eftrain_hw.sequencer.errors import PROGRAM_ERRORS
from eftrain_hw.sequencer.interpreter import issued_words
from eftrain_hw.sequencer.opcodes import BY_NAME, LAYOUTS
from eftrain_hw.sequencer.program_format import ADD, Command, Descriptor, padded
from eftrain_hw.sequencer.sequencer import Sequencer
from eftrain_hw.streams.command import NOP, CommandLayout, Field


def expected(words, half_words=None):
    """What the engines see of a program."""
    return [issue for issue in issued_words(words, half_words=half_words) if issue[2] != NOP.opcode]


@pytest.mark.parametrize("ports, stall", [(2, 0), (1, 0.5), (4, 0.5), (2, 0.9)])
def test_issues_what_the_interpreter_says(bench, make_program, ports, stall):
    rng = random.Random(f"{ports} {stall}")
    want = []
    while len(want) <= 20:  # programs are of random lengths
        program = make_program(rng)
        want = expected(program)
    run = bench(AcceleratorConfig(descriptor_words=512, ports=ports))
    issued, outcome = run.run(program, stall=stall, seed=ports)
    assert [(c["opcode"], c["words"]) for c in issued] == [(w[2], w[3]) for w in want]
    assert outcome["done"] and not outcome["busy"]
    assert all(command["idle"] for command, issue in zip(issued, want) if issue[4])
    for name, layout in BY_NAME.items():
        if layout is not NOP:
            values = [
                sum(word << 32 * i for i, word in enumerate(c["words"]))
                for c in issued
                if c["opcode"] == layout.opcode
            ]
            assert run.taken[name] == values


def test_additions_with_every_size_of_index(bench):
    """One loop of 180: indices of one to four digits, with values that carry through the word."""
    command = Command(BY_NAME["drain"], {"base": 0xFFFFFFFF, "vector": 3})
    command.patch(ADD, "vector", 1 << 4, 0x9E3779B1).patch(ADD, "base", 1 << 4, 1)
    program = padded(Descriptor(0, [180], [command], last=True).words())
    issued, outcome = bench().run(program, work=(0, 0))
    assert outcome["done"]
    assert [c["words"] for c in issued] == [w[3] for w in expected(program)]


def test_a_descriptor_as_long_as_its_memory(bench, config):
    half = config.descriptor_words // 2
    commands = [Command(BY_NAME["drain"], {"run": k}) for k in range((half - 12) // 15)]
    spare = half - 12 - 15 * len(commands)
    for k in range(spare // 2):
        commands[0].patch(ADD, "vector", 1 << 4, k + 1)
    if spare % 2:
        commands[-1] = Command(BY_NAME["drain"], {"run": 99})
    words = Descriptor(0, [2], commands, last=False).words()
    assert half - 1 <= len(words) <= half
    program = padded(words) + padded(Descriptor(1, [2], commands, last=True).words())
    issued, outcome = bench().run(program, work=(0, 0))
    assert outcome["done"]
    assert [c["words"] for c in issued] == [w[3] for w in expected(program)]


@pytest.mark.parametrize("ports, stall", [(2, 0), (1, 0.5)])
def test_a_first_descriptor_of_known_length_is_asked_for_at_once(bench, make_program, ports, stall):
    program = make_program(random.Random(5))
    want = expected(program)
    lines = -(-program[1] // 16)
    assert lines > 2 and len(program) > 16 * lines, "two descriptors, the first of some lines"
    first = []
    for said in (0, lines):
        run = bench(AcceleratorConfig(descriptor_words=512, ports=ports))
        issued, outcome = run.run(program, stall=stall, lines=said)
        assert outcome["done"] and [c["words"] for c in issued] == [w[3] for w in want]
        first.append(issued[0]["cycle"])
    assert first[1] <= first[0] - 12, "the latency of the memory is waited for once"


@pytest.mark.parametrize("wrong", [-1, 1])
def test_a_first_descriptor_of_another_length_than_said(bench, make_program, wrong):
    program = make_program(random.Random(5))
    lines = -(-program[1] // 16)
    issued, outcome = bench().run(program, lines=lines + wrong)
    assert not issued and outcome["code"] == PROGRAM_ERRORS["bad_length"][0]
    assert outcome["index"] == 0


@pytest.mark.parametrize("name", sorted(PROGRAM_ERRORS))
def test_stops_with(name, bench, malformed):
    words, half_words, before = malformed(name)
    issued, outcome = bench().run(words, work=(0, 3))
    assert not outcome["done"]
    assert outcome["code"] == PROGRAM_ERRORS[name][0]
    assert (outcome["index"], outcome["tag"]) == (1, 0xBAD)
    assert len(issued) == before and issued[-1]["closed"]


@pytest.mark.parametrize(
    "word, value, name",
    [
        (1, 257, "bad_length"),
        (1, 0x8000_0020, "bad_length"),
        (5, 0x10001, "bad_loop_count"),
        (4, 33, "bad_command_count"),
        (4, 3, "bad_command_count"),
        (28, 1 << 31, None),
        (46, 1 << 16, None),
        (50, 0x0004_0000 | 1 << 20, "bad_patch"),
        (50, 1 << 16 | 21 << 8, "bad_patch"),
        (50, 3 << 16, "bad_patch"),
        (50, 0, "bad_patch"),
        (50, 1 << 21 | 1, "bad_patch"),
        (50, 1 << 16 | 4, "bad_patch"),
        (50, 1 << 16 | 3, None),
        (27, 1 | 21 << 8 | 40 << 16, "bad_command_count"),
    ],
)
def test_agrees_with_the_interpreter_on_a_wrong_word(word, value, name, bench, malformed):
    """One word of a good program replaced, the checksum made right."""
    program, half_words, _ = malformed("none")
    start = 32
    program[start + word] = value
    program[start + 11] = 0
    program[start + 11] = -sum(program[start : start + 52]) & 0xFFFFFFFF
    want, code = [], None
    try:
        for issue in issued_words(program, half_words=half_words):
            want.append(issue[3])
    except ValueError as error:
        code = error.code
    assert code == (PROGRAM_ERRORS[name][0] if name else None)
    issued, outcome = bench().run(program, work=(0, 3))
    assert outcome["code"] == code and bool(outcome["done"]) == (code is None)
    assert [c["words"] for c in issued] == want


def test_memory_after_the_program_is_no_descriptor(bench):
    """A program without a last descriptor ends at the zeros behind it."""
    program = padded(Descriptor(5, [], [Command(BY_NAME["drain"], {})]).words())
    issued, outcome = bench().run(program)
    assert outcome["code"] == PROGRAM_ERRORS["bad_magic"][0] and outcome["index"] == 1
    assert len(issued) == 1


def steady_interval(bench, commands, loops, count):
    """Cycles from command to command once things are under way."""
    program = padded(Descriptor(0, loops, commands, last=True).words())
    issued, outcome = bench().run(program, work=(0, 0))
    assert outcome["done"] and len(issued) == count
    return [b["cycle"] - a["cycle"] for a, b in zip(issued, issued[1:])]


def test_takes_two_cycles_a_command_beyond_words_and_patches(bench):
    drain = BY_NAME["drain"]
    patches = 5
    commands = []
    for _ in range(6):
        command = Command(drain, {})
        for _ in range(patches):
            command.patch(ADD, "vector", 1 << 4, 9)
        commands.append(command)
    # one pass over the body (all indices 0), then one with index 1 and a step of the loop
    intervals = steady_interval(bench, commands, [2], 12)
    cycles = drain.words + 2 * patches + 2
    assert intervals[:5] == [cycles] * 5
    assert intervals[5] == cycles + 2
    assert intervals[6:] == [cycles] * 5


def test_skips_a_command_that_is_not_due_in_four_cycles(bench):
    drain = BY_NAME["drain"]
    never = [Command(drain, {}, when_last=1 << 3) for _ in range(7)]
    commands = [Command(drain, {}), *never, Command(drain, {})]
    intervals = steady_interval(bench, commands, [2, 1], 2 + 2 + 7)
    assert intervals[0] == drain.words + 2 + 7 * 4


def test_fetches_ahead_in_small_requests(bench):
    """The second descriptor is there when the first ends; requests are of 8 beats at most."""
    drain = BY_NAME["drain"]
    commands = [Command(drain, {}) for _ in range(12)]
    program = padded(Descriptor(0, [2], commands).words())
    program += padded(Descriptor(1, [], commands, last=True).words())
    run = bench()
    issued, outcome = run.run(program, work=(0, 0))
    assert outcome["done"] and len(issued) == 36
    gap = issued[24]["cycle"] - issued[23]["cycle"]
    assert gap <= drain.words + 2 + 20
    assert max(beats for _, beats in run.requests) == 8


def test_rejects_two_layouts_of_one_opcode(config):
    other = CommandLayout("other", 1, [Field("flag", 1, "", flag=True)])
    with pytest.raises(ValueError, match="^Sequencer layouts must have different opcodes, "):
        Sequencer(config, [*LAYOUTS, other])


def test_starts_anew_after_a_reset_at_any_time(bench, make_program):
    """Resets during the fetch, the first commands, a wait for engines; then all is as new."""
    program = make_program(random.Random(11))
    issued, outcome = bench().run(program, stall=0.3, abandon=(2, 15, 40, 90, 151, 260))
    assert outcome["done"]
    assert [c["words"] for c in issued] == [w[3] for w in expected(program)]


def test_starts_again_after_an_error(bench, malformed):
    """Reset is all it takes: the second run meets the same error at the same place."""
    words, _, before = malformed("bad_patch")
    issued, outcome = bench().run(words, abandon=(600,))
    assert outcome["code"] == PROGRAM_ERRORS["bad_patch"][0] and len(issued) == before
