"""Layer programs that no compiler would make: random ones, and ones with one thing wrong."""

from eftrain_hw.sequencer.errors import PROGRAM_ERRORS
from eftrain_hw.sequencer.opcodes import BY_NAME, LAYOUTS
from eftrain_hw.sequencer.program_format import (
    ADD,
    HEADER_WORDS,
    LAST,
    OR_FIRST,
    OR_LAST,
    Command,
    Descriptor,
    padded,
)

__all__ = ["malformed_program", "random_program"]

_WORD = 0xFFFFFFFF
BAD_TAG = 0xBAD


def _random_command(rng, loops):
    layout = rng.choice(LAYOUTS)
    values = {
        name: rng.getrandbits(field.bits) - (field.signed << field.bits - 1)
        for name, field in layout.fields.items()
    }
    masks = [1 << loop for loop in range(5 - loops, 5)] or [0]
    when = [rng.choice([0, 0, 0, *masks]) for _ in range(2)]
    command = Command(layout, values, *when, fence=rng.random() < 0.2)
    for _ in range(rng.randrange(5)):
        kind, name = rng.choice([ADD, ADD, LAST, OR_FIRST, OR_LAST]), rng.choice([*values])
        if kind == ADD:
            step = rng.choice([rng.getrandbits(32), 3, -1])
            command.patch(ADD, name, 1 << rng.randrange(5), step)
        else:
            field = layout.fields[name]
            value = rng.getrandbits(field.bits - field.signed)
            command.patch(kind, name, rng.getrandbits(5), value)
    return command


def random_program(rng, *, descriptors, half_words):
    """Words of a program with every kind of command, condition, patch and fence."""
    program = []
    for number in range(descriptors):
        loops = [rng.choice([1, 1, 2, 3, 6]) for _ in range(rng.randrange(5))]
        while True:
            commands = [_random_command(rng, len(loops)) for _ in range(rng.randrange(7))]
            tag, last = rng.getrandbits(32), number == descriptors - 1
            words = Descriptor(tag, loops, commands, last=last).words()
            if len(words) <= half_words:
                break
        program += padded(words)
    return program


def malformed_program(name):
    """A good descriptor, then one with the tag `BAD_TAG` that has the error `name`.

    Parameters
    ----------
    name : str
        Key of `PROGRAM_ERRORS`.

    Returns
    -------
    list of int
        Words; the commands before the error are issued.
    """
    if name not in PROGRAM_ERRORS:
        raise ValueError(f"program error must be one of {sorted(PROGRAM_ERRORS)}, not {name!r}")
    drain, load = BY_NAME["drain"], BY_NAME["load"]
    good = Descriptor(1, [2], [Command(drain, {"run": 5})]).words()
    second = Command(load, {"rows": 2}).patch(ADD, "vector", 1 << 4, 3)
    words = Descriptor(BAD_TAG, [3], [Command(drain, {"run": 1}), second], last=True).words()
    head = HEADER_WORDS + 2 + drain.words
    word, change = {
        "bad_magic": (0, 1 << 20),
        "bad_version": (0, 1),
        "bad_length": (1, HEADER_WORDS - 1 - words[1]),
        "bad_checksum": (11, 1),
        "bad_loop_count": (9, -words[9]),
        "bad_command_count": (4, -1),
        "unknown_opcode": (head, 0x2A - load.opcode),
        "bad_template": (head, (1 << 16) - (2 << 8)),  # a patch more: as long as before
        "bad_patch": (len(words) - 2, 0x40 << 8),
    }[name]
    words[word] = words[word] + change & _WORD
    if name != "bad_checksum":
        words[11] = 0
        words[11] = -sum(words) & _WORD
    return padded(good) + padded(words)
