"""Writes runs of items to DRAM: packs them into bus beats."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from ..streams.ports import WriteClient, write_beat
from ..streams.queue import Queue
from .run_sizes import RunSizes, check_power_of_two

__all__ = ["RunWriter"]

_RUNS_AHEAD = 32
_REQUESTS_AHEAD = 16


class RunWriter(wiring.Component):
    """Takes runs (address, number of items) and their items, writes them to DRAM.

    Only the bytes of the items are written: strobes mark them in the first and last beat of a run.
    Whole beats collect in a queue and are requested when a run ends or an address is reached that
    is a multiple of half the queue. A run of no items is ignored. Runs may be given ahead of their
    items (32 fit); items wait for their run.

        run     address 0x1c, 7 items of 4 bytes            (bus beats of 16 bytes)
        beats   0x10: . . . 0   0x20: 1 2 3 4   0x30: 5 6 . .

    With two sizes, `item_bytes=(4, 16)`, the run says in `wide` which of them its items have; the
    narrow ones lie in the low bits of the payload. Sizes beyond the bus take several beats each.

    Latency and cost: 3 cycles from the last item of a request to the request; an item a cycle
    (items wider than the bus: a beat a cycle), also across runs. With 16-byte beats about 280 LUTs
    (64 of them RAM) and, up to depth 512, 2 RAMB36; 60 LUTs more for items of (4, 16) bytes.

    Parameters
    ----------
    config : AcceleratorConfig
    item_bytes : int or tuple of two int
        Size of an item, or (narrow, wide): powers of two, narrow <= wide.
    depth : int
        Bus beats of the queue, a power of two, at least 8; requests are half of it at most.

    Members
    -------
    run : In(stream(run_request)), or of wide_run_request with two sizes
        Addresses are aligned to items (of the size that the run has).
    items : In(stream(8 * item_bytes)), of the wide size if there are two
    memory : Out(WriteClient(config))
    busy : Out(1)
        From the cycle in which a run is offered until all responses have come. It may fall between
        two runs.
    """

    def __init__(self, config, item_bytes, depth=32):
        check_power_of_two("RunWriter depth", depth, 8)
        self._config, self._item_bytes, self._depth = config, item_bytes, depth
        self._sizes = RunSizes(config, item_bytes, "RunWriter")
        super().__init__(
            {
                "run": In(stream.Signature(self._sizes.request)),
                "items": In(stream.Signature(8 * self._sizes.widest)),
                "memory": Out(WriteClient(config)),
                "busy": Out(1),
            }
        )

    @property
    def item_bytes(self):
        return self._item_bytes

    @property
    def depth(self):
        return self._depth

    @property
    def request_beats(self):
        """Longest request, in bus beats; longer runs are cut at its multiples."""
        return min(256, self._depth // 2)

    def elaborate(self, platform):
        m = Module()
        bus, shift = self._config.bus_bytes, exact_log2(self._config.bus_bytes)
        sizes = self._sizes
        unit, slots, slot_bits = sizes.unit, sizes.slots, exact_log2(sizes.slots)

        m.submodules.runs = runs = Queue(
            self.run.payload.shape(), _RUNS_AHEAD, storage="distributed"
        )
        m.submodules.beats = beats = Queue(
            write_beat(self._config), self._depth, storage="block"
        )
        m.submodules.requests = requests = Queue(
            data.StructLayout(
                {"word": self._config.address_bits - shift, "beats": range(self.request_beats + 1)}
            ),
            _REQUESTS_AHEAD,
            storage="distributed",
        )
        run = runs.o.payload
        wide = Signal(reset_less=True)
        active = Signal()
        left = Signal(run.items.shape(), reset_less=True)
        word = Signal(self._config.address_bits - shift, reset_less=True)
        position = Signal(slot_bits, reset_less=True)
        part = Signal(range(sizes.parts[-1]))

        # the beat that is being filled; `full` while it waits for the queue
        filled = Signal(data.ArrayLayout(8 * unit, slots), reset_less=True)
        strobe = Signal(slots, reset_less=True)
        open_, full, ends = Signal(), Signal(), Signal(reset_less=True)
        space, room, step, item_done = Signal(), Signal(), Signal(), Signal()
        run_done, beat_done, request_done = Signal(), Signal(), Signal()

        def by_size(values):
            return sizes.choose(wide, list(values))

        # for one more, whatever entered last: known a cycle ahead, at the price of a place
        m.d.sync += space.eq(
            (beats.level < self._depth - 1) & (requests.level < _REQUESTS_AHEAD - 1)
        )
        low = exact_log2(self.request_beats)
        m.d.comb += [
            room.eq(~full | space),
            step.eq(active & self.items.valid & room),
            item_done.eq(by_size(part == count - 1 for count in sizes.parts)),
            self.items.ready.eq(active & room & item_done),
            run_done.eq(item_done & (left == 1)),
            beat_done.eq(
                run_done | by_size((position | (span - 1)) == slots - 1 for span in sizes.spans)
            ),
            request_done.eq(run_done | word[:low].all()),
        ]

        # where the pieces of an item go
        enable = Signal(slots)
        for k in range(slots):
            pieces = []
            for span, count in zip(sizes.spans, sizes.parts):
                piece = self.items.payload
                if count > 1:
                    piece = piece.word_select(part, 8 * bus)
                pieces.append(piece[8 * unit * (k % span):8 * unit * (k % span + 1)])
            m.d.comb += enable[k].eq(
                by_size(position >> exact_log2(span) == k // span for span in sizes.spans)
            )
            with m.If(step & enable[k]):
                m.d.sync += filled[k].eq(by_size(pieces))
        with m.If(step):
            m.d.sync += [
                strobe.eq(enable | (strobe & open_.replicate(slots))),
                open_.eq(~beat_done),
                ends.eq(request_done),
                full.eq(beat_done),
            ]
            if sizes.parts[-1] > 1:
                m.d.sync += part.eq(Mux(item_done, 0, part + 1))
            m.d.sync += [
                position.eq(position + by_size(sizes.spans)),
                left.eq(left - item_done),
                word.eq(word + beat_done),
            ]
        with m.Elif(room):
            m.d.sync += full.eq(0)

        m.d.comb += runs.o.ready.eq(~active | (step & run_done))
        with m.If(runs.o.ready):
            m.d.sync += [
                active.eq(runs.o.valid & (run.items != 0)),
                left.eq(run.items),
                word.eq(run.address[shift:]),
                position.eq(run.address[shift - slot_bits:shift]),
            ]
            if sizes.two:
                m.d.sync += wide.eq(run.wide)

        # the request that is being collected
        fresh = Signal(init=1)
        first = Signal(word.shape(), reset_less=True)
        count = Signal(range(self.request_beats + 1), reset_less=True)
        with m.If(step & beat_done):
            m.d.sync += [fresh.eq(request_done), count.eq(Mux(fresh, 1, count + 1))]
            with m.If(fresh):
                m.d.sync += first.eq(word)
        push = Signal()
        m.d.comb += [
            push.eq(full & ends & space),
            beats.i.valid.eq(full & space),
            beats.i.payload.data.eq(filled),
            beats.i.payload.strobe.eq(Cat(bit.replicate(unit) for bit in strobe)),
            requests.i.valid.eq(push),
            requests.i.payload.word.eq(first),
            requests.i.payload.beats.eq(count),
            runs.i.payload.eq(self.run.payload),
            runs.i.valid.eq(self.run.valid),
            self.run.ready.eq(runs.i.ready),
            self.memory.request.payload.address.eq(requests.o.payload.word << shift),
            self.memory.request.payload.beats.eq(requests.o.payload.beats),
            self.memory.request.valid.eq(requests.o.valid),
            requests.o.ready.eq(self.memory.request.ready),
        ]
        wiring.connect(m, beats.o, wiring.flipped(self.memory.data))

        outstanding = Signal(8)
        m.d.sync += outstanding.eq(outstanding + push - self.memory.done)
        m.d.comb += self.busy.eq(
            self.run.valid | runs.level.any() | active | full | outstanding.any()
        )
        return m
