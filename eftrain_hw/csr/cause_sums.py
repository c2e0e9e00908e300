"""Counts cycles by their cause, without a gap from one span of time to the next."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from .step_log_format import VALUE_BITS

__all__ = ["CauseSums"]


class CauseSums(wiring.Component):
    """Two banks of sums in LUT RAM: one counts while the other one is read.

        cycle    | 0 | 1 | 2 | 3 | 4 | 5 |
        switch   |   |   | 1 |   |   |   |
        cause of | a   a   a | b   b   b         `sum` is of a, then of b

    A cycle with `count` adds 1 to the sum of its `cause`. From the cycle after `switch` on the
    other bank counts, from 0; `sum` and `nonzero` are of the cycles before, that of `switch`
    included, until the next one. A reset makes everything 0.

    Latency and cost: 0 cycles from `select` to `sum`, 1 from `switch`; about 125 LUT.

    Parameters
    ----------
    causes : int
        1 to 16.

    Members
    -------
    count : In(1)
    cause : In(range(causes))
    switch : In(1)
    select : In(range(causes))
    sum : Out(32)
        Where `nonzero` says so; otherwise it is of no meaning.
    nonzero : Out(causes)
    """

    def __init__(self, causes):
        if not isinstance(causes, int) or isinstance(causes, bool):
            raise TypeError(f"CauseSums causes must be an int, not {causes!r}")
        if not 1 <= causes <= 16:
            raise ValueError(f"CauseSums causes must be 1 to 16, not {causes!r}")
        self._causes = causes
        super().__init__(
            {
                "count": In(1),
                "cause": In(range(causes)),
                "switch": In(1),
                "select": In(range(causes)),
                "sum": Out(VALUE_BITS),
                "nonzero": Out(causes),
            }
        )

    @property
    def causes(self):
        return self._causes

    def elaborate(self, platform):
        m = Module()
        causes = self._causes
        bits = (causes - 1).bit_length()
        m.submodules.sums = sums = memory.Memory(shape=VALUE_BITS, depth=2 << bits, init=[])
        write, own = sums.write_port(), sums.read_port(domain="comb")
        other = sums.read_port(domain="comb")
        bank = Signal()
        begun = Signal(causes)  # sums of the counting bank that are not 0
        here = Signal(causes)
        for k in range(causes):
            m.d.comb += here[k].eq(self.count & (self.cause == k))
        m.d.comb += [
            own.addr.eq(Cat(self.cause[:bits], bank)),
            write.addr.eq(own.addr),
            write.en.eq(self.count),
            write.data.eq(Mux((begun & here).any(), own.data, 0) + 1),
            other.addr.eq(Cat(self.select[:bits], ~bank)),
            self.sum.eq(other.data),
        ]
        m.d.sync += begun.eq(begun | here)
        with m.If(self.switch):
            m.d.sync += [bank.eq(~bank), begun.eq(0), self.nonzero.eq(begun | here)]
        return m
