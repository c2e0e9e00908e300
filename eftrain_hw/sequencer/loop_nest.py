"""The five loop counters of a descriptor."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from .program_format import LOOPS

__all__ = ["COUNT_BITS", "LoopNest"]

COUNT_BITS = 16


class LoopNest(wiring.Component):
    """Indices of `LOOPS` nested loops, with flags for first and last.

    All of it works on the loop `select`. `load` sets its count and puts it at index 0. `step` moves
    it on by one; at its last index it goes back to 0 instead and `carry` says so: the caller then
    steps the next outer loop.

    Latency and cost: a load or a step a cycle, flags registered, `index` and `carry` combinational
    from `select`; two 8 x 16 LUT memories and about 30 LUT.

    Members
    -------
    select : In(3)
        Loop, 0 is the outermost.
    load : In(1)
    count : In(16)
        Iterations, at least 1.
    step : In(1)
    index : Out(16)
    carry : Out(1)
    first, last : Out(LOOPS)
        Bit d: loop d is at its first (last) index.
    """

    def __init__(self):
        super().__init__(
            {
                "select": In(range(LOOPS)),
                "load": In(1),
                "count": In(COUNT_BITS),
                "step": In(1),
                "index": Out(COUNT_BITS),
                "carry": Out(1),
                "first": Out(LOOPS),
                "last": Out(LOOPS),
            }
        )

    def elaborate(self, platform):
        m = Module()
        depth = 1 << len(self.select)
        m.submodules.indices = indices = memory.Memory(shape=COUNT_BITS, depth=depth, init=[])
        # the index before the last one, so that a step needs no add before the comparison
        m.submodules.before_last = before_last = memory.Memory(
            shape=COUNT_BITS, depth=depth, init=[]
        )
        index = indices.read_port(domain="comb")
        index_write = indices.write_port()
        limit = before_last.read_port(domain="comb")
        limit_write = before_last.write_port()
        single = Signal(LOOPS, reset_less=True)
        first = Signal(LOOPS, reset_less=True)
        last = Signal(LOOPS, reset_less=True)

        m.d.comb += [
            index.addr.eq(self.select),
            limit.addr.eq(self.select),
            index_write.addr.eq(self.select),
            limit_write.addr.eq(self.select),
            self.index.eq(index.data),
            self.first.eq(first),
            self.last.eq(last),
            self.carry.eq(last.bit_select(self.select, 1)),
            limit_write.data.eq(self.count - 2),
            limit_write.en.eq(self.load),
            index_write.data.eq(Mux(self.load | self.carry, 0, index.data + 1)),
            index_write.en.eq(self.load | self.step),
        ]
        one = self.count == 1
        for d in range(LOOPS):
            with m.If(self.select == d):
                with m.If(self.load):
                    m.d.sync += [single[d].eq(one), first[d].eq(1), last[d].eq(one)]
                with m.Elif(self.step):
                    m.d.sync += first[d].eq(last[d])
                    m.d.sync += last[d].eq(
                        Mux(last[d], single[d], index.data == limit.data)
                    )
        return m
