"""A stage that cuts a stream's `ready` and costs no time."""

from amaranth.hdl import Module, Mux, Shape, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Skid"]


class Skid(wiring.Component):
    """`i.ready` comes from a register, so it says one cycle late that the output is held up.

    What arrives in that cycle is kept here, and comes first.

    Latency and cost: none, a payload a cycle; 1 flip-flop and 1 LUT for each payload bit.

    Parameters
    ----------
    shape : ShapeLike
        Shape of the payload.

    Members
    -------
    i, o : stream of `shape`
    """

    latency = 0

    def __init__(self, shape):
        Shape.cast(shape)
        self._shape = shape
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})

    @property
    def shape(self):
        return self._shape

    def elaborate(self, platform):
        m = Module()
        kept = Signal(self._shape, reset_less=True)
        holding = Signal()
        m.d.comb += [
            self.i.ready.eq(~holding),
            self.o.valid.eq(self.i.valid | holding),
            self.o.payload.eq(Mux(holding, kept, self.i.payload)),
        ]
        with m.If(~holding):
            m.d.sync += [kept.eq(self.i.payload), holding.eq(self.i.valid & ~self.o.ready)]
        with m.Elif(self.o.ready):
            m.d.sync += holding.eq(0)
        return m
