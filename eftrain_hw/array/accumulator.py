"""Accumulators of one row: two banks of binary32 sums around one adder."""

from amaranth.hdl import Array, Module, Mux, Signal
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from ..arith.fp32_add import Fp32Add

__all__ = ["Accumulator", "accumulator_control"]

BANKS = 2


def accumulator_control(depth):
    """What steers the accumulators of all rows alike.

    `read` is the address of each bank in this cycle. `first` and `bank` say where the addend of
    the term of this cycle comes from; they belong to the `read` of the cycle before. `write`
    enables, one for each bank, and `position` belong to the sum that leaves the adder.
    """
    return data.StructLayout(
        {
            "read": data.ArrayLayout(range(depth), BANKS),
            "first": 1,
            "bank": 1,
            "write": BANKS,
            "position": range(depth),
        }
    )


class Accumulator(wiring.Component):
    """sum[bank][position] = (first ? start : sum[bank][position]) + term, one term a cycle.

    ::

        cycle             0     1     2     ..   2 + L
        control.read      p
        stored[]                v
        control.first, start    f
        term                          t
        control.write                            w, position p

    L is the latency of the adder. A read that is to see the sum comes in cycle 3 + L or later, so
    `update_latency` cycles after the read that began it.

    Latency and cost: one adder, 2 block RAMs of `depth` x 32 and a 3:1 multiplexer.

    Parameters
    ----------
    depth : int
        Positions of a bank; a power of two.

    Members
    -------
    control : In(accumulator_control(depth))
    term, start : In(32)
        Raw binary32.
    stored : Out(ArrayLayout(32, 2))
        What was read from each bank, a cycle after its address.

    Raises
    ------
    TypeError, ValueError
    """

    def __init__(self, *, depth):
        if not isinstance(depth, int) or isinstance(depth, bool):
            raise TypeError(f"Accumulator depth must be an int, not {depth!r}")
        if depth < 2 or depth & (depth - 1):
            raise ValueError(f"Accumulator depth must be a power of two, not {depth!r}")
        self._depth = depth
        self._add = Fp32Add()
        super().__init__(
            {
                "control": In(accumulator_control(depth)),
                "term": In(32),
                "start": In(32),
                "stored": Out(data.ArrayLayout(32, BANKS)),
            }
        )

    @property
    def depth(self):
        return self._depth

    @property
    def adder_latency(self):
        """Cycles from the term to the sum."""
        return self._add.latency

    @property
    def update_latency(self):
        """Least distance of two updates of one position, in cycles."""
        return self.adder_latency + 3

    def elaborate(self, platform):
        m = Module()
        m.submodules.add = add = self._add

        # read
        for bank in range(BANKS):
            # `update_latency` keeps reads of a position away from its write
            storage = memory.Memory(
                shape=32, depth=self._depth, init=[], attrs={"no_rw_check": 1}
            )
            m.submodules[f"bank_{bank}"] = storage
            read = storage.read_port()
            write = storage.write_port()
            m.d.comb += [
                read.addr.eq(self.control.read[bank]),
                self.stored[bank].eq(read.data),
                write.en.eq(self.control.write[bank]),
                write.addr.eq(self.control.position),
                write.data.eq(add.o),
            ]

        # add
        addend = Signal(32, reset_less=True)
        kept = Array(self.stored[bank] for bank in range(BANKS))[self.control.bank]
        m.d.sync += addend.eq(Mux(self.control.first, self.start, kept))
        m.d.comb += [add.a.eq(addend), add.b.eq(self.term)]
        return m
