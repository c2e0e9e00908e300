"""Reads runs of items from DRAM and delivers them one by one."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from ..streams.ports import ReadClient
from ..streams.queue import Queue
from ..streams.register import Skid
from .burst_splitter import BurstSplitter
from .run_sizes import RunSizes, check_power_of_two

__all__ = ["RunReader"]

_RUNS_AHEAD = 32


class RunReader(wiring.Component):
    """Turns runs (address, number of items) into a stream of items.

    Bus beats are asked for as soon as the queue has room for them, up to 32 runs ahead of the item
    that is delivered; each run begins with a beat of its own. A run of no items is ignored.

        run     address 0x1c, 7 items of 4 bytes           (bus beats of 16 bytes)
        beats   0x10: . . . 0   0x20: 1 2 3 4   0x30: 5 6 . .
        items   0 1 2 3 4 5 6                               one a cycle, the next run follows

    With two sizes, `item_bytes=(4, 16)`, the run says in `wide` which of them its items have; the
    narrow ones lie in the low bits of the payload, the rest has no meaning.

    To keep up with a memory that answers after L cycles, `depth` must exceed the beats that are
    consumed in about L + 50 cycles: 32 is ample for items of a quarter beat or less at
    L = 40; whole beats at full speed need 128.

    Latency and cost: 3 cycles from run to request, 3 from beat to item; an item a cycle (items
    wider than the bus: a beat a cycle), also across runs, as long as beats are there. About 360
    LUTs (108 of them RAM) with items of 4 bytes, 16-byte beats and depth 32; depth 64 takes
    90 more, depth 128 2 RAMB36 instead of the RAM.

    Parameters
    ----------
    config : AcceleratorConfig
    item_bytes : int or tuple of two int
        Size of an item, or (narrow, wide): powers of two, narrow <= wide; may exceed the bus.
    depth : int
        Bus beats of the queue, a power of two, at least 8. Requests are of a quarter of it, at most
        16 beats: short ones spread over the ports, so that the first data of a run come sooner.

    Members
    -------
    run : In(stream(run_request)), or of wide_run_request with two sizes
        Addresses are aligned to items (of the size that the run has).
    items : Out(stream(8 * item_bytes)), of the wide size if there are two
    memory : Out(ReadClient(config))
    """

    def __init__(self, config, item_bytes, depth=32):
        check_power_of_two("RunReader depth", depth, 8)
        self._config, self._item_bytes, self._depth = config, item_bytes, depth
        self._sizes = RunSizes(config, item_bytes, "RunReader")
        super().__init__(
            {
                "run": In(stream.Signature(self._sizes.request)),
                "items": Out(stream.Signature(8 * self._sizes.widest)),
                "memory": Out(ReadClient(config)),
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
        return min(16, self._depth // 4)

    def elaborate(self, platform):
        m = Module()
        shift, sizes = exact_log2(self._config.bus_bytes), self._sizes
        storage = "distributed" if self._depth <= 64 else "auto"
        m.submodules.words = words = Queue(
            8 * self._config.bus_bytes, self._depth, storage=storage
        )
        run = self.run.payload

        # beats of the run
        slot_bits = exact_log2(sizes.slots)
        position, some = Signal(slot_bits), Signal()
        factors = [span * count for span, count in zip(sizes.spans, sizes.parts)]
        beats = Signal(len(run.items) + exact_log2(factors[-1]) + 1)
        wide = run.wide if sizes.two else 0
        m.d.comb += [
            position.eq(run.address[shift - slot_bits:shift]),
            beats.eq(
                (sizes.choose(wide, [run.items << exact_log2(factor) for factor in factors])
                 + (position + (sizes.slots - 1))) >> slot_bits
            ),
            some.eq(run.items != 0),
        ]
        m.submodules.splitter = splitter = BurstSplitter(
            word_bits=self._config.address_bits - shift,
            count_bits=len(beats),
            size=self.request_beats,
        )
        m.d.comb += [
            splitter.i.payload.address.eq(run.address[shift:]),
            splitter.i.payload.beats.eq(beats),
        ]
        if sizes.slots == 1 and sizes.widest == sizes.unit:  # an item is a beat
            m.d.comb += [
                splitter.i.valid.eq(self.run.valid & some),
                self.run.ready.eq(splitter.i.ready),
            ]
            wiring.connect(m, words.o, wiring.flipped(self.items))
        else:
            layout = data.StructLayout(
                {"position": slot_bits, "items": len(run.items), "wide": int(sizes.two)}
            )
            m.submodules.runs = runs = Queue(layout, _RUNS_AHEAD, storage="distributed")
            m.d.comb += [
                runs.i.payload.position.eq(position),
                runs.i.payload.items.eq(run.items),
                runs.i.payload.wide.eq(wide),
                runs.i.valid.eq(self.run.valid & some & splitter.i.ready),
                splitter.i.valid.eq(self.run.valid & some & runs.i.ready),
                self.run.ready.eq(splitter.i.ready & runs.i.ready),
            ]
            self._extract(m, words, runs)
        self._request(m, splitter.o, words)
        return m

    def _request(self, m, pieces, words):
        """Requests leave once the queue has room for all that has been asked for."""
        shift = exact_log2(self._config.bus_bytes)
        # cuts the way of `ready` from the arbiter to whoever makes runs
        m.submodules.request = stage = Skid(self.memory.request.payload.shape())
        wiring.connect(m, stage.o, wiring.flipped(self.memory).request)
        request = stage.i
        free = Signal(range(self._depth + 1), init=self._depth)
        take = Signal()
        m.d.comb += [
            take.eq(
                pieces.valid & (free >= pieces.payload.beats) & (~request.valid | request.ready)
            ),
            pieces.ready.eq(take),
            words.i.valid.eq(self.memory.data.valid),
            words.i.payload.eq(self.memory.data.payload),
            self.memory.data.ready.eq(1),  # `free` has kept a place for it
        ]
        taken = pieces.payload.beats & take.replicate(len(pieces.payload.beats))
        freed = Signal()
        m.d.sync += [
            freed.eq(words.o.valid & words.o.ready),
            free.eq(free - taken + freed),
        ]
        address = Signal(pieces.payload.address.shape(), reset_less=True)
        beats = Signal(pieces.payload.beats.shape(), reset_less=True)
        m.d.comb += [
            request.payload.address.eq(address << shift),
            request.payload.beats.eq(beats),
        ]
        with m.If(take):
            m.d.sync += [
                address.eq(pieces.payload.address),
                beats.eq(pieces.payload.beats),
                request.valid.eq(1),
            ]
        with m.Elif(request.ready):
            m.d.sync += request.valid.eq(0)

    def _extract(self, m, words, runs):
        """Items from beats, or from several beats each."""
        sizes = self._sizes
        span, parts = sizes.spans[-1], sizes.parts[-1]
        left = Signal(runs.o.payload.items.shape(), reset_less=True)
        position = Signal(runs.o.payload.position.shape(), reset_less=True)
        wide = Signal(runs.o.payload.wide.shape(), reset_less=True)
        part = Signal(range(parts))
        active, step, whole, final = Signal(), Signal(), Signal(), Signal()
        slot = data.ArrayLayout(8 * sizes.unit, sizes.slots)
        word = Signal(slot)
        value = Signal(data.ArrayLayout(data.ArrayLayout(8 * sizes.unit, span), parts),
                       reset_less=True)
        m.d.comb += [
            word.as_value().eq(words.o.payload),
            step.eq(active & words.o.valid & (~self.items.valid | self.items.ready)),
            whole.eq(sizes.choose(wide, [part == count - 1 for count in sizes.parts])),
            final.eq(whole & (left == 1)),
            words.o.ready.eq(
                step & (final | sizes.choose(
                    wide, [(position | (count - 1)) == sizes.slots - 1 for count in sizes.spans]
                ))
            ),
            runs.o.ready.eq(~active | (step & final)),
            self.items.payload.eq(value),
        ]
        with m.If(step):
            m.d.sync += [
                left.eq(left - whole),
                position.eq(position + sizes.choose(wide, sizes.spans)),
                # wide items are aligned: their first slot is where a narrow one would be
                value[part][0].eq(word[position]),
                self.items.valid.eq(whole),
            ]
            aligned = position >> exact_log2(span)
            m.d.sync += [
                value[part][k].eq(words.o.payload.word_select(aligned, 8 * sizes.unit * span)
                                  .word_select(k, 8 * sizes.unit))
                for k in range(1, span)
            ]
            if parts > 1:
                m.d.sync += part.eq(Mux(whole, 0, part + 1))
        with m.Elif(self.items.ready):
            m.d.sync += self.items.valid.eq(0)
        with m.If(runs.o.ready):
            m.d.sync += [
                active.eq(runs.o.valid),
                left.eq(runs.o.payload.items),
                position.eq(runs.o.payload.position),
                wide.eq(runs.o.payload.wide),
            ]
