"""A counter's hash: the random numbers of the vector processor."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..rom import rom

__all__ = ["HashUnit"]

# (constant, it is added, distance of the shift to the left, what is combined is added)
_STEPS = (
    (0x7ED55D16, True, 12, True),
    (0xC761C23C, False, -19, False),
    (0x165667B1, True, 5, True),
    (0xD3A2646C, True, 9, False),
    (0xFD7046C5, True, 3, True),
    (0xB55A4F09, False, -16, False),
)


class HashUnit(wiring.Component):
    """o = Jenkins' 32-bit hash of `i`, 13 cycles after `start`.

    Each of the six steps a = (a op constant) op (a << or >> distance) takes two cycles of one
    adder.

    Latency and cost: 13 cycles, one at a time; about 150 LUT.

    Members
    -------
    start : In(1), i : In(32)
    ready : Out(1)
        `o` is there, until `start`. `o : Out(32)` keeps its value for 12 cycles after that.
    """

    def __init__(self):
        super().__init__({"start": In(1), "i": In(32), "ready": Out(1), "o": Out(32)})

    def elaborate(self, platform):
        m = Module()
        a, shifted = Signal(32, reset_less=True), Signal(32, reset_less=True)
        step, second, busy = Signal(range(len(_STEPS) + 1)), Signal(), Signal()
        constant = Signal(32)
        m.d.comb += constant.eq(rom(m, "constant", step, [s[0] for s in _STEPS]))
        adds = rom(
            m, "adds", Cat(step, second),
            [int(s[1]) for s in _STEPS] + [0] * (8 - len(_STEPS)) + [int(s[3]) for s in _STEPS],
        )  # fmt: skip
        operand = Mux(second, shifted, constant)
        with m.Switch(step):
            for number, (_, _, distance, _) in enumerate(_STEPS):
                with m.Case(number):
                    moved = a << distance if distance > 0 else a >> -distance
                    m.d.sync += shifted.eq(moved)
        with m.If(busy):
            m.d.sync += [
                a.eq(Mux(adds, a + operand, a ^ operand)),
                second.eq(~second),
                step.eq(step + second),
            ]
            with m.If(second & (step == len(_STEPS) - 1)):
                m.d.sync += [busy.eq(0), step.eq(len(_STEPS))]
        with m.If(~busy & (step == len(_STEPS)) & ~self.ready):
            m.d.sync += [self.o.eq(a), self.ready.eq(1)]
        with m.If(self.start):
            m.d.sync += [a.eq(self.i), step.eq(0), second.eq(0), busy.eq(1), self.ready.eq(0)]
        return m
