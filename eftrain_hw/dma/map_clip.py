"""Which of a tile's rows or columns lie in the map."""

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["MapClip", "PLACE"]

PLACE = signed(18)  # a row or column relative to the map


class MapClip(wiring.Component):
    """Clips `count` rows from row `start` on to a map of `size` rows.

    Contract: rows `low` .. `high` - 1 of the tile, counted from its first, lie in the map; low =
    high where none does. `count` has to stay for the cycle after `start` and `size`.

    Latency and cost: 1 cycle. About 110 LUTs.

    Members
    -------
    start : In(PLACE)
    size, count : In(16)
    low, high : Out(16)
    """

    latency = 1

    def __init__(self):
        super().__init__(
            {"start": In(PLACE), "size": In(16), "count": In(16), "low": Out(16), "high": Out(16)}
        )

    def elaborate(self, platform):
        m = Module()
        before, until = Signal(signed(19), reset_less=True), Signal(signed(19), reset_less=True)
        m.d.sync += [before.eq(-self.start), until.eq(self.size - self.start)]
        for distance, bound in ((before, self.low), (until, self.high)):
            with m.If(distance < 0):
                m.d.comb += bound.eq(0)
            with m.Elif(distance > self.count):
                m.d.comb += bound.eq(self.count)
            with m.Else():
                m.d.comb += bound.eq(distance)
        return m
