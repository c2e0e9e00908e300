"""Performance counters: narrow ones that count, one memory and one adder that sum them up."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Counters"]


class Counters(wiring.Component):
    """64-bit sums of events, from `clear` on while `run` is 1.

    Each event has a narrow counter of its own; every `period` cycles it is added to the sum in the
    memory and starts over. A sum is exact `period` cycles after its last event.

    Latency and cost: `value` is the sum of `select` at most 2 cycles ago; about 64 LUT for the
    adder, 44 for the memory and 8 for each event.

    Parameters
    ----------
    widths : list of int
        Bits of each event's increment.

    Members
    -------
    clear : In(1)
    run : In(1)
    increment_<k> : In(widths[k])
    select : In(range(len(widths)))
    value : Out(64)
    """

    def __init__(self, widths):
        self._widths = tuple(widths)
        super().__init__(
            {
                "clear": In(1),
                "run": In(1),
                **{f"increment_{k}": In(width) for k, width in enumerate(self._widths)},
                "select": In(range(len(self._widths))),
                "value": Out(64),
            }
        )

    @property
    def period(self):
        """Cycles from sum to sum of one event."""
        return 2 * len(self._widths)

    def elaborate(self, platform):
        m = Module()
        count = len(self._widths)
        m.submodules.sums = sums = memory.Memory(
            shape=64, depth=1 << (count - 1).bit_length(), init=[]
        )
        read = sums.read_port(domain="comb")
        write = sums.write_port()

        fresh = Signal(count, init=(1 << count) - 1)  # sums that are still of the last step
        slot = Signal(range(count))
        adding = Signal()
        old = Signal(64, reset_less=True)
        part = Signal(max(self._widths) + (self.period + 1).bit_length(), reset_less=True)
        m.d.sync += adding.eq(~adding)
        m.d.comb += [
            read.addr.eq(Mux(adding, self.select, slot)),
            write.addr.eq(slot),
            write.data.eq(old + part),
            write.en.eq(adding),
        ]
        with m.If(adding):
            m.d.sync += [
                slot.eq(Mux(slot == count - 1, 0, slot + 1)),
                self.value.eq(read.data),
            ]
        with m.Else():
            m.d.sync += old.eq(Mux(fresh.bit_select(slot, 1), 0, read.data))
        for k, width in enumerate(self._widths):
            pending = Signal(width + (self.period + 1).bit_length(), name=f"pending_{k}")
            event = Mux(self.run, getattr(self, f"increment_{k}"), 0)
            taken = ~adding & (slot == k)
            m.d.sync += pending.eq(Mux(taken, 0, pending) + event)
            with m.If(taken):
                m.d.sync += [part.eq(pending), fresh[k].eq(0)]
            with m.If(self.clear):
                m.d.sync += [pending.eq(0), fresh[k].eq(1)]
        with m.If(self.clear):
            m.d.sync += part.eq(0)
        return m
