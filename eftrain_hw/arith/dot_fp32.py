"""A binary32 dot-product unit."""

from amaranth.hdl import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from .fp32_add import Fp32Add
from .fp32_multiply import Fp32Multiply
from .pipeline import delay

__all__ = ["DotFp32"]


class DotFp32(wiring.Component):
    """o = sum of w[j] * x[j], each product and each sum rounded, by a balanced tree.

    Products are summed over neighbours: (0 + 1), (2 + 3), ..., then pairs of those. The stationary
    vector is double-buffered: `load` writes `w` into the shadow, `swap`, which accompanies a moving
    vector, brings the shadow into use for that vector and all later ones. A load in the cycle
    before `swap` belongs to it, a load in the same cycle or later does not. Free-running pipeline,
    one moving vector a cycle.

    Latency and cost: 6 + 8 * log2(lanes) cycles; `lanes` multipliers and `lanes - 1` adders.
    Golden: docs/numerics.md, "Dot product and accumulation", fp32.

    Parameters
    ----------
    lanes : int
        Products of a dot product: a power of two, 1 to 64.

    Members
    -------
    load, swap : In(1)
        Strobes.
    w, x : In(ArrayLayout(32, lanes))
        Raw bits.
    o : Out(32)
        Raw bits, registered.

    Raises
    ------
    TypeError, ValueError
    """

    def __init__(self, *, lanes):
        if not isinstance(lanes, int) or isinstance(lanes, bool):
            raise TypeError(f"DotFp32 lanes must be an int, not {lanes!r}")
        if lanes not in (1, 2, 4, 8, 16, 32, 64):
            raise ValueError(f"DotFp32 lanes must be a power of two, 1 to 64, not {lanes!r}")
        self._lanes = lanes
        vector = data.ArrayLayout(32, lanes)
        super().__init__(
            {"load": In(1), "w": In(vector), "swap": In(1), "x": In(vector), "o": Out(32)}
        )

    @property
    def lanes(self):
        return self._lanes

    @property
    def latency(self):
        """Cycles from a moving vector to its sum."""
        return 1 + Fp32Multiply.latency + ceil_log2(self._lanes) * Fp32Add.latency

    def elaborate(self, platform):
        m = Module()
        shadow = Signal(self.w.shape(), reset_less=True)
        active = Signal(self.w.shape(), reset_less=True)
        with m.If(self.load):
            m.d.sync += shadow.eq(self.w)
        with m.If(self.swap):
            m.d.sync += active.eq(shadow)
        x = delay(m, self.x, 1, name="x")

        terms = []
        for lane in range(self._lanes):
            m.submodules[f"multiply_{lane}"] = multiplier = Fp32Multiply()
            m.d.comb += [multiplier.a.eq(active[lane]), multiplier.b.eq(x[lane])]
            terms.append(multiplier.o)
        for level in range(ceil_log2(self._lanes)):
            sums = []
            for k, (a, b) in enumerate(zip(terms[::2], terms[1::2])):
                m.submodules[f"add_{level}_{k}"] = adder = Fp32Add()
                m.d.comb += [adder.a.eq(a), adder.b.eq(b)]
                sums.append(adder.o)
            terms = sums
        m.d.comb += self.o.eq(terms[0])
        return m
