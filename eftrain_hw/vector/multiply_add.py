"""The multiply-add pipeline that loss and update share."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..arith import Fp32Add, Fp32Multiply
from ..arith.pipeline import delay

__all__ = ["MultiplyAdd"]


class MultiplyAdd(wiring.Component):
    """o = a * b + c in binary32, rounded twice. Free-running pipeline.

    With c = -0 it is a product, with b = 1 a sum, both to the last bit.

    Latency and cost: 14 cycles, one a cycle; about 450 LUT and 2 DSP48E1.
    Golden: `eftrain_hw.golden.arithmetic.mac`.

    Members
    -------
    a, b, c : In(32)
    o : Out(32)
    """

    LATENCY = 14

    def __init__(self):
        super().__init__({"a": In(32), "b": In(32), "c": In(32), "o": Out(32)})

    @property
    def latency(self):
        """Cycles from the operands to the result."""
        return self.LATENCY

    def elaborate(self, platform):
        m = Module()
        m.submodules.multiply = multiply = Fp32Multiply()
        m.submodules.add = add = Fp32Add()
        assert 1 + multiply.latency + add.latency == self.LATENCY

        # users select their operands in this cycle
        a, b = Signal(32, reset_less=True), Signal(32, reset_less=True)
        m.d.sync += [a.eq(self.a), b.eq(self.b)]

        m.d.comb += [
            multiply.a.eq(a),
            multiply.b.eq(b),
            add.a.eq(multiply.o),
            add.b.eq(delay(m, self.c, 1 + multiply.latency, name="c")),
            self.o.eq(add.o),
        ]
        return m
