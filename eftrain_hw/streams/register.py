"""Stages that cut a stream: both directions, or `ready` alone at no time."""

from amaranth.hdl import Module, Mux, Shape, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Register", "Skid"]


class _Stage(wiring.Component):
    def __init__(self, shape):
        Shape.cast(shape)
        self._shape = shape
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})

    @property
    def shape(self):
        return self._shape


class Register(_Stage):
    """Register stage: payload, `valid` and `ready` all come from registers.

    A second payload register takes what arrives in the cycle in which the output is first held up.

    Latency and cost: 1 cycle, a payload a cycle; 2 flip-flops and 1 LUT for each payload bit.

    Parameters
    ----------
    shape : ShapeLike
        Shape of the payload.

    Members
    -------
    i, o : stream of `shape`
    """

    latency = 1

    def elaborate(self, platform):
        m = Module()
        kept = Signal(self._shape, reset_less=True)
        data = Signal(self._shape, reset_less=True)
        valid, holding = Signal(), Signal()
        m.d.comb += [
            self.i.ready.eq(~holding),
            self.o.valid.eq(valid),
            self.o.payload.eq(data),
        ]
        with m.If(~holding):
            m.d.sync += kept.eq(self.i.payload)
        with m.If(~valid | self.o.ready):
            m.d.sync += [valid.eq(holding | self.i.valid), holding.eq(0)]
            with m.If(holding):
                m.d.sync += data.eq(kept)
            with m.Else():
                m.d.sync += data.eq(self.i.payload)
        with m.Elif(self.i.valid):
            m.d.sync += holding.eq(1)
        return m


class Skid(_Stage):
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
