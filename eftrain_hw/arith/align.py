"""Alignment of a vector's lanes to one exponent."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .pipeline import delay, largest, largest_cycles, shift_half_even, shift_parts

__all__ = ["VectorAlign"]

_LANES = (1, 2, 4, 8, 16, 32, 64)


class VectorAlign(wiring.Component):
    """Align mantissas with an exponent each to the largest exponent among the lanes.

    With E the largest of `exponents`, lanes of zeros included: element j becomes
    RNE(element / 2^(E - exponent_j)), and 0 where E - exponent_j >= 8. Free-running pipeline.

    With `element_bits=16` a vector may be `wide`: its elements are 256 * element + low, and the
    high or (`digit`) the low digits of the aligned vector come out, as a vector of bfp8.

    Latency and cost: 3 + ceil(log2(lanes) / 2) cycles, one vector a cycle; about 50 LUT a lane,
    with 16 bits about 85.
    Golden: docs/numerics.md, "bfp8" and "bfp16", Align.

    Parameters
    ----------
    lanes : int
        Elements of a vector: a power of two, 1 to 64.
    element_bits : int
        Bits of the longest mantissa, 8 or 16.

    Members
    -------
    elements : In(ArrayLayout(signed(8), lanes))
    exponents : In(ArrayLayout(8, lanes))
    low : In(ArrayLayout(signed(8), lanes)), wide, digit : In(1)
        With 16 bits; `low` is 0 where not `wide`.
    o_elements : Out(ArrayLayout(signed(8), lanes))
        Aligned mantissas or digits, registered.
    o_exponent : Out(8)
        The exponent they share, registered: E, that of low digits E - 8. 0 instead of less than
        0: low digits are then 0 themselves.

    Raises
    ------
    TypeError, ValueError
    """

    def __init__(self, *, lanes, element_bits=8):
        for name, value in (("lanes", lanes), ("element_bits", element_bits)):
            if not isinstance(value, int) or isinstance(value, bool):
                raise TypeError(f"VectorAlign {name} must be an int, not {value!r}")
        if lanes not in _LANES:
            raise ValueError(f"VectorAlign lanes must be one of {_LANES}, not {lanes!r}")
        if element_bits not in (8, 16):
            raise ValueError(f"VectorAlign element_bits must be 8 or 16, not {element_bits!r}")
        self._lanes = lanes
        self._element_bits = element_bits
        elements = data.ArrayLayout(signed(8), lanes)
        ports = {
            "elements": In(elements),
            "exponents": In(data.ArrayLayout(8, lanes)),
            "o_elements": Out(elements),
            "o_exponent": Out(8),
        }
        if element_bits == 16:
            ports |= {"low": In(elements), "wide": In(1), "digit": In(1)}
        super().__init__(ports)

    @property
    def lanes(self):
        return self._lanes

    @property
    def element_bits(self):
        return self._element_bits

    @property
    def latency(self):
        """Cycles from a vector to its aligned form."""
        return 3 + largest_cycles(self._lanes)

    def elaborate(self, platform):
        m = Module()
        cycles = largest_cycles(self._lanes)
        common = largest(m, list(self.exponents), name="largest")
        align = self._align16 if self._element_bits == 16 else self._align8
        align(m, common, cycles)
        return m

    def _late(self, m, name, lane, cycles):
        return delay(m, getattr(self, name)[lane], cycles, name=f"{name}_{lane}")

    def _align8(self, m, common, cycles):
        m.d.sync += self.o_exponent.eq(delay(m, common, 2, name="exponent"))
        for lane in range(self._lanes):
            element = self._late(m, "elements", lane, cycles + 1)

            # distance
            gap = Signal(8, name=f"gap_{lane}")
            m.d.comb += gap.eq(common - self._late(m, "exponents", lane, cycles))
            far = Signal(name=f"far_{lane}", reset_less=True)
            distance = Signal(3, name=f"distance_{lane}", reset_less=True)
            m.d.sync += [far.eq(gap[3:].any()), distance.eq(gap[:3])]

            # shift
            quotient = Signal(signed(8), name=f"quotient_{lane}", reset_less=True)
            up = Signal(name=f"up_{lane}", reset_less=True)
            value, carry = shift_half_even(element, distance)
            m.d.sync += [quotient.eq(value), up.eq(carry)]
            with m.If(far):
                m.d.sync += [quotient.eq(0), up.eq(0)]

            # round
            m.d.sync += self.o_elements[lane].eq(quotient + up)

    def _align16(self, m, common, cycles):
        wide = [delay(m, self.wide, cycles, name="wide")]
        digit = [delay(m, self.digit & self.wide, cycles, name="digit")]
        for stage in range(1, 3):
            wide.append(delay(m, wide[-1], 1, name=f"wide_late{stage}"))
            digit.append(delay(m, digit[-1], 1, name=f"digit_late{stage}"))
        tiny = Signal(reset_less=True)  # too small an exponent for low digits
        m.d.sync += tiny.eq(~common[3:].any())
        exponent = Signal(8, name="exponent_late", reset_less=True)
        shared = delay(m, common, 1, name="exponent")
        m.d.sync += exponent.eq(shared - Mux(digit[1] & ~tiny, 8, 0))
        m.d.sync += self.o_exponent.eq(exponent)

        for lane in range(self._lanes):
            high = self._late(m, "elements", lane, cycles)
            low = self._late(m, "low", lane, cycles)[:8]

            # distance; the low digit's sign goes over into the high one
            gap = Signal(8, name=f"gap_{lane}")
            m.d.comb += gap.eq(common - self._late(m, "exponents", lane, cycles))
            far = Signal(name=f"far_{lane}", reset_less=True)
            distance = Signal(4, name=f"distance_{lane}", reset_less=True)
            mantissa = Signal(signed(16), name=f"mantissa_{lane}", reset_less=True)
            m.d.sync += [
                far.eq(gap[4:].any() | (gap[3] & ~wide[0])),
                distance.eq(gap[:4]),
                mantissa.eq(Cat(low, (high - low[7])[:8])),
            ]

            # shift
            quotient = Signal(16, name=f"quotient_{lane}", reset_less=True)
            up = Signal(name=f"up_{lane}", reset_less=True)
            value, guard, sticky = shift_parts(mantissa, distance)
            m.d.sync += [quotient.eq(value), up.eq(guard & (sticky | value[0]))]
            with m.If(far | (digit[1] & tiny)):
                m.d.sync += [quotient.eq(0), up.eq(0)]

            # round to the digit that is wanted; without low digits to the high one at once
            top, half, rest = quotient[8:], quotient[7], quotient[:7]
            up_high = Mux(wide[2], half | (rest.all() & up), half & (rest.any() | top[0]))
            chosen = Mux(digit[2], quotient[:8], top)
            m.d.sync += self.o_elements[lane].eq(chosen + Mux(digit[2], up, up_high))
