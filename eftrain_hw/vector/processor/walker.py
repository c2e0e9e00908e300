"""The loops of a vector program: instructions, segments, and the runs that they need."""

from amaranth.hdl import C, Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .. import program_format as layout
from .run_maker import RunMaker
from .structs import INSTRUCTION, RUNS, SEGMENT, held, run_struct

__all__ = ["Walker"]

# what a segment may need, in the order in which it is done; x steps use the index before
_STEPS = ("row", "column", "position", *RUNS[:9])
_HEADER_AT, _START_AT = 9, 15
_LOAD_STEPS = _START_AT + len(layout.INDICES)


class Walker(wiring.Component):
    """Run ahead of the elements: load each instruction, walk its extent, ask for its runs.

    An index j of the extent lies in a small memory; one step a cycle reads it, makes a run of it
    and adds what it moves by where the loops advance::

        cycle   0            1                      2               3
                choose step  read index, add step   shift, base     run

    Latency and cost: a segment takes its steps, a cycle more for each run, and 5 cycles; an
    instruction 27 cycles before its first segment; about 700 LUT.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    start : In(1)
    lines : In(ArrayLayout)
        Lines of `RUNS`; stable while busy.
    count : In(32), program_words : In(16), use_scalars : In(1), valid_images : In(16)
    kinds : In(10), instructions : In(6), loading : In(1)
        From the loader, which begins when `load` pulses.
    address : Out(9), read : Out(1), data : In(32)
        Read port of the table memory.
    run : Out(stream of run_struct)
    segment : Out(stream of SEGMENT)
    instruction : Out(INSTRUCTION), held : Out, instruction_valid : Out(1), instruction_take : In(1)
        The instruction whose segments come next.
    busy : Out(1)
    """

    def __init__(self, config):
        self._config = config
        lines = data.ArrayLayout(config.address_bits - 6, len(RUNS))
        super().__init__(
            {
                "start": In(1),
                "lines": In(lines),
                "count": In(32),
                "program_words": In(16),
                "use_scalars": In(1),
                "valid_images": In(16),
                "kinds": In(10),
                "instructions": In(6),
                "loading": In(1),
                "load": Out(1),
                "address": Out(9),
                "read": Out(1),
                "data": In(32),
                "run": Out(stream.Signature(run_struct(config))),
                "segment": Out(stream.Signature(SEGMENT)),
                "instruction": Out(INSTRUCTION),
                "held": Out(held()),
                "instruction_valid": Out(1),
                "instruction_take": In(1),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        now = self.instruction
        k_index = Signal(30, reset_less=True)
        number, outer_left, again = Signal(5), Signal(32, reset_less=True), Signal()

        # extent
        counts = {name: Signal(16, name=f"n_{name}", reset_less=True) for name in "3210"}
        loops = {name: Signal(16, name=f"i_{name}", reset_less=True) for name in "3210"}
        flags = Signal(data.StructLayout(dict(layout.FLAGS)), reset_less=True)
        bounds = Signal(32, reset_less=True)
        wraps = {name: Signal(name=f"wrap_{name}", reset_less=True) for name in "3210"}
        zeros = {name: Signal(name=f"zero_{name}", reset_less=True) for name in "3210"}
        level, vectors = Signal(2, reset_less=True), Signal(6, reset_less=True)
        first, end, last = Signal(), Signal(), Signal()
        pad, valid, position = Signal(), Signal(), Signal(8)

        # steps of a segment; three stages, which move on unless a run waits
        pending, needed = Signal(len(_STEPS)), Signal(len(_STEPS))
        chosen = Signal(len(_STEPS))
        m.submodules.maker = maker = RunMaker(self._config)
        wiring.connect(m, wiring.flipped(self.run), maker.run)
        advance = ~maker.run.valid
        for k in range(len(_STEPS)):
            m.d.comb += chosen[k].eq(pending[k] & ~pending[:k].any())
        bare = Signal(len(_STEPS))  # does not use the index
        m.d.comb += bare.eq(Cat(C(name.endswith("x"), 1) for name in _STEPS))
        m.d.comb += needed.eq(self._needed(now, flags))

        # stage 0: table address; index that comes next
        load_step, late_step = Signal(range(_LOAD_STEPS + 1)), Signal(range(_LOAD_STEPS + 1))
        index0 = self._encode(m, chosen)
        index1, from_origin, to_origin = Signal(4), Signal(), Signal()
        add1, visit1, step1 = Signal(), Signal(), Signal(len(_STEPS))

        # stage 1: index memory
        m.submodules.indices = indices = Memory(shape=32, depth=32, init=[])
        put, get = indices.write_port(), indices.read_port(domain="comb")
        value = get.data
        m.d.comb += [
            get.addr.eq(Cat(index1, from_origin)),
            put.addr.eq(Cat(index1, to_origin)),
            # the first iteration begins from 0
            put.data.eq((value & ~(from_origin & ~again).replicate(32)) + self.data),
            put.en.eq(add1 & advance),
            self.read.eq(advance),
        ]
        visit2, step2, index2 = Signal(), Signal(4), Signal(32, reset_less=True)
        in_row, in_column = value[:17] < bounds[:16], value[:17] < bounds[16:]
        with m.If(advance):
            m.d.sync += [visit2.eq(visit1), add1.eq(0), visit1.eq(0)]
            with m.If(visit1):
                m.d.sync += step2.eq(self._encode_runs(m, step1))
                with m.If(add1):
                    m.d.sync += index2.eq(value)
                with m.If(step1[0]):
                    m.d.sync += [pad.eq(~in_row), visit2.eq(0)]
                with m.If(step1[1]):
                    m.d.sync += [pad.eq(pad | ~in_column), visit2.eq(0)]
                with m.If(step1[2]):
                    m.d.sync += [position.eq(value), visit2.eq(0)]

        m.d.comb += [
            maker.lines.eq(self.lines),
            maker.kinds.eq(self.kinds),
            maker.program_words.eq(self.program_words),
            maker.instruction.eq(now),
            maker.visit.eq(visit2),
            maker.step.eq(step2),
            maker.index.eq(index2),
            maker.vectors.eq(vectors),
            maker.pad.eq(pad),
            maker.end.eq(end),
        ]

        with m.FSM(name="walk") as fsm:
            m.d.comb += self.busy.eq(~fsm.ongoing("WAIT"))
            with m.State("WAIT"):
                m.d.sync += [number.eq(0), again.eq(0), outer_left.eq(self.count), index2.eq(0)]
                with m.If(self.start):
                    m.d.comb += self.load.eq(1)
                    m.d.sync += [visit2.eq(1), step2.eq(RUNS.index("program"))]
                    m.next = "PROGRAM"
            with m.State("PROGRAM"):
                with m.If(advance & ~visit2):
                    m.d.sync += [visit2.eq(self.use_scalars), step2.eq(RUNS.index("scalars"))]
                    m.next = "SCALARS"
            with m.State("SCALARS"):
                with m.If(~self.loading):
                    m.next = "FETCH"
                    with m.If(outer_left == 0):
                        m.next = "WAIT"
            with m.State("FETCH"):
                m.d.sync += [load_step.eq(0), late_step.eq(_LOAD_STEPS)]
                m.d.comb += self.address.eq(Cat(C(0, 2), number))
                with m.If(~self.instruction_valid & advance):
                    m.next = "LOAD"
            with m.State("LOAD"):
                with m.If(advance):
                    m.d.sync += [load_step.eq(load_step + 1), late_step.eq(load_step)]
                    with m.If(late_step == _LOAD_STEPS - 1):
                        m.d.sync += self.instruction_valid.eq(1)
                        m.next = "TEST"
                with m.If(load_step < 3):
                    m.d.comb += self.address.eq(Cat(load_step[:2], number))
                with m.Elif(load_step < _HEADER_AT):
                    m.d.comb += self.address.eq(layout.K_BASE | k_index[:6])
                with m.Elif(load_step < _START_AT):
                    m.d.comb += self.address.eq(
                        layout.START_BASE | Cat(load_step[:4], now.extent)
                    )
                with m.Else():
                    start = (load_step[:4] + 1)[:4]
                    m.d.comb += self.address.eq(layout.START_BASE | Cat(start, now.extent))
                    with m.If(advance & (load_step < _LOAD_STEPS)):
                        m.d.sync += [index1.eq(start), add1.eq(1)]
                        m.d.sync += [from_origin.eq(1), to_origin.eq(0)]
                m.d.sync += [loop.eq(0) for loop in loops.values()]
                m.d.sync += [pad.eq(0), position.eq(0)]
            with m.State("TEST"):
                m.d.sync += [wraps[name].eq(loops[name] == counts[name]) for name in "3210"]
                m.d.sync += [zeros[name].eq(loops[name] == 0) for name in "3210"]
                m.d.sync += valid.eq(~flags.images | (loops["3"] < self.valid_images))
                m.next = "CHOOSE"
            with m.State("CHOOSE"):
                start0 = zeros["0"] & ~now.reduce.all()
                start1 = start0 & (zeros["1"] | now.reduce[0])
                m.d.sync += [
                    level.eq(Mux(~wraps["0"], 0, Mux(~wraps["1"], 1, Mux(wraps["2"], 3, 2)))),
                    vectors.eq(Mux(wraps["0"], flags.last_chunk, flags.chunk)),
                    last.eq(Cat(wraps.values()).all()),
                    first.eq(start1 & (now.reduce.any() | Cat(zeros.values()).all())),
                    pending.eq(needed),
                ]
                with m.Switch(now.reduce):
                    with m.Case(1):
                        m.d.sync += end.eq(wraps["0"])
                    with m.Case(2):
                        m.d.sync += end.eq(wraps["0"] & wraps["1"])
                    with m.Default():
                        m.d.sync += end.eq(Cat(wraps.values()).all())
                m.next = "VISIT"
            with m.State("VISIT"):
                m.d.comb += self.address.eq(
                    layout.STEP_BASE | Cat(index0, level, now.extent)
                )
                with m.If(advance):
                    m.d.sync += [
                        pending.eq(pending & ~chosen),
                        visit1.eq(pending.any()),
                        step1.eq(chosen),
                        index1.eq(index0),
                        add1.eq((chosen & ~bare).any()),
                        from_origin.eq(0),
                        to_origin.eq(0),
                    ]
                    with m.If(~pending.any() & ~visit1 & ~visit2):
                        m.next = "HAND_OVER"
            with m.State("HAND_OVER"):
                m.d.comb += self.segment.valid.eq(1)
                with m.If(self.segment.ready):
                    self._count(m, loops, wraps)
                    m.next = "TEST"
                    with m.If(last):
                        m.d.sync += number.eq(number + 1)
                        m.next = "FETCH"
                        with m.If(number == (self.instructions - 1)[:5]):
                            m.d.sync += [number.eq(0), outer_left.eq(outer_left - 1)]
                            m.d.sync += [load_step.eq(0), add1.eq(0)]
                            m.next = "OUTER"
                            with m.If(outer_left == 1):
                                m.next = "WAIT"
            with m.State("OUTER"):
                m.d.comb += self.address.eq(
                    Cat(C(layout.OUTER_WORD, 2), load_step[:3])
                )
                with m.If(advance):
                    m.d.sync += [load_step.eq(load_step + 1), index1.eq(load_step)]
                    m.d.sync += [add1.eq(load_step < 6), from_origin.eq(1), to_origin.eq(1)]
                    with m.If(load_step == 7):
                        m.d.sync += again.eq(1)
                        m.next = "FETCH"

        # the loaded words
        m.d.comb += [
            self.segment.payload.vectors.eq(vectors),
            self.segment.payload.pad.eq(pad),
            self.segment.payload.valid.eq(valid),
            self.segment.payload.first.eq(first),
            self.segment.payload.end.eq(end),
            self.segment.payload.last.eq(last),
            self.segment.payload.position.eq(position),
        ]
        with m.If(self.instruction_take):
            m.d.sync += self.instruction_valid.eq(0)
        self._store(m, fsm.ongoing("LOAD") & advance, late_step, k_index, counts, flags, bounds)
        return m

    def _store(self, m, loading, late_step, k_index, counts, flags, bounds):
        """Put the words that come out of the table where they belong."""
        length = [sum(bits for _, bits in fields) for fields in layout.INSTRUCTION]
        word = self.instruction.as_value()
        with m.If(loading):
            with m.Switch(late_step):
                with m.Case(0):
                    m.d.sync += word[: length[0]].eq(self.data)
                with m.Case(1):
                    m.d.sync += word[length[0] :].eq(self.data)
                with m.Case(2):
                    m.d.sync += k_index.eq(self.data)
                with m.Case(3):
                    m.d.sync += k_index.eq(k_index >> 6)
                with m.Case(4, 5, 6, 7, 8):
                    m.d.sync += k_index.eq(k_index >> 6)
                    m.d.sync += Cat(self.held).eq(Cat(Cat(self.held)[32:], self.data))
                for place, name in enumerate("3210"):
                    with m.Case(_HEADER_AT + place):
                        m.d.sync += counts[name].eq(self.data)
                with m.Case(_HEADER_AT + 4):
                    m.d.sync += flags.as_value().eq(self.data)
                with m.Case(_HEADER_AT + 5):
                    m.d.sync += bounds.eq(self.data)

    def _needed(self, now, flags):
        """Steps that every segment of the instruction takes."""
        exponents = int(self._config.has_exponents)
        a_elements, b_elements = self.kinds[0:2] == 1, self.kinds[2:4] == 1
        position = now.c0 == layout.OPERANDS["c0"].index("position")
        return Cat(
            flags.bounded, flags.bounded, position, now.use_a, now.use_a & a_elements & exponents,
            now.use_b, now.use_b & b_elements & exponents, now.use_c, now.to_e,
            now.to_e & exponents, now.to_w0, now.to_w1,
        )  # fmt: skip

    @staticmethod
    def _encode(m, chosen):
        """The index of a step; an x step has that of the step before (nothing is added to it)."""
        index = Signal(4)
        for bit in range(4):
            m.d.comb += index[bit].eq(
                Cat(
                    chosen[k]
                    for k, name in enumerate(_STEPS)
                    if layout.INDICES.index(name.rstrip("x")) >> bit & 1
                ).any()
            )
        return index

    @staticmethod
    def _encode_runs(m, step):
        return Cat(
            Cat(
                step[k] for k, name in enumerate(_STEPS)
                if name in RUNS and RUNS.index(name) >> bit & 1
            ).any()
            for bit in range(4)
        )  # fmt: skip

    def _count(self, m, loops, wraps):
        """The loops advance."""
        carry = C(1, 1)
        for name in "0123":
            with m.If(carry):
                m.d.sync += loops[name].eq(loops[name] + 1)
                with m.If(wraps[name]):
                    m.d.sync += loops[name].eq(0)
            carry = carry & wraps[name]
