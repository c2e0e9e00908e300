"""Iterative binary32 square root."""

from amaranth.hdl import C, Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Fp32Sqrt"]

_ROOT_BITS = 25


class Fp32Sqrt(wiring.Component):
    """o = sqrt(a) in binary32, correctly rounded (nearest even), subnormals flushed.

    One bit of the root a cycle. The handshake is that of `Fp32Divide`: `start` is taken while
    `busy` is 0, `done` is 1 for one cycle, `o` holds until the next `start`. sqrt(-0) = -0; a
    negative normal number or a NaN gives 0x7fc00000.

    Latency and cost: 27 cycles from `start` to `done`, one root at a time; about 140 LUT.
    Golden: docs/numerics.md, "binary32 arithmetic".

    Members
    -------
    start : In(1)
    a : In(32)
        Radicand, raw bits.
    busy, done : Out(1)
    o : Out(32)
    """

    latency = _ROOT_BITS + 2

    def __init__(self):
        super().__init__(
            {"start": In(1), "a": In(32), "busy": Out(1), "done": Out(1), "o": Out(32)}
        )

    def elaborate(self, platform):
        m = Module()
        exponent_field = self.a[23:31]
        normal, special = exponent_field.any(), exponent_field.all()
        fraction, sign = self.a[:23], self.a[31]

        zero, infinite = Signal(reset_less=True), Signal(reset_less=True)
        negative, nan = Signal(reset_less=True), Signal(reset_less=True)
        exponent = Signal(8, reset_less=True)
        radicand = Signal(26, reset_less=True)
        remainder, root = Signal(27, reset_less=True), Signal(_ROOT_BITS, reset_less=True)
        left = Signal(range(_ROOT_BITS + 1))

        result = Signal(32, reset_less=True)
        done = Signal()
        m.d.comb += [self.o.eq(result), self.done.eq(done)]
        m.d.sync += done.eq(0)

        with m.FSM(name="root") as fsm:
            m.d.comb += self.busy.eq(~fsm.ongoing("WAIT"))
            with m.State("WAIT"):
                # significand in [1, 4): doubled where the exponent without its bias is odd
                significand = Cat(fraction, C(1, 1))
                m.d.sync += [
                    zero.eq(~normal),
                    infinite.eq(special),
                    negative.eq(sign),
                    nan.eq((special & fraction.any()) | (sign & normal)),
                    exponent.eq(exponent_field[1:] + 63 + exponent_field[0]),
                    radicand.eq(
                        Mux(exponent_field[0], Cat(C(0, 1), significand), significand << 2)
                    ),
                    remainder.eq(0),
                    root.eq(0),
                    left.eq(_ROOT_BITS),
                ]
                with m.If(self.start):
                    m.next = "EXTRACT"

            with m.State("EXTRACT"):
                extended, difference = Signal(28), Signal(28)
                fits = ~difference[-1]
                m.d.comb += [
                    extended.eq(Cat(radicand[24:26], remainder[:26])),
                    difference.eq(extended - Cat(C(1, 2), root)),
                ]
                m.d.sync += [
                    remainder.eq(Mux(fits, difference, extended)),
                    root.eq(Cat(fits, root)),
                    radicand.eq(radicand << 2),
                    left.eq(left - 1),
                ]
                with m.If(left == 1):
                    m.next = "ROUND"

            with m.State("ROUND"):
                # the lowest bit is the guard; a root is never halfway between two numbers
                rounded = Cat(root[1:24], exponent) + root[0]
                m.d.sync += [result.eq(Cat(rounded[:31], C(0, 1))), done.eq(1)]
                with m.If(infinite):
                    m.d.sync += result.eq(0x7F800000)
                with m.If(zero):
                    m.d.sync += result.eq(Cat(C(0, 31), negative))
                with m.If(nan):
                    m.d.sync += result.eq(0x7FC00000)
                m.next = "WAIT"
        return m
