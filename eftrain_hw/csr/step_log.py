"""Writes down which descriptor each engine worked on, and what the array's cycles went to."""

from amaranth.hdl import Cat, Module, Mux, ResetInserter, Signal
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from ..sequencer.descriptor_names import MARK_BITS
from .cause_sums import CauseSums
from .step_log_format import (
    AT_WORK,
    CAUSES,
    CAUSES_AT,
    CODE_BITS,
    LANES,
    SPARE,
    STEP_END,
    VALUE_BITS,
    WORDS,
)

__all__ = ["StepLog"]

_DELAY = 3  # cycles from a pulse to its word
_LANE_BITS = (len(LANES) - 1).bit_length()
_COMPUTE = LANES.index("compute")


class StepLog(wiring.Component):
    """One block RAM of words as `step_log_format` says: the first that fit, of one step.

        begin_compute | 1 |   |   |   |          of another descriptor than the one before
        cause of            b   b                the first cycle that counts for it
        word                    | HEAD | TAIL    on its way to the memory

    A lane's `begin` with another mark than its last one makes an entry of two words; each rise and
    fall of its `busy` writes the second one anew. The compute lane's also ends a span of `cause`,
    whose sums follow when no lane has anything to say. When `SPARE` words are left, `overflow` is
    set and no lane is written down any more, the array's spans go on to the end of the step as one.
    The end of the step, whatever its reason, writes STEP_END and the last sums, and the log rests
    until `clear`. So the sums of all causes are the cycles in which `counting` was 1, always.

    If a lane turns to a third descriptor before the second one is written down (not before `LATE`
    cycles), the second one is missing, and `lost` says so.

    Latency and cost: an uncontended word is in the memory 5 cycles after its pulse; `code` and
    `value` 2 cycles after `index`. One block RAM of 36 Kbit, about 330 LUT with the sums.

    Parameters
    ----------
    words : int
        A power of two, at least 64.

    Members
    -------
    clear : In(1)
        Pulse, before the first cycle that counts.
    counting : In(1)
        1 from the first to the last cycle of a step.
    cause : In(range(len(CAUSES)))
        What the cycle before this one went to.
    begin_<lane> : In(1)
        Pulse: a command starts. compute: in the cycle before the first that counts for it.
    mark_<lane> : In(MARK_BITS)
        With `begin_<lane>`: the descriptor's.
    busy_<lane> : In(1)
    index : In(range(words))
    code : Out(4)
    value : Out(32)
        The word at `index`.
    count : Out(range(words + 1))
        Words that are written.
    busy : Out(1)
        More will come.
    overflow, lost : Out(1)

    Raises
    ------
    TypeError, ValueError
    """

    def __init__(self, *, words=WORDS):
        if not isinstance(words, int) or isinstance(words, bool):
            raise TypeError(f"StepLog words must be an int, not {words!r}")
        if words < 2 * SPARE or words & (words - 1):
            raise ValueError(
                f"StepLog words must be a power of two, at least {2 * SPARE}, not {words!r}"
            )
        self._words = words
        members = {}
        for lane in LANES:
            members |= {f"begin_{lane}": In(1), f"mark_{lane}": In(MARK_BITS)}
            members |= {f"busy_{lane}": In(1)}
        super().__init__(
            {
                "clear": In(1),
                "counting": In(1),
                "cause": In(range(len(CAUSES))),
                **members,
                "index": In(range(words)),
                "code": Out(CODE_BITS),
                "value": Out(VALUE_BITS),
                "count": Out(range(words + 1)),
                "busy": Out(1),
                "overflow": Out(1),
                "lost": Out(1),
            }
        )

    @property
    def words(self):
        return self._words

    def elaborate(self, platform):
        m = Module()
        m.submodules.sums = sums = CauseSums(len(CAUSES))
        counted, end = Signal(), Signal()  # of the cycle before; STEP_END is yet to be written
        room, spanning = Signal(), Signal()  # spanning: sums are yet to be written
        m.d.sync += [
            counted.eq(self.counting),
            room.eq(self.count < self._words - SPARE),
        ]
        with m.If(counted & ~self.counting):
            m.d.sync += end.eq(1)
        served = Signal(len(LANES))
        lanes = [self._lane(m, name, counted, room, served[k]) for k, name in enumerate(LANES)]
        turn, turning = self._turn(m, lanes[_COMPUTE], spanning)
        want = Cat(lane["want"] for lane in lanes)

        now = Signal(VALUE_BITS, init=(1 << VALUE_BITS) - _DELAY)
        code, value = Signal(CODE_BITS), Signal(VALUE_BITS)
        address, enable, headed = Signal.like(self.index), Signal(), Signal()
        chosen, cause = Signal(range(len(LANES))), Signal(range(len(CAUSES)))
        m.submodules.slots = slots = memory.Memory(
            shape=len(self.index), depth=1 << _LANE_BITS, init=[]
        )
        tails, heads = slots.read_port(domain="comb"), slots.write_port()
        starts, marks, works = (
            Cat(lane[name] for lane in lanes) for name in ("starts", "mark", "busy")
        )
        m.d.sync += now.eq(now + 1)
        m.d.comb += [
            value.eq(now),
            address.eq(self.count),
            tails.addr.eq(chosen),
            heads.addr.eq(chosen),
            heads.data.eq(self.count + 1),
            sums.count.eq(counted),
            sums.cause.eq(self.cause),
            sums.select.eq(cause),
        ]
        finish, to_head = Signal(), Signal()
        with m.FSM(name="write") as fsm:
            with m.State("CHOOSE"):
                for k in reversed(range(len(LANES))):
                    with m.If(want[k]):
                        m.d.sync += chosen.eq(k)
                        m.d.comb += to_head.eq(starts[k])
                with m.If(want.any()):
                    m.next = "TAIL"
                    with m.If(to_head):
                        m.next = "HEAD"
                with m.Elif(spanning):
                    m.d.comb += [
                        code.eq(CAUSES_AT + cause),
                        value.eq(sums.sum),
                        enable.eq(sums.nonzero.bit_select(cause, 1)),
                    ]
                    m.d.sync += [self.count.eq(self.count + enable), cause.eq(cause + 1)]
                    with m.If(cause == len(CAUSES) - 1):
                        m.d.sync += [spanning.eq(0), cause.eq(0)]
                with m.Elif(end & ~turning):
                    m.d.comb += [code.eq(STEP_END), enable.eq(1), finish.eq(1)]
                    m.d.sync += [self.count.eq(self.count + 1), end.eq(0)]
            with m.State("HEAD"):
                m.d.comb += [code.eq(chosen), enable.eq(1), heads.en.eq(1)]
                m.d.sync += [self.count.eq(self.count + 2), headed.eq(1)]
                m.next = "TAIL"
            with m.State("TAIL"):
                m.d.comb += [
                    # not of a start that came after the choice
                    enable.eq(headed | ~starts.bit_select(chosen, 1)),
                    code.eq(marks.word_select(chosen, MARK_BITS)),
                    address.eq(tails.data),
                    served.eq(Mux(enable, 1 << chosen, 0)),
                ]
                m.d.sync += headed.eq(0)
                with m.If(works.bit_select(chosen, 1)):
                    m.d.comb += value.eq(AT_WORK)
                m.next = "CHOOSE"
        m.d.comb += sums.switch.eq(turn | finish)
        with m.If(sums.switch):
            m.d.sync += spanning.eq(1)
        self._memory(m, address, code, value, enable)
        pending = Cat(counted, end, spanning, turning, want, ~fsm.ongoing("CHOOSE"))
        m.d.sync += self.busy.eq(self.counting | pending.any())
        return ResetInserter(self.clear)(m)

    def _lane(self, m, name, counted, room, served):
        """What a lane has to say: `want` a word, `starts` two of them."""
        begin, busy, before = (Signal(name=f"{name}_{what}") for what in ("begin", "busy", "was"))
        new_mark, mark = (Signal(MARK_BITS, name=f"{name}_{what}") for what in ("new", "mark"))
        starts, edges, open_ = (
            Signal(name=f"{name}_{what}") for what in ("starts", "edges", "open")
        )
        turns = Signal(name=f"{name}_turns")
        m.d.sync += [
            begin.eq(getattr(self, f"begin_{name}")),
            new_mark.eq(getattr(self, f"mark_{name}")),
            busy.eq(getattr(self, f"busy_{name}")),
            before.eq(busy),
            edges.eq((edges & ~served) | (counted & (busy != before))),
            starts.eq(starts & ~served),
        ]
        changes = counted & begin & (~open_ | (new_mark != mark))
        m.d.comb += turns.eq(changes & room)
        with m.If(changes):
            m.d.sync += [mark.eq(new_mark), open_.eq(room)]
            with m.If(~room):
                m.d.sync += self.overflow.eq(1)
            with m.If(starts & ~served):
                m.d.sync += self.lost.eq(1)
        if name != LANES[_COMPUTE]:
            with m.If(turns):
                m.d.sync += starts.eq(1)
        want = starts | (open_ & edges)
        return {"turns": turns, "starts": starts, "mark": mark, "busy": busy, "want": want}

    def _turn(self, m, lane, spanning):
        """The compute lane starts when the sums before it can be put aside."""
        turn, turning = Signal(), Signal()
        m.d.comb += turn.eq((lane["turns"] | turning) & ~spanning & ~lane["starts"])
        m.d.sync += turning.eq((lane["turns"] | turning) & ~turn)
        with m.If(turn):
            m.d.sync += lane["starts"].eq(1)
        with m.If(lane["turns"] & turning):
            m.d.sync += self.lost.eq(1)
        return turn, turning

    def _memory(self, m, address, code, value, enable):
        word = data.StructLayout({"value": VALUE_BITS, "code": CODE_BITS})
        m.submodules.log = log = memory.Memory(
            shape=word, depth=self._words, init=[], attrs={"ram_style": "block"}
        )
        read, write = log.read_port(), log.write_port()
        late = Signal.like(address, name="write_address")
        fields = Signal(word, name="write_word")
        writes = Signal(name="writes")
        m.d.sync += [
            late.eq(address),
            fields.value.eq(value),
            fields.code.eq(code),
            writes.eq(enable),
            self.code.eq(read.data.code),
            self.value.eq(read.data.value),
        ]
        m.d.comb += [
            read.addr.eq(self.index),
            write.addr.eq(late),
            write.data.eq(fields),
            write.en.eq(writes),
        ]

