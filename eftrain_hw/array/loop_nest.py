"""Loop counters and incremental affine addresses for nests of loops, one iteration a cycle."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["AffineAddress", "LoopCounters"]

COUNT_BITS = 16


class LoopCounters(wiring.Component):
    """Counters of a nest of loops, loop 0 outermost.

    `load` takes the counts and goes to the first iteration. `advance` goes to the next one, and
    from the last one back to the first. There is no bubble at the end of any loop: each counter
    keeps a registered flag of its last iteration.

    Latency and cost: one iteration a cycle; about 25 LUT and 33 FF a loop.

    Parameters
    ----------
    loops : int
        At least 1.

    Members
    -------
    load, advance : In(1)
        Strobes; `load` wins.
    counts : In(ArrayLayout(16, loops))
        At least 1 each.
    single : In(loops)
        Which counts are 1.
    carry : Out(loops)
        Which loop `advance` steps, one-hot; the loops inside start again. 0 at the last iteration.
    last : Out(1)
        This is the last iteration.

    Raises
    ------
    TypeError, ValueError
    """

    def __init__(self, *, loops):
        if not isinstance(loops, int) or isinstance(loops, bool):
            raise TypeError(f"LoopCounters loops must be an int, not {loops!r}")
        if loops < 1:
            raise ValueError(f"LoopCounters loops must be at least 1, not {loops!r}")
        self._loops = loops
        super().__init__(
            {
                "load": In(1),
                "advance": In(1),
                "counts": In(data.ArrayLayout(COUNT_BITS, loops)),
                "single": In(loops),
                "carry": Out(loops),
                "last": Out(1),
            }
        )

    @property
    def loops(self):
        return self._loops

    def elaborate(self, platform):
        m = Module()
        ends = Signal(self._loops)
        m.d.comb += self.last.eq(ends.all())
        for k in range(self._loops):
            count = Signal(COUNT_BITS, name=f"count_{k}", reset_less=True)
            single = Signal(name=f"single_{k}", reset_less=True)
            left = Signal(COUNT_BITS, name=f"left_{k}", reset_less=True)
            end = Signal(name=f"end_{k}", reset_less=True)
            inside = ends[k + 1 :].all() if k + 1 < self._loops else 1
            m.d.comb += [ends[k].eq(end), self.carry[k].eq(~end & inside)]
            with m.If(self.load):
                m.d.sync += [count.eq(self.counts[k]), single.eq(self.single[k])]
                m.d.sync += [left.eq(self.counts[k]), end.eq(self.single[k])]
            with m.Elif(self.advance & inside):
                m.d.sync += [
                    left.eq(Mux(end, count, left - 1)),
                    end.eq(Mux(end, single, left == 2)),
                ]
        return m


class AffineAddress(wiring.Component):
    """The address base + sum of index[k] * step[k] of the iterations of a `LoopCounters`.

    A register for each loop holds the address at which the present iteration of that loop began;
    a carry into loop k adds step[k] to register k and copies the sum to the loops inside. So there
    is one adder, and no multiplication.

    Latency and cost: one address a cycle; loops * bits FF, about 2 * bits * (loops / 4 + 1) LUT.

    Parameters
    ----------
    bits : int
        Address width; arithmetic is modulo 2**bits.
    loops : int

    Members
    -------
    load, advance : In(1)
        Strobes; `load` wins.
    base : In(bits)
        First address, taken by `load`.
    carry : In(loops)
        `LoopCounters.carry`.
    steps : In(ArrayLayout(bits, loops))
    address : Out(bits)
        Address of the present iteration, registered.
    outer : Out(bits)
        Address at which the present iteration of loop 0 began, registered.

    Raises
    ------
    TypeError, ValueError
    """

    def __init__(self, *, bits, loops):
        for name, value in (("bits", bits), ("loops", loops)):
            if not isinstance(value, int) or isinstance(value, bool):
                raise TypeError(f"AffineAddress {name} must be an int, not {value!r}")
            if value < 1:
                raise ValueError(f"AffineAddress {name} must be at least 1, not {value!r}")
        self._bits = bits
        self._loops = loops
        super().__init__(
            {
                "load": In(1),
                "advance": In(1),
                "base": In(bits),
                "carry": In(loops),
                "steps": In(data.ArrayLayout(bits, loops)),
                "address": Out(bits),
                "outer": Out(bits),
            }
        )

    @property
    def bits(self):
        return self._bits

    @property
    def loops(self):
        return self._loops

    def elaborate(self, platform):
        m = Module()
        starts = [
            Signal(self._bits, name=f"start_{k}", reset_less=True) for k in range(self._loops)
        ]
        m.d.comb += [self.address.eq(starts[-1]), self.outer.eq(starts[0])]

        # all loops share one adder
        start, step = starts[0], self.steps[0]
        for k in range(1, self._loops):
            start = Mux(self.carry[k], starts[k], start)
            step = Mux(self.carry[k], self.steps[k], step)
        total = Signal(self._bits)
        m.d.comb += total.eq(Mux(self.load, self.base, start + step))

        for k in range(self._loops):
            entered = self.carry[: k + 1].any()
            with m.If(self.load | (self.advance & entered)):
                m.d.sync += starts[k].eq(total)
        return m
