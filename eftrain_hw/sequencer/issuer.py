"""Sends patched commands to the engines, in order."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..streams.command import NOP
from ..streams.command_receiver import command_word
from .descriptor_names import MARK_BITS

__all__ = ["Issuer", "SETTLE", "issue_ports"]

SETTLE = 3  # cycles in which nothing may be busy before a fence believes it


def issue_ports(layouts):
    """Members `issue_<name>`, one for each layout that goes to an engine."""
    return {
        f"issue_{layout.name}": Out(stream.Signature(command_word()))
        for layout in layouts
        if layout.opcode != NOP.opcode
    }


class Issuer(wiring.Component):
    """Two commands in turn: one is sent while the next is patched.

    `hand_over` gives the command in half `fill`; its words are then read from the patcher and sent
    to the engine of its opcode. A command with a fence waits until `engines_busy` has been 0 for
    `SETTLE` cycles with nothing on its way.

    Latency and cost: first word valid 2 cycles after `hand_over`, then a word a cycle; about 60
    LUT.

    Parameters
    ----------
    layouts : iterable of CommandLayout
    depth : int
        Words of a half of the patcher.

    Members
    -------
    hand_over : In(1)
    opcode, words, fence : In
        Of the command that is handed over.
    fill : Out(1)
        Half to fill next.
    full : Out(1)
        Half `fill` has not been sent yet.
    send_half, send_position : Out
    send_word : In(32)
    engines_busy : In(1)
    descriptor : In(MARK_BITS)
        Of the command that is handed over.
    mark : Out(MARK_BITS)
        That of the word that is being issued.
    fenced : Out(1)
        The next command's fence waits.
    quiet : Out(1)
        Nothing is on its way, and the engines have been idle for `SETTLE` cycles.
    sent : Out(1)
        Pulse for each command that an engine's receiver has taken whole.
    moving : Out(1)
        Pulse for each word that a receiver takes.
    issue_<name> : Out(stream(command_word))
        One for each layout but NOP, which ends here.
    """

    def __init__(self, layouts, *, depth):
        self._layouts = tuple(layouts)
        self._opcode_bits = max(layout.opcode for layout in self._layouts).bit_length()
        super().__init__(
            {
                "hand_over": In(1),
                "opcode": In(self._opcode_bits),
                "words": In(range(depth + 1)),
                "fence": In(1),
                "fill": Out(1),
                "full": Out(1),
                "send_half": Out(1),
                "send_position": Out(range(depth)),
                "send_word": In(32),
                "engines_busy": In(1),
                "descriptor": In(MARK_BITS),
                "mark": Out(MARK_BITS),
                "fenced": Out(1),
                "quiet": Out(1),
                "sent": Out(1),
                "moving": Out(1),
                **issue_ports(self._layouts),
            }
        )

    @property
    def layouts(self):
        return self._layouts

    def elaborate(self, platform):
        m = Module()
        full = Signal(2)
        opcodes, ends, fences, marks = [], [], [], []
        for half in range(2):
            opcodes.append(Signal(self._opcode_bits, name=f"opcode_{half}", reset_less=True))
            ends.append(Signal.like(self.send_position, name=f"end_{half}", reset_less=True))
            fences.append(Signal(name=f"fence_{half}", reset_less=True))
            marks.append(Signal(MARK_BITS, name=f"mark_{half}", reset_less=True))
        fill, half = Signal(), Signal()
        position = Signal.like(self.send_position)
        settled = Signal(range(SETTLE + 1))

        word = Signal(command_word(), reset_less=True)
        valid = Signal(len(self._layouts))
        ready = Signal(len(self._layouts))
        for k, layout in enumerate(self._layouts):
            if layout.opcode == NOP.opcode:
                m.d.comb += ready[k].eq(1)
                continue
            port = getattr(self, f"issue_{layout.name}")
            m.d.comb += [
                port.valid.eq(valid[k]),
                port.payload.eq(word),
                ready[k].eq(port.ready),
            ]
        taken = (valid & ready).any()
        sending = valid.any()

        m.d.comb += [
            self.fill.eq(fill),
            self.full.eq(full.bit_select(fill, 1)),
            self.send_half.eq(half),
            self.send_position.eq(position),
            self.quiet.eq((settled == SETTLE) & ~sending & (full == 0)),
            self.moving.eq(taken),
            self.sent.eq(taken & word.last),
        ]
        with m.If(self.hand_over):
            for k in range(2):
                with m.If(fill == k):
                    m.d.sync += [
                        full[k].eq(1),
                        opcodes[k].eq(self.opcode),
                        ends[k].eq(self.words - 1),
                        fences[k].eq(self.fence),
                        marks[k].eq(self.descriptor),
                    ]
            m.d.sync += fill.eq(~fill)

        with m.If(self.engines_busy | sending):
            m.d.sync += settled.eq(0)
        with m.Elif(settled != SETTLE):
            m.d.sync += settled.eq(settled + 1)

        opcode, end, fence = Signal(self._opcode_bits), Signal.like(position), Signal()
        mark = Signal(MARK_BITS)
        for k in range(2):
            with m.If(half == k):
                m.d.comb += [opcode.eq(opcodes[k]), end.eq(ends[k]), fence.eq(fences[k])]
                m.d.comb += mark.eq(marks[k])
        blocked = fence & (position == 0) & ((settled != SETTLE) | sending)
        m.d.comb += self.fenced.eq(blocked & full.bit_select(half, 1))
        with m.If(~sending | taken):
            m.d.sync += valid.eq(0)
            with m.If(full.bit_select(half, 1) & ~blocked):
                m.d.sync += [
                    word.data.eq(self.send_word),
                    word.last.eq(position == end),
                    self.mark.eq(mark),
                    position.eq(position + 1),
                ]
                for k, layout in enumerate(self._layouts):
                    m.d.sync += valid[k].eq(opcode == layout.opcode)
                with m.If(position == end):
                    m.d.sync += [position.eq(0), half.eq(~half)]
                    for k in range(2):
                        with m.If(half == k):
                            m.d.sync += full[k].eq(0)
        return m
