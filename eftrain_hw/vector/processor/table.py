"""Loading a vector program into the table memory."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .. import program_format as layout

__all__ = ["TableLoader"]


class TableLoader(wiring.Component):
    """Check a vector program on its way into the table memory; scalars and specials follow.

    Latency and cost: a word a cycle; about 110 LUT.

    Members
    -------
    start : In(1)
    words : In(16)
        Of the program, as the command says.
    use_scalars : In(1)
        16 words of scalars come after the program.
    items : In(stream of 32 bits)
    inverse_images, learning_rate, momentum : In(32)
    write : Out(1), address : Out(9), data : Out(32)
        Write port of the table.
    kinds : Out(10), instructions : Out(6)
    busy : Out(1)
    bad : Out(1)
        Pulse: the program is not one; the loader stays busy until it is reset.
    """

    def __init__(self):
        super().__init__(
            {
                "start": In(1),
                "words": In(16),
                "use_scalars": In(1),
                "items": In(stream.Signature(32)),
                **{name: In(32) for name in layout.SPECIALS[:3]},
                "write": Out(1),
                "address": Out(9),
                "data": Out(32),
                "kinds": Out(10),
                "instructions": Out(6),
                "busy": Out(1),
                "bad": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        word, take = self.items.payload, Signal()
        total = Signal(32, reset_less=True)
        left, block = Signal(11, reset_less=True), Signal(10, reset_less=True)
        source = Signal(2)  # of the data: the word, or a special
        place, final = Signal(range(layout.HEADER_WORDS)), Signal()
        wrong = Signal()
        address = Signal(9, reset_less=True)
        m.d.comb += [
            take.eq(self.items.valid & self.items.ready),
            final.eq(left == 1),
            self.address.eq(address),
        ]
        with m.Switch(source):
            with m.Case(0):
                m.d.comb += self.data.eq(word)
            for number, name in enumerate(layout.SPECIALS[:3], 1):
                with m.Case(number):
                    m.d.comb += self.data.eq(getattr(self, name))
        negative = Signal()
        with m.If(negative):
            m.d.comb += self.data[31].eq(~self.learning_rate[31])
        with m.If(take):
            m.d.sync += [total.eq(total + word), left.eq(left - 1)]
        with m.If(self.write):
            m.d.sync += address.eq(address + 1)

        with m.FSM(name="load") as fsm:
            m.d.comb += self.busy.eq(~fsm.ongoing("WAIT"))
            with m.State("WAIT"):
                m.d.sync += [total.eq(0), left.eq(self.words), place.eq(0), wrong.eq(0)]
                with m.If(self.start):
                    m.next = "HEADER"
            with m.State("HEADER"):
                m.d.comb += self.items.ready.eq(1)
                with m.If(take):
                    m.d.sync += place.eq(place + 1)
                    with m.Switch(place):
                        with m.Case(0):
                            magic = layout.MAGIC << 16 | layout.VERSION
                            m.d.sync += wrong.eq(word != magic)
                        with m.Case(1):
                            count = word[16:]
                            few = (count != 0) & (count <= layout.INSTRUCTIONS)
                            m.d.sync += self.instructions.eq(count)
                            m.d.sync += wrong.eq(wrong | (word[:16] != self.words) | ~few)
                        with m.Case(2):
                            m.d.sync += self.kinds.eq(word)
                        with m.Default():
                            m.next = "BLOCK"
                    with m.If(final):
                        m.next = "CHECK"
            with m.State("BLOCK"):
                m.d.comb += self.items.ready.eq(1)
                with m.If(take):
                    m.d.sync += [address.eq(word[16:]), block.eq(word)]
                    m.next = "STORE"
                    with m.If(final):
                        m.next = "CHECK"
            with m.State("STORE"):
                m.d.comb += [self.items.ready.eq(1), self.write.eq(take)]
                with m.If(take):
                    m.d.sync += block.eq(block - 1)
                    with m.If(block == 1):
                        m.next = "BLOCK"
                    with m.If(final):
                        m.next = "CHECK"
            with m.State("CHECK"):
                m.d.sync += [left.eq(layout.SCALARS), address.eq(layout.K_BASE + layout.K_SCALARS)]
                m.next = "REPORT"
                with m.If((total == 0) & ~wrong):
                    m.next = "SCALARS"
                    with m.If(~self.use_scalars):
                        m.d.sync += address.eq(layout.K_BASE + layout.K_SPECIAL)
                        m.d.sync += source.eq(1)
                        m.next = "SPECIALS"
            with m.State("SCALARS"):
                m.d.comb += [self.items.ready.eq(1), self.write.eq(take)]
                with m.If(take & final):
                    m.d.sync += source.eq(1)
                    m.next = "SPECIALS"
            with m.State("SPECIALS"):
                m.d.comb += self.write.eq(1)
                # inverse images, learning rate, momentum, the learning rate again
                m.d.sync += source.eq(source + 1)
                with m.If(source == 3):
                    m.d.sync += [source.eq(2), negative.eq(1)]
                with m.If(negative):
                    m.d.sync += [source.eq(0), negative.eq(0)]
                    m.next = "WAIT"
            with m.State("REPORT"):
                m.d.comb += self.bad.eq(1)
                m.next = "STUCK"
            with m.State("STUCK"):
                pass
        return m
