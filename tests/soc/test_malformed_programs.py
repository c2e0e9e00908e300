"""Malformed layer programs on the RTL: each is refused with its code, its layer and its number."""

from dataclasses import replace

import numpy as np
import pytest

from eftrain_hw.runtime.device import DeviceError
from eftrain_hw.sequencer.errors import ProgramError
from eftrain_hw.sequencer.interpreter import issued_words
from eftrain_hw.sequencer.program_format import HEADER_WORDS, padded
from sim.models.faults import CODES, DESCRIPTORS, Faults

pytestmark = pytest.mark.rtl


@pytest.fixture
def faults():
    return Faults()


def reseal(words):
    """Make the checksum right again."""
    words[11] = -(sum(words) - words[11]) & 0xFFFFFFFF
    return words


def commands_of(words):
    """(word of the command, template words, patches) of each command."""
    at, found = HEADER_WORDS, []
    for _ in range(words[4]):
        template, patches = words[at] >> 8 & 0xFF, words[at] >> 16 & 0xFF
        found.append((at, template, patches))
        at += 2 + template + 2 * patches
    return found


def set_word(index, value):
    def change(words):
        words[index] = value(words[index]) if callable(value) else value
        return reseal(words)

    return change


def set_command(value, which=-1):
    """Change the first word of a command."""

    def change(words):
        at, _, _ = commands_of(words)[which]
        words[at] = value(words[at])
        return reseal(words)

    return change


def set_patch(value):
    """Change the first word of the first patch."""

    def change(words):
        at, template, _ = next(entry for entry in commands_of(words) if entry[2])
        words[at + 2 + template] = value(words[at + 2 + template])
        return reseal(words)

    return change


def drop_word(words):
    words[1] -= 1
    return reseal(words[:-1])


def add_word(words):
    words[1] += 1
    return reseal([*words, 0])


MALFORMED = {
    "magic": ("bad_magic", 0, set_word(0, lambda w: w ^ 0x0001_0000)),
    "nothing there": ("bad_magic", 1, lambda words: [0xFFFFFFFF] * len(words)),
    "version 0": ("bad_version", 2, set_word(0, lambda w: w & 0xFFFF0000)),
    "version 2": ("bad_version", 0, set_word(0, lambda w: w + 1)),
    "length 0": ("bad_length", 3, set_word(1, 0)),
    "length 11": ("bad_length", 0, set_word(1, HEADER_WORDS - 1)),
    "too long": ("bad_length", 4, set_word(1, 1025)),
    "much too long": ("bad_length", 13, set_word(1, 0xFFFFFFFF)),
    "checksum": ("bad_checksum", 5, lambda words: [*words[:11], words[11] ^ 1, *words[12:]]),
    "checksum of a body": ("bad_checksum", 12, lambda words: [*words[:-1], words[-1] + 1]),
    "loop count 0": ("bad_loop_count", 6, set_word(9, 0)),
    "loop count 65536": ("bad_loop_count", 0, set_word(5, 65536)),
    "too many commands": ("bad_command_count", 7, set_word(4, lambda w: w + 1)),
    "too few commands": ("bad_command_count", 8, set_word(4, lambda w: w - 1)),
    "no commands": ("bad_command_count", 9, set_word(4, 0)),
    "2^32 - 1 commands": ("bad_command_count", 9, set_word(4, 0xFFFFFFFF)),
    "a word less": ("bad_command_count", 10, drop_word),
    "a word more": ("bad_command_count", 11, add_word),
    "opcode 9": ("unknown_opcode", 0, set_command(lambda w: w & ~0xFF | 9)),
    "opcode 255": ("unknown_opcode", 4, set_command(lambda w: w | 0xFF)),
    "template": ("bad_template", 6, set_command(lambda w: w - 0x100 + 0x10000, which=0)),
    "empty template": ("bad_template", 13, set_command(lambda w: w & ~0xFF00)),
    "patch kind": ("bad_patch", 0, set_patch(lambda w: w & ~0xFF | 4)),
    "patched word": ("bad_patch", 2, set_patch(lambda w: w & ~0xFF00 | 200 << 8)),
    "patch of a loop that isn't": ("bad_patch", 5, set_patch(lambda w: w | 1 << 21)),
    "ADD of two loops": ("bad_patch", 10, set_patch(lambda w: w & 0xFF00 | 3 << 16)),
    "ADD of no loop": ("bad_patch", 12, set_patch(lambda w: w & 0xFF00)),
}


def changed_program(faults, k, change):
    base = faults.bench.base // 64
    words = []
    for j, descriptor in enumerate(faults.descriptors):
        each = descriptor.words(base_line=base)
        words += padded(change(each) if j == k else each)
    return words


def expected_error(faults, words):
    """What the interpreter says about a program in the memory."""
    with pytest.raises(ProgramError) as info:
        for _ in issued_words(words, half_words=faults.program.config.descriptor_words // 2):
            pass
    return info.value


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_descriptor(case, faults):
    name, k, change = MALFORMED[case]
    words = changed_program(faults, k, change)
    assert expected_error(faults, words).name == name
    faults.put_program(words)
    layer = faults.layers[k] if case != "nothing there" else f"descriptor {k}"
    at_fetch = CODES[name] <= CODES["bad_checksum"]
    error = faults.fails(name, {layer}, faults.outputs(k - 1 if at_fetch else k))
    assert error.address is None
    assert faults.bench.host.read("error_index") == k
    faults.recovers(soft_reset=k % 2)


def test_program_without_an_end(faults):
    """Behind the last descriptor nothing carries the magic number."""
    descriptors = [replace(descriptor, last=False) for descriptor in faults.descriptors]
    words = [w for d in descriptors for w in padded(d.words(faults.bench.base // 64))]
    faults.put_program(words)
    layers = {f"descriptor {DESCRIPTORS}"}
    faults.fails("bad_magic", layers, faults.outputs(DESCRIPTORS - 1))
    assert faults.bench.host.read("error_index") == DESCRIPTORS
    faults.recovers()


def test_one_wrong_bit_in_the_program(faults):
    """Wherever it is, nothing of the descriptor runs."""
    bench, rng = faults.bench, np.random.default_rng(12)
    right = bench.program.words("train", bench.base)
    starts = np.cumsum([0] + [len(padded(d.words())) for d in faults.descriptors])
    start = bench.program.tensors["program.train"].address
    for n in range(30):
        k = int(rng.integers(DESCRIPTORS))
        length = HEADER_WORDS if n % 2 else len(faults.descriptors[k].words())
        at, bit = int(starts[k] + rng.integers(length)), int(rng.integers(32))
        words = right.copy()
        words[at] ^= np.uint32(1 << bit)
        bench.restore()
        faults.put_program(words)
        tail = bench.memory[start:].view(np.uint32)
        expected = expected_error(faults, tail)
        assert expected.index == k
        layers = {bench.program.tags.get(expected.tag, f"descriptor {k}")}
        faults.fails(expected.name, layers, faults.outputs(k - 1))
    faults.recovers()


def test_nonsense_with_a_right_checksum():
    """What the checks cannot see ends by itself, by the window, by the watchdog or by a reset."""
    faults = Faults(step_limit=100_000, watchdog=3000)
    bench, rng = faults.bench, np.random.default_rng(14)
    bench.run()
    faults.hold_outside(0, len(bench.memory))
    endings = set()
    for n in range(30):
        descriptor = replace(faults.descriptors[n % DESCRIPTORS], last=True)
        words = descriptor.words(base_line=bench.base // 64)
        for at in rng.integers(HEADER_WORDS, len(words), 3):
            words[at] = int(rng.choice([0, 1, words[at] ^ 1 << rng.integers(32), 0xFFFFFFFF]))
        faults.put_program(reseal(words))
        try:
            bench.run()
            endings.add("done")
        except DeviceError as error:
            endings.add(error.name)
        bench.host.soft_reset()
        assert bench.status() == {"idle"} and not bench.simulation.bus_busy
        if n % 10 == 9:
            faults.recovers()
            faults.hold_outside(0, len(bench.memory))
    assert {"done", "watchdog", "read_window", "bad_patch"} <= endings
