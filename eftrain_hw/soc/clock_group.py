"""Tells when the clock of a group of parts may stand still."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["CLOCK_GROUPS", "ClockGroup"]

# parts whose clock stops together: name: (parts, those that must rest before it may stop)
CLOCK_GROUPS = {
    "load": (
        ("loader", "moving", "stationary"),
        ("loader", "load command", "compute", "compute command"),
    ),
    "array": (("compute",), ("compute", "compute command", "drain", "drain command")),
    "drain": (
        ("drain", "mask_reader", "element_writer", "exponent_writer"),
        ("drain", "drain command", "element_writer", "exponent_writer"),
    ),
    "vector": (
        ("vector", *(f"vector_reader{k}" for k in range(3)))
        + tuple(f"vector_writer{k}" for k in range(4)),
        ("vector", "vector command", *(f"vector_writer{k}" for k in range(4))),
    ),
}


class ClockGroup(wiring.Component):
    """1 while parts work, and `hold` cycles longer, until the last pipeline has run empty.

        busy   | 0 | 1 | 1 | 0 | 0 | 0 |         hold = 2
        active | 0 | 1 | 1 | 1 | 1 | 0 |

    `active` follows `busy` within the cycle: the clock edge that ends a cycle with `active` = 0
    may be left out.

    Latency and cost: 0 cycles; a counter.

    Parameters
    ----------
    hold : int
        At least 1.

    Members
    -------
    busy : In(1)
    active : Out(1)
    """

    def __init__(self, *, hold=63):
        if not isinstance(hold, int) or isinstance(hold, bool):
            raise TypeError(f"ClockGroup hold must be an int, not {hold!r}")
        if hold < 1:
            raise ValueError(f"ClockGroup hold must be at least 1, not {hold!r}")
        self._hold = hold
        super().__init__({"busy": In(1), "active": Out(1)})

    @property
    def hold(self):
        return self._hold

    def elaborate(self, platform):
        m = Module()
        left = Signal(range(self._hold + 1), init=self._hold)
        m.d.comb += self.active.eq(self.busy | (left != 0))
        with m.If(self.busy):
            m.d.sync += left.eq(self._hold)
        with m.Elif(left != 0):
            m.d.sync += left.eq(left - 1)
        return m
