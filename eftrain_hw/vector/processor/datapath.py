"""From operands to results: two multiply-adds, what stands before, between and behind them."""

from amaranth.hdl import C, Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ...arith import greater, is_positive
from ...arith.pipeline import delay
from .. import program_format as layout
from ..loss_program import bits
from ..multiply_add import MultiplyAdd
from ..ports import MacPort
from .structs import INSTRUCTION

__all__ = ["Datapath", "late_struct"]

_ONE, _MINUS_ONE, _MINUS_ZERO = bits(1.0), bits(-1.0), 1 << 31
_MAC = MultiplyAdd.LATENCY


def late_struct(config):
    """What the later stages need of an element and of its instruction."""
    return data.StructLayout(
        {
            "lane": range(config.lanes), "first": 1, "zero0": 1, "zero1": 1, "t0_a1": 1,
            "t0_b1": 1, "addend": 2, "negate_c1": 1, "sum": 1, "maximum": 1, "relu": 1,
            "select": 1, "to_e": 1, "to_w0": 1, "to_w1": 1, "to_r": 1, "register": 9,
            "byte_place": 2,
        }
    )  # fmt: skip


class Datapath(wiring.Component):
    """T0 = op(a0, b0, c0), T1 = a1 * b1 + c1 or accumulated, result = post(T1, T0)::

        cycle   0         1         15        29            30      31
                compare   mac0      T0        T1, accumulate  post   result

    A sum's place is read in cycle 15 and written at the end of cycle 29: 15 cycles are a loop.

    Latency and cost: 31 cycles, an element a cycle; about 650 LUT.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    current : In(INSTRUCTION)
    a0, b0, c0, b1, c1 : In(32)
        In cycle 0.
    late : In(late_struct), valid : In(1), probe : In(1)
        In cycle 1.
    slow : In(32), random : In(32)
        Result of the divider or root extractor; bits of a random number. In cycle 1.
    probe_a, probe_b : Out(32)
        a0, b0 in cycle 1.
    mac0, mac1 : Out(MacPort)
    result, result0 : Out(32), result_late : Out(late_struct), result_valid : Out(1)
        The result, T0 (of the winner where a maximum is sought).
    """

    LATENCY = 3 + 2 * _MAC
    LOOP = _MAC + 1

    def __init__(self, config):
        self._config = config
        super().__init__(
            {
                "current": In(INSTRUCTION),
                **{name: In(32) for name in ("a0", "b0", "c0", "b1", "c1")},
                "late": In(late_struct(config)),
                "valid": In(1),
                "slow": In(32),
                "random": In(32),
                "probe_a": Out(32),
                "probe_b": Out(32),
                "mac0": Out(MacPort()),
                "mac1": Out(MacPort()),
                "result": Out(32),
                "result0": Out(32),
                "result_late": Out(late_struct(config)),
                "result_valid": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        struct = self.late.shape()
        late15 = self._delayed(m, self.late, _MAC, "late_t0")
        late29 = self._delayed(m, late15, _MAC, "late_t1")
        late30 = self._delayed(m, late29, 1, "late_post")
        late31 = self._delayed(m, late30, 1, "late_result")
        valid = [self.valid]
        for stage in range(2 * _MAC + 2):
            following = Signal(name=f"valid_{stage + 2}")
            m.d.sync += following.eq(valid[-1])
            valid.append(following)

        flag, first1 = self._first(m)
        t0, value = Signal(32), Signal(32)
        m.d.comb += t0.eq(self.mac0.o & (~late15.zero0).replicate(32))
        b1 = delay(m, self.b1, 1 + _MAC, name="b1")
        c1 = delay(m, self.c1, 1 + _MAC, name="c1")

        # accumulators
        m.submodules.values = values = Memory(shape=32, depth=self._config.lanes, init=[])
        m.submodules.winners = winners = Memory(shape=32, depth=self._config.lanes, init=[])
        put, get = values.write_port(), values.read_port(domain="comb")
        put0, get0 = winners.write_port(), winners.read_port(domain="comb")
        m.d.comb += get.addr.eq(Mux(late29.maximum & valid[2 * _MAC], late29.lane, late15.lane))
        addend = Signal(32)
        with m.Switch(late15.addend):
            for code, term in enumerate((c1, t0, get.data, Cat(C(0, 31), late15.maximum))):
                with m.Case(code):
                    m.d.comb += addend.eq(term)
        m.d.comb += [
            self.mac1.a.eq(Mux(late15.t0_a1, t0, delay(m, first1, _MAC, name="a1"))),
            self.mac1.b.eq(Mux(late15.t0_b1, t0, b1)),
            self.mac1.c.eq(Cat(addend[:31], addend[31] ^ late15.negate_c1)),
        ]

        # T1; a maximum in one cycle
        late0 = delay(m, t0, _MAC, name="t0")
        product = self.mac1.o
        lowest = product[23:31].all() & (product[:23].any() | product[31])  # NaN, -infinity
        wins = Mux(late29.first, ~lowest, greater(product, get.data))
        keep = late29.maximum & ~wins
        other = Mux(late29.first, 0xFF800000, get.data)
        winner = Signal(32)
        m.d.comb += [
            value.eq(Mux(keep, other, product)),
            winner.eq(Mux(keep, get0.data & (~late29.first).replicate(32), late0)),
            get0.addr.eq(late29.lane),
        ]
        for port, what in ((put, value), (put0, winner)):
            m.d.comb += [
                port.addr.eq(late29.lane),
                port.data.eq(what),
                port.en.eq(valid[2 * _MAC] & (late29.sum | late29.maximum)),
            ]
        t1, t0_30 = delay(m, value, 1, name="t1")[:], delay(m, winner, 1, name="t0_post")

        # post
        late_flag = delay(m, flag, 2 * _MAC + 1, name="flag")
        zero = late30.zero1 | (late30.relu & ~is_positive(t1))
        chosen = Mux(late30.select & ~late_flag, t0_30, t1)
        m.d.comb += [
            self.result.eq(delay(m, chosen & (~zero).replicate(32), 1, name="result")),
            self.result0.eq(delay(m, t0_30, 1, name="result0")),
            self.result_late.eq(data.View(struct, late31.as_value())),
            self.result_valid.eq(valid[-1]),
        ]
        return m

    @staticmethod
    def _delayed(m, late, cycles, name):
        return data.View(late.shape(), delay(m, late.as_value(), cycles, name=name))

    def _first(self, m):
        """Operands of mac0; returns the flag and the operand that `a1` names, in cycle 1."""
        now, names = self.current, layout.OPERATIONS
        a0, b0, c0 = self.a0, self.b0, self.c0
        nan = Cat((x[23:31].all() & x[:23].any()) for x in (b0, c0)).any()
        zeros = ~b0[23:31].any() & ~c0[23:31].any()
        same = ((b0 == c0) & ~nan) | zeros
        flag = Signal(reset_less=True)
        a, b, c = (delay(m, x, 1, name=f"{n}0") for x, n in ((a0, "a"), (b0, "b"), (c0, "c")))
        m.d.comb += [self.probe_a.eq(a), self.probe_b.eq(b)]

        # b0 as an integer, what is beyond 255 as 255
        magnitude = Signal(8, reset_less=True)
        m.d.sync += magnitude.eq(Cat(b0[16:23], C(1, 1)) >> (134 - b0[23:31])[:3])
        with m.If(b0[23:31] < 127):
            m.d.sync += magnitude.eq(0)
        with m.Elif(b0[23:31] > 134):
            m.d.sync += magnitude.eq(255)
        power = Signal(8)
        with m.If(b[31]):
            m.d.comb += power.eq(Mux(magnitude >= 127, 0, 127 - magnitude))
        with m.Else():
            m.d.comb += power.eq(Mux(magnitude >= 128, 255, 127 + magnitude))

        # what goes to mac0.a: a0, b0, c0 or `other`
        fits = Mux(now.equal, same, greater(b0, c0)) ^ now.invert
        choice, gated = Signal(2), Signal()
        iterative = (now.operation == names.index("divide")) | (
            now.operation == names.index("root")
        )
        random = now.operation == names.index("random")
        m.d.sync += [choice.eq(0), gated.eq(0), flag.eq(fits)]
        with m.If(now.operation == names.index("gate")):
            m.d.sync += [choice.eq(Mux(fits, 0, 3)), gated.eq(1)]
        with m.Elif(now.operation == names.index("choose")):
            m.d.sync += choice.eq(Mux(fits, 1, 2))
        with m.Elif(iterative | random):
            m.d.sync += choice.eq(3)
        number = Cat(self.random[9:], C(0x7F, 9))
        other = Mux(gated, 0, Mux(random, number, self.slow))
        first, second, third = self.mac0.a, self.mac0.b, self.mac0.c
        m.d.comb += [second.eq(_ONE), third.eq(_MINUS_ZERO)]
        with m.Switch(choice):
            for code, value in enumerate((a, b, c, other)):
                with m.Case(code):
                    m.d.comb += first.eq(value)
        with m.Switch(now.operation):
            with m.Case(names.index("mac")):
                m.d.comb += [second.eq(b), third.eq(Cat(c[:31], c[31] ^ now.negate_c0))]
            with m.Case(names.index("multiply")):
                m.d.comb += second.eq(b)
            with m.Case(names.index("ldexp")):
                m.d.comb += second.eq(Cat(C(0, 23), power, C(0, 1)))
            with m.Case(names.index("random")):
                # 1.f - 1, and the lowest bit: 24 bits of fraction
                m.d.comb += third.eq(Mux(self.random[8], 0xBF7FFFFF, _MINUS_ONE))
        operand = Signal(32)
        with m.Switch(now.a1):
            with m.Case(2):
                m.d.comb += operand.eq(b)
            with m.Case(3):
                m.d.comb += operand.eq(c)
            with m.Default():
                m.d.comb += operand.eq(a)
        return flag, operand
