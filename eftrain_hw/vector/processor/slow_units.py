"""What works beside the pipeline: root, random numbers, the way to the divider; bytes."""

from amaranth.hdl import C, Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ...arith.fp32_sqrt import Fp32Sqrt
from .. import program_format as layout
from ..ports import DividePort
from .hash_unit import HashUnit

__all__ = ["PackBytes", "SlowUnits"]


class SlowUnits(wiring.Component):
    """Results of DIVIDE, ROOT and RANDOM, one element at a time.

    Latency and cost: 30 cycles after a probe; a random number each 15 cycles; about 360 LUT.

    Members
    -------
    operation : In, seed : In(32)
        Of the instruction; `begin : In(1)`: it is taken.
    use : In(1)
        An element is issued; `clear : In(1)`: its command is the first or another one.
    probe : In(1), a, b : In(32)
        Operands.
    divide : Out(DividePort)
    o : Out(32), done : Out(1)
    random : Out(32), random_ready : Out(1)
        The bits of the next random number; they stay for 12 cycles after `use`.
    """

    def __init__(self):
        super().__init__(
            {
                "operation": In(range(len(layout.OPERATIONS))),
                "seed": In(32),
                "begin": In(1),
                "use": In(1),
                "clear": In(1),
                "probe": In(1),
                "a": In(32),
                "b": In(32),
                "divide": Out(DividePort()),
                "o": Out(32),
                "done": Out(1),
                "random": Out(32),
                "random_ready": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.root = root = Fp32Sqrt()
        m.submodules.hash = hashed = HashUnit()
        divide = self.divide
        is_root = self.operation == layout.OPERATIONS.index("root")
        is_random = self.operation == layout.OPERATIONS.index("random")
        drawn, asked = Signal(32, reset_less=True), Signal()
        use = self.use & is_random
        fresh = Signal()  # the instruction's first number is to be hashed
        m.d.comb += [
            divide.a.eq(self.a),
            divide.b.eq(self.b),
            divide.start.eq(self.probe & ~is_root),
            root.a.eq(self.a),
            root.start.eq(self.probe & is_root),
            self.o.eq(Mux(is_root, root.o, divide.o)),
            self.done.eq(Mux(is_root, root.done, divide.done)),
            self.random.eq(hashed.o),
            self.random_ready.eq(hashed.ready & ~asked & ~fresh),
            hashed.start.eq(asked),
            hashed.i.eq(self.seed + drawn),
        ]
        m.d.sync += [fresh.eq(self.begin), asked.eq(use | fresh)]
        with m.If(use):
            m.d.sync += drawn.eq(drawn + 1)
        with m.If(self.clear):
            m.d.sync += drawn.eq(0)
        return m


class PackBytes(wiring.Component):
    """Four fp32 values to a word of bytes: no fraction, no sign, at most 255 (NaN, too).

    Latency and cost: combinational in the fourth value; about 30 LUT.

    Members
    -------
    enable : In(1), value : In(32)
    o : Out(32)
        The last three enabled values and the present one, which is the highest byte.
    """

    def __init__(self):
        super().__init__({"enable": In(1), "value": In(32), "o": Out(32)})

    def elaborate(self, platform):
        m = Module()
        value, byte, packed = self.value, Signal(8), Signal(24, reset_less=True)
        m.d.comb += byte.eq(Cat(value[16:23], C(1, 1)) >> (134 - value[23:31])[:3])
        with m.If(value[23:31] < 127):
            m.d.comb += byte.eq(0)
        with m.Elif(value[23:31] > 134):
            m.d.comb += byte.eq(255)
        with m.If(self.enable):
            m.d.sync += packed.eq(Cat(packed[8:], byte))
        m.d.comb += self.o.eq(Cat(packed, byte))
        return m
