"""Words of a command, one after another, to the struct that an engine takes."""

from amaranth.hdl import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .command import WORD_BITS, CommandLayout

__all__ = ["CommandReceiver", "command_word"]


def command_word():
    """A word of a command on its way to an engine; `last` marks the command's last."""
    return data.StructLayout({"data": WORD_BITS, "last": 1})


class CommandReceiver(wiring.Component):
    """Collects the words of a command; with `ahead`, of the next one while this waits to be taken.

        words    | w0 | w1 | .. | wn-1, last |    | w0 | ..
        command                                   | valid until the engine takes it

    Words come in the order of the layout; `last` must lie on word `layout.words - 1`, as the
    sequencer has checked. `words.ready` is 1 until a command is complete that cannot move on.

    Latency and cost: valid 2 cycles after the last word (1 without `ahead`), one word a cycle, one
    cycle without a word after each command. The command's used bits in flip-flops (twice with
    `ahead`), one LUT a word.

    Parameters
    ----------
    layout : CommandLayout
    ahead : bool
        Whether a second command is collected behind the one that waits for the engine.
    tag_bits : int
        Bits that accompany a command.

    Members
    -------
    words : In(stream(command_word))
    tag : In(tag_bits)
        Taken with the first word. Only if there are such bits, like `command_tag`.
    command : Out(stream(layout.struct))
    command_tag : Out(tag_bits)
    busy : Out(1)
        1 from the cycle after the first word until the engine has taken the command.

    Raises
    ------
    TypeError
    """

    def __init__(self, layout, *, ahead=True, tag_bits=0):
        if not isinstance(layout, CommandLayout):
            raise TypeError(f"CommandReceiver layout must be a CommandLayout, not {layout!r}")
        self._layout = layout
        self._ahead = bool(ahead)
        self._tag_bits = tag_bits
        super().__init__(
            {
                "words": In(stream.Signature(command_word())),
                "command": Out(stream.Signature(layout.struct)),
                "busy": Out(1),
            }
            | ({"tag": In(tag_bits), "command_tag": Out(tag_bits)} if tag_bits else {})
        )

    @property
    def layout(self):
        return self._layout

    @property
    def ahead(self):
        return self._ahead

    @property
    def tag_bits(self):
        return self._tag_bits

    @property
    def latency(self):
        """Cycles from the last word to a valid command."""
        return 2 if self._ahead else 1

    def elaborate(self, platform):
        m = Module()
        count = self._layout.words
        collected = Signal(count * WORD_BITS, reset_less=True)
        position = Signal(range(count))
        complete = Signal()
        tag = Signal(self._tag_bits, reset_less=True)

        m.d.comb += self.words.ready.eq(~complete)
        with m.If(self.words.valid & self.words.ready):
            with m.Switch(position):
                for word in range(count):
                    with m.Case(word):
                        part = collected.word_select(word, WORD_BITS)
                        m.d.sync += part.eq(self.words.payload.data)
            m.d.sync += position.eq(position + 1)
            if self._tag_bits:
                with m.If(position == 0):
                    m.d.sync += tag.eq(self.tag)
            with m.If(self.words.payload.last):
                m.d.sync += [position.eq(0), complete.eq(1)]

        m.d.comb += self.busy.eq((position != 0) | complete | self.command.valid)
        if not self._ahead:
            m.d.comb += [
                self.command.valid.eq(complete),
                self.command.payload.as_value().eq(collected),
            ]
            if self._tag_bits:
                m.d.comb += self.command_tag.eq(tag)
            with m.If(complete & self.command.ready):
                m.d.sync += complete.eq(0)
            return m

        held = Signal(count * WORD_BITS, reset_less=True)
        valid = Signal()
        m.d.comb += [self.command.valid.eq(valid), self.command.payload.as_value().eq(held)]
        with m.If(valid & self.command.ready):
            m.d.sync += valid.eq(0)
        with m.If(complete & ~valid):
            m.d.sync += [held.eq(collected), valid.eq(1), complete.eq(0)]
            if self._tag_bits:
                m.d.sync += self.command_tag.eq(tag)
        return m
