# amaranth: UnusedElaboratable=no
"""Packed programs: the sequencer issues what it issues of the program itself, from fewer bytes."""

import random

import pytest

from eftrain_hw.config import AcceleratorConfig
from eftrain_hw.sequencer.errors import PROGRAM_ERRORS
from eftrain_hw.sequencer.interpreter import issued_words
from eftrain_hw.sequencer.program_format import packed
from eftrain_hw.sequencer.unpacker import ProgramUnpacker
from eftrain_hw.streams.command import NOP


def configuration(ports=2):
    return AcceleratorConfig(descriptor_words=512, ports=ports, packed_programs=True)


def packed_of(program, bus_bytes):
    """A padded program of descriptors, packed."""
    descriptors, at = [], 0
    while at < len(program):
        size = program[at + 1]
        descriptors.append(program[at : at + size])
        at += -(-size // 16) * 16
    return packed(descriptors, bus_bytes)


def unpacked(words, count):
    """The first words of a packed program, from the description."""
    stream = b"".join(word.to_bytes(4, "little") for word in words)[4:]
    found = []
    while len(found) < count:
        sizes, stream = int.from_bytes(stream[:4], "little"), stream[4:]
        for n in range(16):
            size = (0, 1, 2, 4)[sizes >> 2 * n & 3]
            found.append(int.from_bytes(stream[:size], "little"))
            stream = stream[size:]
    return found[:count]


@pytest.mark.parametrize("ports", [1, 2, 4])
def test_packing(ports):
    rng = random.Random(ports)
    descriptors = [
        [rng.getrandbits(rng.choice([1, 8, 9, 16, 17, 32])) * rng.getrandbits(1) for _ in range(n)]
        for n in (15, 16, 33, 100)
    ]
    words = packed(descriptors, 8 * ports)
    assert len(words) * 4 == words[0] * 8 * ports
    expected = []
    for words_of in descriptors:
        size = max(16, -(-len(words_of) // (2 * ports)) * 2 * ports)
        expected += words_of + [0] * (size - len(words_of))
    assert unpacked(words, len(expected)) == expected


@pytest.mark.parametrize("ports, stall", [(1, 0), (2, 0), (4, 0), (1, 0.5), (2, 0.5), (2, 0.9)])
def test_issues_what_the_interpreter_says(bench, make_program, ports, stall):
    rng = random.Random(f"{ports} {stall} packed")
    want = []
    while len(want) <= 20:
        program = make_program(rng)
        want = [issue for issue in issued_words(program) if issue[2] != NOP.opcode]
    config = configuration(ports)
    words = packed_of(program, config.bus_bytes)
    run = bench(config)
    issued, outcome = run.run(words, stall=stall, seed=ports)
    assert outcome["done"] and not outcome["busy"]
    assert [(c["opcode"], c["words"]) for c in issued] == [(w[2], w[3]) for w in want]
    asked = sum(beats for _, beats in run.requests)
    assert asked * config.bus_bytes == 4 * len(words), "not all of the program, and no more"


def test_starts_anew_after_a_reset_at_any_time(bench, make_program):
    program = make_program(random.Random(11))
    words = packed_of(program, 16)
    issued, outcome = bench(configuration()).run(
        words, stall=0.3, abandon=(2, 15, 40, 61, 90, 151, 260)
    )
    assert outcome["done"]
    want = [issue for issue in issued_words(program) if issue[2] != NOP.opcode]
    assert [c["words"] for c in issued] == [w[3] for w in want]


def test_a_wrong_word_is_a_wrong_checksum(bench, make_program):
    program = make_program(random.Random(3))
    program[20] ^= 4  # of descriptor 0
    issued, outcome = bench(configuration()).run(packed_of(program, 16))
    assert outcome["code"] == PROGRAM_ERRORS["bad_checksum"][0] and issued == []


def test_rejects_no_configuration():
    with pytest.raises(TypeError, match="^ProgramUnpacker config must be an AcceleratorConfig, no"):
        ProgramUnpacker("sim-small")
