"""Alignment of a vector's lanes to one exponent."""

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .pipeline import delay, largest, largest_cycles, shift_half_even

__all__ = ["VectorAlign"]

_LANES = (1, 2, 4, 8, 16, 32, 64)


class VectorAlign(wiring.Component):
    """Align mantissas with an exponent each to the largest exponent among the lanes.

    With E the largest of `exponents`, lanes of zeros included: element j becomes
    RNE(element / 2^(E - exponent_j)), and 0 where E - exponent_j >= 8. Free-running pipeline.

    Latency and cost: 3 + ceil(log2(lanes) / 2) cycles, one vector a cycle; about 50 LUT a lane.
    Golden: docs/numerics.md, "bfp8", Align.

    Parameters
    ----------
    lanes : int
        Elements of a vector: a power of two, 1 to 64.
    element_bits : int
        Bits of a mantissa; 8 is the only width of the present formats.

    Members
    -------
    elements : In(ArrayLayout(signed(element_bits), lanes))
    exponents : In(ArrayLayout(8, lanes))
    o_elements : Out(ArrayLayout(signed(element_bits), lanes))
        Aligned mantissas, registered.
    o_exponent : Out(8)
        The exponent they share, registered.

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
        if element_bits != 8:
            raise ValueError(f"VectorAlign element_bits must be 8, not {element_bits!r}")
        self._lanes = lanes
        self._element_bits = element_bits
        elements = data.ArrayLayout(signed(element_bits), lanes)
        super().__init__(
            {
                "elements": In(elements),
                "exponents": In(data.ArrayLayout(8, lanes)),
                "o_elements": Out(elements),
                "o_exponent": Out(8),
            }
        )

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
        lanes, bits = self._lanes, self._element_bits

        # largest exponent
        cycles = largest_cycles(lanes)
        common = largest(m, list(self.exponents), name="largest")
        m.d.sync += self.o_exponent.eq(delay(m, common, 2, name="exponent"))

        for lane in range(lanes):
            element = delay(m, self.elements[lane], cycles, name=f"element_{lane}")
            exponent = delay(m, self.exponents[lane], cycles, name=f"exponent_{lane}")

            # distance
            gap = Signal(8, name=f"gap_{lane}")
            m.d.comb += gap.eq(common - exponent)
            far = Signal(name=f"far_{lane}", reset_less=True)
            distance = Signal(3, name=f"distance_{lane}", reset_less=True)
            m.d.sync += [far.eq(gap[3:].any()), distance.eq(gap[:3])]
            element = delay(m, element, 1, name=f"element_late_{lane}")

            # shift
            quotient = Signal(signed(bits), name=f"quotient_{lane}", reset_less=True)
            up = Signal(name=f"up_{lane}", reset_less=True)
            value, carry = shift_half_even(element, distance)
            m.d.sync += [quotient.eq(value), up.eq(carry)]
            with m.If(far):
                m.d.sync += [quotient.eq(0), up.eq(0)]

            # round
            m.d.sync += self.o_elements[lane].eq(quotient + up)
        return m
