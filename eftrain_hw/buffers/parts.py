"""Counts what one side has finished and the other one has not taken yet."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["PartCounter"]


class PartCounter(wiring.Component):
    """Keeps reports of finished parts of a bank until the drain takes them, asleep or not.

    Contract: up to 255 reports may wait; `taken` comes only while `some` is 1.

    Latency and cost: `some` follows a pulse in the next cycle. 9 flip-flops, about 12 LUTs.

    Members
    -------
    done, taken : In(1)
        Pulses.
    some : Out(1)
        A part is done that has not been taken.
    """

    def __init__(self):
        super().__init__({"done": In(1), "taken": In(1), "some": Out(1)})

    def elaborate(self, platform):
        m = Module()
        count, following = Signal(8), Signal(8)
        m.d.comb += following.eq(count + self.done - self.taken)
        m.d.sync += [count.eq(following), self.some.eq(following != 0)]
        return m
