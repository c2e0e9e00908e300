"""Iterative binary32 divider."""

from amaranth.hdl import C, Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Fp32Divide"]

_QUOTIENT_BITS = 26


class Fp32Divide(wiring.Component):
    """o = a / b in binary32, correctly rounded (nearest even), subnormals flushed.

    One quotient bit a cycle. `start` is taken while `busy` is 0, together with the operands; it is
    ignored while `busy` is 1. `done` is 1 for one cycle and `o` holds from that cycle until the
    next `start`::

        start  1  0  0  0 .. 0  0
        busy   0  1  1  1 .. 1  0
        done   0  0  0  0 .. 0  1

    x / 0 is an infinity; 0 / 0, inf / inf and every other NaN are 0x7fc00000; an exact quotient
    below 2^-126 becomes zero of its sign.

    Latency and cost: 29 cycles from `start` to `done`, one division at a time; about 130 LUT.
    Golden: docs/numerics.md, "binary32 arithmetic".

    Members
    -------
    start : In(1)
    a, b : In(32)
        Dividend and divisor, raw bits.
    busy, done : Out(1)
    o : Out(32)
    """

    latency = _QUOTIENT_BITS + 3

    def __init__(self):
        super().__init__(
            {
                "start": In(1),
                "a": In(32),
                "b": In(32),
                "busy": Out(1),
                "done": Out(1),
                "o": Out(32),
            }
        )

    def elaborate(self, platform):
        m = Module()
        a_exponent, b_exponent = self.a[23:31], self.b[23:31]
        a_zero, b_zero = ~a_exponent.any(), ~b_exponent.any()
        a_special, b_special = a_exponent.all(), b_exponent.all()
        a_nan, b_nan = a_special & self.a[:23].any(), b_special & self.b[:23].any()

        sign, nan = Signal(reset_less=True), Signal(reset_less=True)
        infinite, zero = Signal(reset_less=True), Signal(reset_less=True)
        exponent = Signal(10, reset_less=True)
        remainder, divisor = Signal(25, reset_less=True), Signal(24, reset_less=True)
        quotient = Signal(_QUOTIENT_BITS, reset_less=True)
        left = Signal(range(_QUOTIENT_BITS + 1))

        result = Signal(32, reset_less=True)
        done = Signal()
        m.d.comb += [self.o.eq(result), self.done.eq(done)]
        m.d.sync += done.eq(0)

        with m.FSM(name="divide") as fsm:
            m.d.comb += self.busy.eq(~fsm.ongoing("WAIT"))
            with m.State("WAIT"):
                m.d.sync += [
                    sign.eq(self.a[31] ^ self.b[31]),
                    nan.eq(a_nan | b_nan | (a_zero & b_zero) | (a_special & b_special)),
                    infinite.eq(a_special | b_zero),
                    zero.eq(a_zero | b_special),
                    exponent.eq(a_exponent - b_exponent + 127),
                    remainder.eq(Cat(self.a[:23], C(1, 1))),
                    divisor.eq(Cat(self.b[:23], C(1, 1))),
                    left.eq(_QUOTIENT_BITS),
                ]
                with m.If(self.start):
                    m.next = "DIVIDE"

            with m.State("DIVIDE"):
                difference = Signal(26)
                fits = ~difference[25]
                m.d.comb += difference.eq(remainder - divisor)
                m.d.sync += [
                    remainder.eq(Mux(fits, difference[:24], remainder[:24]) << 1),
                    quotient.eq(Cat(fits, quotient)),
                    left.eq(left - 1),
                ]
                with m.If(left == 1):
                    m.next = "NORMALISE"

            with m.State("NORMALISE"):
                # a < b: the quotient lies in (1/2, 1)
                with m.If(~quotient[-1]):
                    m.d.sync += [quotient.eq(quotient << 1), exponent.eq(exponent - 1)]
                m.next = "ROUND"

            with m.State("ROUND"):
                # bit 1 is the guard; no quotient lies halfway between two numbers
                rounded = Cat(quotient[2:25], exponent[:8]) + quotient[1]
                m.d.sync += [result.eq(Cat(rounded[:31], sign)), done.eq(1)]
                with m.If(infinite | (~exponent[9] & (exponent[:9] >= 255))):
                    m.d.sync += result[:31].eq(0x7F800000)
                with m.Elif(zero | exponent[9] | (exponent == 0)):
                    m.d.sync += result[:31].eq(0)
                with m.If(nan):
                    m.d.sync += result.eq(0x7FC00000)
                m.next = "WAIT"
        return m
