"""The element streams A, B and C, one element a cycle."""

from amaranth.hdl import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ...streams.queue import Queue

__all__ = ["Element", "InputStream", "SharedReader"]

Element = data.StructLayout({"word": 32, "byte": 8, "exponent": 8})
"""What a stream delivers: a raw word, or a byte and its vector's exponent."""


class InputStream(wiring.Component):
    """Words of a reader as elements: a word each, or its four bytes one by one.

    Latency and cost: 1 cycle, an element a cycle; about 25 LUT.

    Members
    -------
    items : In(stream of 32 bits)
    exponents : In(stream of 8 bits)
    packed : In(1)
        A word holds four elements; `scaled : In(1)`: vectors come with exponents.
    have : Out(1), element : Out(Element)
    take : In(1), last_lane : In(1)
        The element, the last one of its vector, is taken.
    """

    def __init__(self):
        super().__init__(
            {
                "items": In(stream.Signature(32)),
                "exponents": In(stream.Signature(8)),
                "packed": In(1),
                "scaled": In(1),
                "have": Out(1),
                "element": Out(Element),
                "take": In(1),
                "last_lane": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        word, full, place = Signal(32, reset_less=True), Signal(), Signal(2)
        used = self.take & (~self.packed | (place == 3))
        m.d.comb += [
            self.items.ready.eq(~full | used),
            self.have.eq(full & (~self.scaled | self.exponents.valid)),
            self.element.word.eq(word),
            self.element.byte.eq(word.word_select(place, 8)),
            self.element.exponent.eq(self.exponents.payload),
            self.exponents.ready.eq(self.take & self.last_lane & self.scaled),
        ]
        with m.If(self.items.ready):
            m.d.sync += [word.eq(self.items.payload), full.eq(self.items.valid)]
        with m.If(self.take & self.packed):
            m.d.sync += place.eq(place + 1)
        return m


class SharedReader(wiring.Component):
    """Reader 2: the exponents of A and of B, stream C and the program, told apart by their runs.

    Latency and cost: an item a cycle, one cycle between runs; about 90 LUT.

    Parameters
    ----------
    vectors : int
        Exponents that each queue holds: a power of two, at least two chunks.

    Members
    -------
    expect : In(stream of {kind, items})
        Of each run, in the order in which they were asked for; kinds as in `run_struct`.
    items : In(stream of 32 bits)
        Narrow items lie in the low bits.
    a_exponents, b_exponents : Out(stream of 8 bits)
    c, program : Out(stream of 32 bits)
    """

    def __init__(self, *, vectors):
        self._vectors = vectors
        super().__init__(
            {
                "expect": In(stream.Signature(data.StructLayout({"kind": 2, "items": 11}))),
                "items": In(stream.Signature(32)),
                "a_exponents": Out(stream.Signature(8)),
                "b_exponents": Out(stream.Signature(8)),
                "c": Out(stream.Signature(32)),
                "program": Out(stream.Signature(32)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.order = order = Queue(
            self.expect.payload.shape(), 32, storage="distributed"
        )
        wiring.connect(m, wiring.flipped(self.expect), order.i)
        kind, left, active, final = Signal(2), Signal(11), Signal(), Signal()
        for number, name in enumerate(("a_exponents", "b_exponents")):
            queue = Queue(8, self._vectors, storage="distributed")
            m.submodules[name] = queue
            wiring.connect(m, wiring.flipped(getattr(self, name)), queue.o)
            m.d.comb += queue.i.payload.eq(self.items.payload)
            with m.If(active & (kind == number)):
                m.d.comb += [
                    queue.i.valid.eq(self.items.valid),
                    self.items.ready.eq(queue.i.ready),
                ]
        for number, port in ((2, self.c), (3, self.program)):
            m.d.comb += port.payload.eq(self.items.payload)
            with m.If(active & (kind == number)):
                m.d.comb += [port.valid.eq(self.items.valid), self.items.ready.eq(port.ready)]
        with m.If(self.items.valid & self.items.ready):
            m.d.sync += [left.eq(left - 1), final.eq(left == 2), active.eq(~final)]
        m.d.comb += order.o.ready.eq(~active)
        with m.If(~active):
            m.d.sync += [
                active.eq(order.o.valid),
                kind.eq(order.o.payload.kind),
                left.eq(order.o.payload.items),
                final.eq(order.o.payload.items == 1),
            ]
        return m
