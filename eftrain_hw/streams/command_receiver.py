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

    Members
    -------
    words : In(stream(command_word))
    command : Out(stream(layout.struct))
    busy : Out(1)
        1 from the cycle after the first word until the engine has taken the command.

    Raises
    ------
    TypeError
    """

    def __init__(self, layout, *, ahead=True):
        if not isinstance(layout, CommandLayout):
            raise TypeError(f"CommandReceiver layout must be a CommandLayout, not {layout!r}")
        self._layout = layout
        self._ahead = bool(ahead)
        super().__init__(
            {
                "words": In(stream.Signature(command_word())),
                "command": Out(stream.Signature(layout.struct)),
                "busy": Out(1),
            }
        )

    @property
    def layout(self):
        return self._layout

    @property
    def ahead(self):
        return self._ahead

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

        m.d.comb += self.words.ready.eq(~complete)
        with m.If(self.words.valid & self.words.ready):
            with m.Switch(position):
                for word in range(count):
                    with m.Case(word):
                        part = collected.word_select(word, WORD_BITS)
                        m.d.sync += part.eq(self.words.payload.data)
            m.d.sync += position.eq(position + 1)
            with m.If(self.words.payload.last):
                m.d.sync += [position.eq(0), complete.eq(1)]

        m.d.comb += self.busy.eq((position != 0) | complete | self.command.valid)
        if not self._ahead:
            m.d.comb += [
                self.command.valid.eq(complete),
                self.command.payload.as_value().eq(collected),
            ]
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
        return m
