"""Pipelined binary32 multiplier."""

from amaranth.hdl import C, Cat, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .pipeline import delay

__all__ = ["Fp32Multiply"]


class Fp32Multiply(wiring.Component):
    """o = a * b in binary32, round to nearest even, subnormals flushed.

    A free-running pipeline: one product a cycle, no handshake. Subnormal inputs count as zero of
    their sign; an exact product below 2^-126 becomes zero of its sign; 0 * inf and every other NaN
    is 0x7fc00000.

    The 24 x 24 significand product is 24 x 17 plus 24 x 7 shifted by 17, which is the cascade
    shift of a DSP48E1: two of them, with their input, product and sum registers in use.

    Latency and cost: 5 cycles, one product a cycle; about 90 LUT and 2 DSP48E1.
    Golden: docs/numerics.md, "binary32 arithmetic".

    Members
    -------
    a, b : In(32)
        Factors, raw bits.
    o : Out(32)
        Product, registered.
    """

    latency = 5

    def __init__(self):
        super().__init__({"a": In(32), "b": In(32), "o": Out(32)})

    def elaborate(self, platform):
        m = Module()

        def register(shape, name):
            return Signal(shape, name=name, reset_less=True)

        # 1-4: significand product; the hidden bit is always set, zeros are masked at the end
        a, b_low, b_high = register(24, "a_1"), register(17, "b_low_1"), register(7, "b_high_1")
        m.d.sync += [
            a.eq(Cat(self.a[:23], C(1, 1))),
            b_low.eq(self.b[:17]),
            b_high.eq(Cat(self.b[17:23], C(1, 1))),
        ]
        a_2, b_high_2 = delay(m, a, 1, name="a_late"), delay(m, b_high, 1, name="b_high_late")
        low_2, low_3 = register(41, "low_2"), register(41, "low_3")
        high_3, product = register(31, "high_3"), register(31, "product_4")
        sticky = register(1, "sticky_4")
        m.d.sync += [
            low_2.eq(a * b_low),
            low_3.eq(low_2),
            high_3.eq(a_2 * b_high_2),
            product.eq(high_3 + low_3[17:]),
            sticky.eq(low_3[:17].any()),
        ]

        # 1-4: exponent and classes
        a_exponent, b_exponent = self.a[23:31], self.b[23:31]
        total_1, zero_1 = register(9, "total_1"), register(1, "zero_1")
        a_zero, b_zero = ~a_exponent.any(), ~b_exponent.any()
        special_1, nan_1 = register(1, "special_1"), register(1, "nan_1")
        a_nan = a_exponent.all() & self.a[:23].any()
        b_nan = b_exponent.all() & self.b[:23].any()
        sign_1 = register(1, "sign_1")
        m.d.sync += [
            total_1.eq((Cat(C(1, 1), a_exponent) + Cat(C(1, 1), b_exponent))[1:]),  # plus 1
            zero_1.eq(a_zero | b_zero),
            special_1.eq(a_exponent.all() | b_exponent.all()),
            nan_1.eq(a_nan | b_nan | (a_exponent.all() & b_zero) | (b_exponent.all() & a_zero)),
            sign_1.eq(self.a[31] ^ self.b[31]),
        ]
        exponent_2 = register(signed(10), "exponent_2")
        m.d.sync += exponent_2.eq(Cat(total_1[:7], total_1[7:] - 1))  # minus 128
        exponent_3 = delay(m, exponent_2, 1, name="exponent_late")
        special_3 = delay(m, special_1, 2, name="special_late")
        zero_3 = delay(m, zero_1, 2, name="zero_late")
        nan_4 = delay(m, nan_1, 3, name="nan_late")
        sign_4 = delay(m, sign_1, 3, name="sign_late")
        exponent = delay(m, exponent_3[:8], 1, name="exponent_last")
        overflow, may_overflow = register(1, "overflow_4"), register(1, "may_overflow_4")
        underflow, may_underflow = register(1, "underflow_4"), register(1, "may_underflow_4")
        m.d.sync += [
            overflow.eq(special_3 | (exponent_3 >= 255)),
            may_overflow.eq(exponent_3 == 254),
            underflow.eq(zero_3 | (exponent_3 < 0)),
            may_underflow.eq(exponent_3 == 0),
        ]

        # 5: normalise, round, pack
        top = product[30]
        up = Mux(
            top,
            product[6] & (product[7] | product[:6].any() | sticky),
            product[5] & (product[6] | product[:5].any() | sticky),
        )
        fraction = Mux(top, product[7:30], product[6:29])
        # one carry chain: `up` enters below the fraction, `top` counts the exponent up
        rounded = (Cat(up, fraction, exponent) + Cat(up, C(0, 23), top))[1:]
        result = register(32, "result")
        m.d.comb += self.o.eq(result)
        m.d.sync += result.eq(Cat(rounded[:31], sign_4))
        with m.If(overflow | (may_overflow & top)):
            m.d.sync += result[:31].eq(0x7F800000)
        with m.Elif(underflow | (may_underflow & ~top)):
            m.d.sync += result[:31].eq(0)
        with m.If(nan_4):
            m.d.sync += result.eq(0x7FC00000)
        return m
