"""Which element goes next, and when."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .. import program_format as layout
from .structs import INSTRUCTION, SEGMENT, held

__all__ = ["Issue", "element_struct"]

_SETTLE = 8
"""Cycles after which nothing looks at an instruction any more, but the late stages."""


def element_struct(config):
    """An element on its way: its lane, its number in the instruction modulo 64, whether it begins
    a reduction, whether its result leaves, the vector's flags."""
    return data.StructLayout(
        {
            "lane": range(config.lanes),
            "number": range(layout.REGISTER_WORDS),
            "first": 1,
            "emits": 1,
            "valid": 1,
            "pad": 1,
            "position": 8,
        }
    )


class Issue(wiring.Component):
    """Start an element a cycle as long as its streams have it and what leaves has room.

    A sum keeps at most as many elements under way as it has places: `lanes`, or one with `across`,
    in the cycles that a place needs to be ready again. DIVIDE and ROOT start an element twice: the
    first time, as a probe, to start the unit, and again when it is done.

    Latency and cost: an element a cycle, 10 cycles between instructions; about 120 LUT.

    Parameters
    ----------
    config : AcceleratorConfig
    latency : int
        Cycles from an element to its results.
    loop : int
        Cycles after which a sum's place can be used again.

    Members
    -------
    instruction, held, instruction_valid : In, instruction_take : Out(1)
        The next instruction.
    segment : In(stream of SEGMENT)
    current : Out(INSTRUCTION), current_held : Out
        The instruction of the element; also in the eight cycles after it.
    have_a, have_b, have_c : In(1), take_a, take_b, take_c : Out(1), last_lane : Out(1)
    room : In(1)
        There is room for a result, and one more, wherever `current` sends it.
    slow_done, random_ready : In(1)
    issue, probe : Out(1), element : Out(element_struct)
    idle : Out(1)
    """

    def __init__(self, config, *, latency, loop):
        self._config = config
        self._latency, self._loop = latency, loop
        super().__init__(
            {
                "instruction": In(INSTRUCTION),
                "held": In(held()),
                "instruction_valid": In(1),
                "instruction_take": Out(1),
                "segment": In(stream.Signature(SEGMENT)),
                "current": Out(INSTRUCTION),
                "current_held": Out(held()),
                **{f"have_{name}": In(1) for name in "abc"},
                **{f"take_{name}": Out(1) for name in "abc"},
                "last_lane": Out(1),
                "room": In(1),
                "slow_done": In(1),
                "random_ready": In(1),
                "issue": Out(1),
                "probe": Out(1),
                "element": Out(element_struct(config)),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        now, element = self.current, self.element
        lanes = self._config.lanes
        operations = layout.OPERATIONS

        # segments: the present one, and the one after it
        segment, some = Signal(SEGMENT, reset_less=True), Signal()
        following, more = Signal(SEGMENT, reset_less=True), Signal()
        needs = {name: Signal(name=f"needs_{name}") for name in "abc"}
        running, begun = Signal(), Signal()
        left, lane = Signal(6, reset_less=True), Signal(range(lanes))
        number = Signal(range(layout.REGISTER_WORDS))
        last_vector, finish, change = Signal(), Signal(), Signal()
        m.d.comb += [
            self.last_lane.eq(lane == lanes - 1),
            last_vector.eq(left == 1),
            finish.eq(self.issue & self.last_lane & last_vector),
            change.eq(running & (~some | (finish & ~segment.last))),
            self.segment.ready.eq(~more),
        ]
        with m.If(self.issue):
            m.d.sync += [lane.eq(lane + 1), number.eq(number + 1)]
            with m.If(self.last_lane):
                m.d.sync += [left.eq(left - 1), begun.eq(1)]
        with m.If(finish):
            m.d.sync += some.eq(0)
            with m.If(segment.last):
                m.d.sync += running.eq(0)
        with m.If(change):
            m.d.sync += [
                some.eq(more),
                more.eq(0),
                segment.eq(following),
                left.eq(following.vectors),
                needs["a"].eq(now.use_a & ~following.pad),
                needs["b"].eq(now.use_b & ~following.pad),
                needs["c"].eq(now.use_c),
                begun.eq(0),
            ]
        with m.If(~more):
            m.d.sync += [more.eq(self.segment.valid), following.eq(self.segment.payload)]

        # instructions
        since = Signal(range(self._latency + 2), init=self._latency + 1)
        quiet, settled = Signal(), Signal()
        m.d.sync += [quiet.eq(since == self._latency + 1), settled.eq(since >= _SETTLE)]
        with m.If(self.issue):
            m.d.sync += [since.eq(0), quiet.eq(0), settled.eq(0)]
        with m.Elif(since != self._latency + 1):
            m.d.sync += since.eq(since + 1)
        m.d.comb += [
            self.instruction_take.eq(
                ~running & self.instruction_valid & settled & (~self.instruction.wait | quiet)
            ),
            self.idle.eq(~running & quiet),
        ]
        slow, random = Signal(), Signal()
        with m.If(self.instruction_take):
            operation = self.instruction.operation
            m.d.sync += [
                now.eq(self.instruction),
                self.current_held.eq(self.held),
                running.eq(1),
                number.eq(0),
                slow.eq(
                    (operation == operations.index("divide"))
                    | (operation == operations.index("root"))
                ),
                random.eq(operation == operations.index("random")),
            ]

        # DIVIDE, ROOT, RANDOM
        asked, answered = Signal(), Signal()
        with m.If(self.probe):
            m.d.sync += asked.eq(1)
        with m.If(self.slow_done):
            m.d.sync += answered.eq(1)
        with m.If(self.issue):
            m.d.sync += [asked.eq(0), answered.eq(0)]

        # a sum's places
        history = [self.issue]
        for stage in range(self._loop - 1):
            late = Signal(name=f"issued_{stage + 1}")
            m.d.sync += late.eq(history[-1])
            history.append(late)
        under_way, full = Signal(range(self._loop)), Signal()
        after = under_way + self.issue - history[-1]
        m.d.sync += under_way.eq(after)
        summing = now.accumulate == layout.ACCUMULATE.index("sum")
        places = Mux(now.across, 1, min(lanes, self._loop))
        m.d.sync += full.eq(summing & (after[: len(under_way)] >= places))

        # the element
        there, go, room = Signal(), Signal(), Signal()
        m.d.sync += room.eq(self.room)
        m.d.comb += [
            there.eq(
                some
                & (~needs["a"] | self.have_a)
                & (~needs["b"] | self.have_b)
                & (~needs["c"] | self.have_c)
            ),
            go.eq((~slow | answered) & (~random | self.random_ready) & ~full & room),
            self.issue.eq(there & go),
            self.probe.eq(there & slow & ~asked),
            *(getattr(self, f"take_{name}").eq(self.issue & needs[name]) for name in "abc"),
            element.lane.eq(lane),
            element.number.eq(number),
            element.first.eq(segment.first & ~begun & (~now.across | (lane == 0))),
            element.emits.eq(~now.emit | (segment.end & last_vector)),
            element.valid.eq(segment.valid),
            element.pad.eq(segment.pad),
            element.position.eq(segment.position),
        ]
        return m
