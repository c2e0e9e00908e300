"""Scaled conversion of an integer dot product to binary32."""

from amaranth.hdl import C, Cat, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .pipeline import delay, leading_zeros

__all__ = ["ScaledToFp32"]


class ScaledToFp32(wiring.Component):
    """o = value * 2^(exponent - 266) as binary32, exact.

    `exponent` is the sum of the exponents of two bfp8 vectors. Free-running pipeline. A zero value
    and a magnitude below 2^-126 become +0, whatever the sign; above the largest finite number the
    result is an infinity of the value's sign.

    Latency and cost: 4 cycles, one result a cycle; about 120 LUT for 20 bits.
    Golden: docs/numerics.md, "Dot product and accumulation".

    Parameters
    ----------
    integer_bits : int
        Bits of the signed integer, 2 to 24.

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
        if not 2 <= integer_bits <= 24:
            raise ValueError(f"ScaledToFp32 integer_bits must be 2 to 24, not {integer_bits!r}")
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

        # 1: magnitude
        magnitude, sign = register(bits, "magnitude_1"), register(1, "sign_1")
        negative = self.value[-1]
        m.d.sync += [
            magnitude.eq((self.value.as_unsigned() ^ negative.replicate(bits)) + negative),
            sign.eq(negative),
        ]
        exponent_1 = delay(m, self.exponent, 1, name="exponent")

        # 2: leading zeros
        zeros, none = leading_zeros(magnitude)
        count, zero = register(len(zeros), "count_2"), register(1, "zero_2")
        magnitude_2 = delay(m, magnitude, 1, name="magnitude_late")
        exponent_2 = delay(m, exponent_1, 1, name="exponent_late")
        sign_2 = delay(m, sign, 1, name="sign_late")
        m.d.sync += [count.eq(zeros), zero.eq(none)]

        # 3: normalise by even counts, biased exponent
        shifted, last = register(bits, "shifted_3"), register(1, "last_3")
        biased, zero_3 = register(signed(11), "biased_3"), delay(m, zero, 1, name="zero_late")
        sign_3 = delay(m, sign_2, 1, name="sign_last")
        m.d.sync += [
            shifted.eq(magnitude_2 << Cat(C(0, 1), count[1:])),
            last.eq(count[0]),
            biased.eq(exponent_2 + (bits - 1 - 139) - count),
        ]

        # 4: normalise by the last place, pack
        fraction = Mux(last, shifted << 1, shifted)[: bits - 1]
        result = register(32, "result")
        m.d.comb += self.o.eq(result)
        m.d.sync += result.eq(Cat(C(0, 24 - bits), fraction, biased[:8], sign_3))
        with m.If(zero_3 | (biased <= 0)):
            m.d.sync += result.eq(0)
        with m.Elif(biased >= 255):
            m.d.sync += result[:31].eq(0x7F800000)
        return m
