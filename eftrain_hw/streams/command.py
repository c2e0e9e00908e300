"""Commands as data: one table gives the hardware struct, the encoder and the documentation."""

from dataclasses import dataclass
from functools import cached_property

__all__ = ["NOP", "CommandLayout", "Field"]

WORD_BITS = 32


@dataclass(frozen=True)
class Field:
    """A field of a command: a whole word, or `bits` of the word of flags that it follows.

    Members
    -------
    name : str
    bits : int
    doc : str
    signed : bool
    flag : bool
        Shares word 0 with the other flags; every other field starts a word of its own, so that
        the sequencer can patch it without touching a neighbour.
    line : bool
        An address in lines of 64 bytes, which linking moves to where the memory starts.
    """

    name: str
    bits: int
    doc: str
    signed: bool = False
    flag: bool = False
    line: bool = False

    @property
    def shape(self):
        from amaranth.hdl import signed, unsigned  # the compiler runs where Amaranth isn't

        return signed(self.bits) if self.signed else unsigned(self.bits)


class CommandLayout:
    """The layout of one kind of command, in 32-bit words.

    Parameters
    ----------
    name : str
    opcode : int
        What the sequencer dispatches by.
    fields : iterable of Field
        Flags first (they share word 0), then one word each.

    Members
    -------
    words : int
        Length of the command.
    struct : amaranth.lib.data.FlexibleLayout
        What an engine receives, all words side by side.
    """

    def __init__(self, name, opcode, fields):
        self.name = name
        self.opcode = opcode
        self.fields = {field.name: field for field in fields}
        self._place = {}
        shift, word = 0, 0
        for field in self.fields.values():
            if field.flag:
                assert word == 0 and shift + field.bits <= WORD_BITS, field
                self._place[field.name] = (0, shift)
                shift += field.bits
            else:
                assert field.bits <= WORD_BITS, field
                word += 1
                self._place[field.name] = (word, 0)
        self.words = word + 1

    @cached_property
    def struct(self):
        from amaranth.lib import data

        return data.FlexibleLayout(
            self.words * WORD_BITS,
            {
                name: data.Field(self.fields[name].shape, word * WORD_BITS + shift)
                for name, (word, shift) in self._place.items()
            },
        )

    def place(self, name):
        """(word, shift) of a field."""
        return self._place[name]

    def pack(self, **values):
        """The words of a command; fields that are left out are 0.

        Raises
        ------
        ValueError
            An unknown field, or a value that its field cannot hold.
        """
        words = [0] * self.words
        for name, value in values.items():
            words[self._check(name)] |= self.bits_of(name, value)
        return words

    def _check(self, name):
        if name not in self.fields:
            raise ValueError(
                f"{self.name} command has no field {name!r}; it has {list(self.fields)}"
            )
        return self._place[name][0]

    def bits_of(self, name, value):
        """The value of one field, in the place that it has in its word."""
        self._check(name)
        field = self.fields[name]
        value = int(value)
        low = -(1 << field.bits - 1) if field.signed else 0
        high = (1 << field.bits - field.signed) - 1
        if not low <= value <= high:
            raise ValueError(f"{self.name}.{name} must be {low} to {high}, not {value}")
        # a signed field fills its word, so that the sequencer may add to it
        mask = (1 << WORD_BITS) - 1 if field.signed else (1 << field.bits) - 1
        return (value & mask) << self._place[name][1]

    def unpack(self, words):
        """The inverse of `pack`: every field by name."""
        values = {}
        for name, field in self.fields.items():
            word, shift = self._place[name]
            value = words[word] >> shift & (1 << field.bits) - 1
            if field.signed and value >> field.bits - 1:
                value -= 1 << field.bits
            values[name] = value
        return values

    def markdown(self):
        """The table of fields, for the documentation."""
        lines = ["| word | bits | field | meaning |", "|---|---|---|---|"]
        for name, field in self.fields.items():
            word, shift = self._place[name]
            sign = ", signed" if field.signed else ""
            lines.append(
                f"| {word} | {shift + field.bits - 1}:{shift}{sign} | `{name}` | {field.doc} |"
            )
        return "\n".join(lines)


NOP = CommandLayout("nop", 0, [Field("reserved", 1, "nothing; carries a fence", flag=True)])
