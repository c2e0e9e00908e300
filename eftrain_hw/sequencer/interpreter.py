"""The layer program in plain Python: which commands the sequencer issues, in order."""

from typing import NamedTuple

from .errors import ProgramError
from .opcodes import LAYOUTS
from .program_format import (
    ADD,
    FENCE,
    HEADER_WORDS,
    LAST,
    LINE_WORDS,
    LOOPS,
    MAGIC,
    NOT_LAST,
    OR_FIRST,
    OR_LAST,
    VERSION,
)

__all__ = ["Issued", "issued_commands", "issued_words"]

_WORD = 0xFFFFFFFF
_ALL_LOOPS = (1 << LOOPS) - 1


class Issued(NamedTuple):
    """One command as an engine receives it.

    Members
    -------
    opcode : int
    fields : dict
        Every field of the command's layout by name.
    fence : bool
        The sequencer waits for all engines before it issues the command.
    """

    opcode: int
    fields: dict
    fence: bool


def issued_commands(words, layouts=LAYOUTS, half_words=None):
    """The commands that a layer program issues.

    Parameters
    ----------
    words : sequence of int
        The program, 32-bit words, from its first descriptor on.
    layouts : iterable of CommandLayout
        Commands that the core knows.
    half_words : int or None
        Longest descriptor that the core takes (half its descriptor memory); None: any.

    Yields
    ------
    Issued

    Raises
    ------
    ProgramError
        At the point at which the sequencer stops with the same code: what comes before has been
        yielded.
    """
    by_opcode = {layout.opcode: layout for layout in layouts}
    for _, _, opcode, command, fence in issued_words(words, layouts, half_words):
        yield Issued(opcode, by_opcode[opcode].unpack(command), fence)


def issued_words(words, layouts=LAYOUTS, half_words=None):
    """As `issued_commands`, but yields (descriptor index, tag, opcode, list of words, fence)."""
    lengths = {layout.opcode: layout.words for layout in layouts}
    start, index, last = 0, 0, False
    while not last:
        # memory beyond the program reads as zeros: no magic
        header = [*words[start : start + HEADER_WORDS], *[0] * HEADER_WORDS][:HEADER_WORDS]
        header = [int(word) & _WORD for word in header]
        tag, last = header[2], bool(header[3] & 1)
        body = _checked(words, start, header, index, half_words)
        for opcode, command, fence in _nest(header, body, lengths, index):
            yield index, tag, opcode, command, fence
        start += -(-header[1] // LINE_WORDS) * LINE_WORDS
        index += 1


def _checked(words, start, header, index, half_words):
    """The descriptor's words after the checks that come before its first command."""
    tag, length = header[2], header[1]
    if header[0] >> 16 != MAGIC:
        raise ProgramError("bad_magic", index, tag)
    if header[0] & 0xFFFF != VERSION:
        raise ProgramError("bad_version", index, tag)
    if length < HEADER_WORDS or (half_words is not None and length > half_words):
        raise ProgramError("bad_length", index, tag)
    body = [int(word) & _WORD for word in words[start : start + length]]
    body += [0] * (length - len(body))
    if sum(body) & _WORD:
        raise ProgramError("bad_checksum", index, tag)
    if header[4] > length:
        raise ProgramError("bad_command_count", index, tag)
    if any(not 1 <= count <= 0xFFFF for count in header[5 : 5 + LOOPS]):
        raise ProgramError("bad_loop_count", index, tag)
    if header[4] == 0 and length != HEADER_WORDS:
        raise ProgramError("bad_command_count", index, tag)
    return body


def _nest(header, body, lengths, descriptor):
    """(opcode, words, fence) of every command of one descriptor."""
    tag, commands, counts = header[2], header[4], header[5 : 5 + LOOPS]
    if commands == 0:
        return
    indices = [0] * LOOPS
    while True:
        first = sum((indices[d] == 0) << d for d in range(LOOPS))
        last = sum((indices[d] == counts[d] - 1) << d for d in range(LOOPS))
        position = HEADER_WORDS
        for _ in range(commands):
            if position + 1 >= len(body):
                raise ProgramError("bad_command_count", descriptor, tag)
            head, when = body[position : position + 2]
            opcode, length, patches = head & 0xFF, head >> 8 & 0xFF, head >> 16 & 0xFF
            here = position + 2
            position = here + length + 2 * patches
            if position > len(body):
                raise ProgramError("bad_command_count", descriptor, tag)
            if opcode not in lengths:
                raise ProgramError("unknown_opcode", descriptor, tag)
            if length != lengths[opcode]:
                raise ProgramError("bad_template", descriptor, tag)
            if when & _ALL_LOOPS & ~first or when >> 8 & _ALL_LOOPS & ~last:
                continue
            if head >> 24 & NOT_LAST and last == _ALL_LOOPS:
                continue
            command = body[here : here + length]
            for k in range(here + length, position, 2):
                error = not _patch(command, body[k], body[k + 1], indices, first, last)
                if error:
                    raise ProgramError("bad_patch", descriptor, tag)
            yield opcode, command, bool(head >> 24 & FENCE)
        if position != len(body):
            raise ProgramError("bad_command_count", descriptor, tag)
        for d in reversed(range(LOOPS)):
            indices[d] += 1
            if indices[d] < counts[d]:
                break
            indices[d] = 0
        else:
            return


def _patch(command, what, value, indices, first, last):
    """Apply one patch; False if it is malformed."""
    kind, word, loops = what & 0xFF, what >> 8 & 0xFF, what >> 16
    if word >= len(command) or loops > _ALL_LOOPS:
        return False
    if kind == ADD:
        if loops == 0 or loops & loops - 1:
            return False
        command[word] = (command[word] + value * indices[loops.bit_length() - 1]) & _WORD
    elif kind == LAST:
        if not loops & ~last:
            command[word] = value
    elif kind == OR_FIRST:
        if not loops & ~first:
            command[word] |= value
    elif kind == OR_LAST:
        if not loops & ~last:
            command[word] |= value
    else:
        return False
    return True
