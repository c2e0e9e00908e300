"""Which digits of the two operands a sweep multiplies."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["DigitPairs"]


class DigitPairs(wiring.Component):
    """The innermost loop of a reduction in bfp16: the pairs of digits, one a sweep.

    (stationary, moving): high and high; then high and low where the moving operand is wide; then
    low and high where the stationary one is. `advance` goes to the next pair, and from the last one
    back to the first.

    Latency and cost: one sweep; 3 LUT, 2 FF.
    Golden: `eftrain_hw.golden.dot.digit_pairs`.

    Members
    -------
    load, advance : In(1)
        Strobes; `load` goes to the first pair and wins.
    moving_wide, stationary_wide : In(1)
    moving, stationary : Out(1)
        The low digit, not the high one.
    first, last : Out(1)
    """

    def __init__(self):
        super().__init__(
            {
                "load": In(1),
                "advance": In(1),
                "moving_wide": In(1),
                "stationary_wide": In(1),
                "moving": Out(1),
                "stationary": Out(1),
                "first": Out(1),
                "last": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.d.comb += [
            self.first.eq(~(self.moving | self.stationary)),
            self.last.eq(
                self.stationary
                | (~self.stationary_wide & (self.moving | ~self.moving_wide))
            ),
        ]
        with m.If(self.load | (self.advance & self.last)):
            m.d.sync += [self.moving.eq(0), self.stationary.eq(0)]
        with m.Elif(self.advance):
            to_moving = Signal()
            m.d.comb += to_moving.eq(self.first & self.moving_wide)
            m.d.sync += [self.moving.eq(to_moving), self.stationary.eq(~to_moving)]
        return m
