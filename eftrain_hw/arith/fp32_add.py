"""Pipelined binary32 adder."""

from amaranth.hdl import C, Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .pipeline import delay

__all__ = ["Fp32Add"]


class Fp32Add(wiring.Component):
    """o = a + b in binary32, round to nearest even, subnormals flushed.

    A free-running pipeline: one sum a cycle, no handshake. Subnormal inputs count as zero of their
    sign; an exact sum below 2^-126 becomes zero of its sign; x + -x = +0; every NaN is 0x7fc00000.

    Latency and cost: 8 cycles, one sum a cycle; about 310 LUT on 7-series, no DSP.
    Golden: docs/numerics.md, "binary32 arithmetic".

    Members
    -------
    a, b : In(32)
        Addends, raw bits.
    o : Out(32)
        Sum, registered.
    """

    latency = 8

    def __init__(self):
        super().__init__({"a": In(32), "b": In(32), "o": Out(32)})

    def elaborate(self, platform):
        m = Module()

        def register(shape, name):
            return Signal(shape, name=name, reset_less=True)

        # 1: which magnitude is larger
        a, b = register(32, "a_1"), register(32, "b_1")
        swap = register(1, "swap_1")
        m.d.sync += [a.eq(self.a), b.eq(self.b), swap.eq(self.a[:31] < self.b[:31])]

        # 2: larger operand, mantissa of the smaller one, distance of the exponents
        large, small = Mux(swap, b, a), Mux(swap, a, b)
        a_normal, b_normal = a[23:31].any(), b[23:31].any()
        sign, subtract = register(1, "sign_2"), register(1, "subtract_2")
        exponent, mantissa = register(8, "exponent_2"), register(23, "mantissa_2")
        normal = register(1, "normal_2")
        addend, distance = register(24, "addend_2"), register(8, "distance_2")
        small_normal = Mux(swap, a_normal, b_normal)
        m.d.sync += [
            sign.eq(large[31]),
            subtract.eq(a[31] ^ b[31]),
            exponent.eq(large[23:31]),
            mantissa.eq(large[:23]),
            normal.eq(a_normal | b_normal),
            addend.eq(Mux(small_normal, Cat(small[:23], C(1, 1)), 0)),
            distance.eq(large[23:31] - small[23:31]),
        ]

        # 3: align by 0, 8, 16 or 24; classify
        wide = Cat(C(0, 2), addend)
        coarse, coarse_sticky = register(26, "coarse_3"), register(1, "coarse_sticky_3")
        fine = register(3, "fine_3")
        m.d.sync += [coarse.eq(wide >> Cat(C(0, 3), distance[3:5])), fine.eq(distance[:3])]
        with m.Switch(distance[3:5]):
            for step in range(4):
                with m.Case(step):
                    m.d.sync += coarse_sticky.eq(wide[: 8 * step].any())
        with m.If(distance[5:].any()):
            m.d.sync += [coarse.eq(0), coarse_sticky.eq(addend[23])]
        special, nan = register(1, "special_3"), register(1, "nan_3")
        m.d.sync += [
            special.eq(exponent.all()),
            nan.eq(exponent.all() & (mantissa.any() | (subtract & (distance == 0)))),
        ]

        # 4: align by 0, 2, 4 or 6
        aligned, sticky = register(26, "aligned_4"), register(1, "sticky_4")
        m.d.sync += aligned.eq(coarse >> Cat(C(0, 1), fine[1:]))
        with m.Switch(fine[1:]):
            for step in range(4):
                with m.Case(step):
                    m.d.sync += sticky.eq(coarse_sticky | coarse[: 2 * step].any())
        odd = delay(m, fine[0], 1, name="odd")

        # 5: align by 0 or 1 in the LUTs of the adder, add or subtract
        mantissa_4 = delay(m, mantissa, 2, name="mantissa_late")
        subtract_4 = delay(m, subtract, 2, name="subtract_late")
        low = sticky | (odd & aligned[0])
        second = Cat(low, Mux(odd, aligned >> 1, aligned), C(0, 1)) ^ subtract_4.replicate(28)
        first = Cat(C(0, 3), mantissa_4, C(1, 1), C(0, 1))
        total = register(28, "total_5")
        m.d.sync += total.eq((Cat(subtract_4, first) + Cat(subtract_4, second))[1:])

        # 6: normalise by 0, 8, 16 or 24
        zero_bytes = [~total[first : first + 8].any() for first in (20, 12, 4)]
        coarse_zeros = Cat(
            zero_bytes[0] & (~zero_bytes[1] | zero_bytes[2]), zero_bytes[0] & zero_bytes[1]
        )
        none = Cat(*zero_bytes, ~total[:4].any()).all()
        coarse_6, count_6 = register(28, "coarse_6"), register(2, "count_6")
        m.d.sync += [coarse_6.eq(total << Cat(C(0, 3), coarse_zeros)), count_6.eq(coarse_zeros)]
        normal_5 = delay(m, normal, 3, name="normal_late")
        subtract_5 = delay(m, subtract_4, 1, name="subtract_last")
        sign_5 = delay(m, sign, 3, name="sign_late")
        sign_6, zero_6 = register(1, "sign_6"), register(1, "zero_6")
        m.d.sync += [
            zero_6.eq(none | ~normal_5),
            sign_6.eq(sign_5 & ~(subtract_5 & (none | ~normal_5))),
        ]

        # 7: normalise by 0, 2, 4 or 6; exponent, less 1
        top = coarse_6[22:]
        fine_zeros = Cat(~top[4:].any() & (top[2:4].any() | ~top[:2].any()), ~top[2:].any())
        exponent_6 = delay(m, exponent, 4, name="exponent_late")
        shifted, last = register(28, "shifted_7"), Signal()
        exponent_7 = register(10, "exponent_7")
        normalised = Signal(28)
        m.d.comb += [normalised.eq(coarse_6 << Cat(C(0, 1), fine_zeros)), last.eq(~shifted[27])]
        m.d.sync += [
            shifted.eq(normalised),
            exponent_7.eq(exponent_6 - Cat(~normalised[27], fine_zeros, count_6)),
        ]
        special_7 = delay(m, special, 4, name="special_late")
        nan_7 = delay(m, nan, 4, name="nan_late")
        zero_7, sign_7 = delay(m, zero_6, 1, name="zero"), delay(m, sign_6, 1, name="sign")

        # 8: normalise by the last place in the LUTs of the rounding increment, pack
        up = Mux(
            last,
            shifted[2] & (shifted[3] | shifted[:2].any()),
            shifted[3] & (shifted[4] | shifted[:3].any()),
        )
        fraction = Mux(last, shifted[3:26], shifted[4:27])
        one = Cat(up, C(1 << 23, 24))  # the exponent's 1, and what rounds up as its carry
        rounded = (Cat(C(1, 1), fraction, exponent_7[:8]) + one)[1:]
        result = register(32, "result")
        m.d.comb += self.o.eq(result)
        m.d.sync += result.eq(Cat(rounded[:31], sign_7))
        with m.If(special_7 | (exponent_7[1:8].all() & ~exponent_7[0] & ~exponent_7[9])):
            m.d.sync += result[:31].eq(0x7F800000)
        with m.Elif(zero_7 | exponent_7[9]):
            m.d.sync += result[:31].eq(0)
        with m.If(nan_7):
            m.d.sync += result.eq(0x7FC00000)
        return m
