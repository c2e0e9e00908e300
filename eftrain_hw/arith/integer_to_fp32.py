"""Scaled conversion of an integer dot product to binary32."""

from amaranth.hdl import C, Cat, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .pipeline import delay, shift_in

__all__ = ["ScaledToFp32"]

_PART = 128  # of what the exponent is reduced by; above the count of zeros it costs no adder


class ScaledToFp32(wiring.Component):
    """o = value * 2^(exponent - 266) as binary32, exact.

    `exponent` is the sum of the exponents of two bfp8 vectors. Free-running pipeline. A zero value
    and a magnitude below 2^-126 become +0, whatever the sign; above the largest finite number the
    result is an infinity of the value's sign.

    Latency and cost: 4 cycles, one result a cycle; about 100 LUT for 20 bits.
    Golden: docs/numerics.md, "Dot product and accumulation".

    Parameters
    ----------
    integer_bits : int
        Bits of the signed integer, 2 to 23.

    Members
    -------
    value : In(signed(integer_bits))
    exponent : In(9)
    o : Out(32)
        Raw bits, registered.

    Raises
    ------
    TypeError, ValueError
    """

    latency = 4

    def __init__(self, *, integer_bits):
        if not isinstance(integer_bits, int) or isinstance(integer_bits, bool):
            raise TypeError(f"ScaledToFp32 integer_bits must be an int, not {integer_bits!r}")
        if not 2 <= integer_bits <= 23:
            raise ValueError(f"ScaledToFp32 integer_bits must be 2 to 23, not {integer_bits!r}")
        self._integer_bits = integer_bits
        super().__init__({"value": In(signed(integer_bits)), "exponent": In(9), "o": Out(32)})

    @property
    def integer_bits(self):
        return self._integer_bits

    def elaborate(self, platform):
        m = Module()
        bits = self._integer_bits

        def register(shape, name):
            return Signal(shape, name=name, reset_less=True)

        value, sign_1 = register(bits, "value_1"), register(1, "sign_1")
        m.d.sync += [value.eq(self.value), sign_1.eq(self.value[-1])]
        exponent_1 = delay(m, self.exponent, 1, name="exponent")

        # 2: normalise by 0, 8 or 16. Of a negative value all bits are inverted, also the endless
        # zeros below: the 1 that is missing comes where it is rounded anyway
        padded = Cat(sign_1.replicate(24 - bits), value ^ sign_1.replicate(bits))
        empty = [~padded[first : first + 8].any() for first in (16, 8, 0)]
        zeros = Cat(empty[0] & ~empty[1], empty[0] & empty[1])
        coarse, count = register(24, "coarse_2"), register(2, "count_2")
        zero_2 = register(1, "zero_2")
        m.d.sync += [
            coarse.eq(shift_in(padded, zeros, 8, sign_1)),
            count.eq(zeros),
            zero_2.eq(Cat(empty).all()),
        ]
        exponent_2 = delay(m, exponent_1, 1, name="exponent_late")
        sign_2 = delay(m, sign_1, 1, name="sign_late")

        # 3: normalise by 0, 2, 4 or 6
        top = coarse[18:]
        zeros = Cat(~top[4:].any() & (top[2:4].any() | ~top[:2].any()), ~top[2:].any())
        normalised = Signal(24)
        shifted, biased = register(24, "shifted_3"), register(10, "biased_3")
        m.d.comb += normalised.eq(shift_in(coarse, zeros, 2, sign_2))
        m.d.sync += [
            shifted.eq(normalised),
            biased.eq(exponent_2 - Cat(~normalised[-1], zeros, count, C(_PART >> 5, 5))),
        ]
        zero_3 = delay(m, zero_2, 1, name="zero_late")
        sign_3 = delay(m, sign_2, 1, name="sign_last")

        # 4: normalise by the last place in the LUTs of the increment, pack
        last = Cat(sign_3, shifted[:-1])
        fraction = Mux(shifted[-1], shifted, last)[:23]
        rest = C((bits - 140 + _PART) % 1024, 10)
        total = (Cat(C(1, 1), fraction, biased) + Cat(sign_3, C(0, 23), rest))[1:34]
        exponent = total[23:].as_signed()
        result = register(32, "result")
        m.d.comb += self.o.eq(result)
        m.d.sync += result.eq(Cat(total[:31], sign_3))
        with m.If(zero_3 | (exponent <= 0)):
            m.d.sync += result.eq(0)
        with m.Elif(exponent >= 255):
            m.d.sync += result[:31].eq(0x7F800000)
        return m
