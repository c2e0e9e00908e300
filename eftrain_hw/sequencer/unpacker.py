"""Reads a packed layer program and gives the descriptors' words to the fetch."""

from amaranth.hdl import Array, C, Cat, Module, Mux, ResetInserter, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..config import AcceleratorConfig
from ..streams.ports import ReadClient
from ..streams.queue import Queue
from .program_format import PACKED_GROUP, PACKED_SIZES, REQUEST_BEATS

__all__ = ["ProgramUnpacker"]

_DEPTH = 2 * REQUEST_BEATS


class ProgramUnpacker(wiring.Component):
    """Stands between the fetch and the memory: the program is read once, from front to back.

    Contract: `fetch.data` are the words of the descriptors one behind the other, as many beats as
    were asked for, whatever the addresses. Nothing beyond the program's own length is read. A
    packed program is described in `program_format`; each descriptor takes whole beats of words,
    and a line at least.

        window   | b7 b6 b5 b4 b3 b2 b1 b0 |  --> 0, 1, 2 or 4 bytes a word, 4 for 16 words' sizes
                             ^ four bytes come in behind those that are left

    Latency and cost: a word a cycle, but for one cycle in 17; two round trips to the first. 568
    LUT with 16-byte beats (88 of them RAM), 531 with 8; 444 and 316 FF; no block RAM.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    start : In(1)
        Pulse; forgets what was left of the program before.
    program_address : In(address_bits)
        Byte address of a line, read at `start`.
    fetch : In(ReadClient)
    memory : Out(ReadClient)
    """

    def __init__(self, config):
        if not isinstance(config, AcceleratorConfig):
            raise TypeError(f"ProgramUnpacker config must be an AcceleratorConfig, not {config!r}")
        self._config = config
        super().__init__(
            {
                "start": In(1),
                "program_address": In(config.address_bits),
                "fetch": In(ReadClient(config)),
                "memory": Out(ReadClient(config)),
            }
        )

    @property
    def config(self):
        return self._config

    def elaborate(self, platform):
        m = Module()
        beat_words = self._config.bus_bytes // 4
        queue = Queue(8 * self._config.bus_bytes, _DEPTH)
        m.submodules.queue = ResetInserter(self.start)(queue)
        m.d.comb += [
            queue.i.payload.eq(self.memory.data.payload),
            queue.i.valid.eq(self.memory.data.valid),
            self.memory.data.ready.eq(1),  # there is room for what was asked for
        ]

        # the program word by word; its first one is its length in beats
        place, take = Signal(range(beat_words)), Signal()
        word, known = Signal(32), Signal()
        m.d.comb += [
            word.eq(queue.o.payload.word_select(place, 32)),
            queue.o.ready.eq(take & (place == beat_words - 1)),
        ]
        with m.If(take):
            m.d.sync += [place.eq(place + 1), known.eq(1)]
        self._read(m, queue, word, take & ~known)

        # the window: `used` bytes leave, a word comes in behind the others
        window, count = Signal(64, reset_less=True), Signal(range(9))
        used, rest = Signal(3), Signal(range(9))
        kept, comes = Signal(64), Signal()
        m.d.comb += [
            rest.eq(count - used),
            comes.eq(take & known),
            take.eq(queue.o.valid & (~known | (count <= 4))),
            kept.eq(
                Array([window, window >> 8, window >> 16, window >> 16, window >> 32])[used]
            ),
        ]
        m.d.sync += [
            count.eq(rest + Mux(comes, 4, 0)),
            window.eq(kept),
        ]
        with m.If(comes):
            shifted = Array([word << 8 * n for n in range(5)])
            mask = Array([C((1 << 8 * n) - 1, 64) for n in range(5)])
            m.d.sync += window.eq(kept & mask[rest] | shifted[rest])

        self._decode(m, window, count, used, beat_words)
        with m.If(self.start):
            m.d.sync += [place.eq(0), known.eq(0), count.eq(0)]
        return m

    def _read(self, m, queue, word, is_length):
        """Requests: one beat, then the rest of the program in small ones."""
        shift = (self._config.bus_bytes - 1).bit_length()
        address = Signal(self._config.address_bits, reset_less=True)
        left, beats = Signal(20), Signal(range(REQUEST_BEATS + 1))
        held = Signal(range(_DEPTH + 1))  # asked for, and not yet out of the queue
        request = self.memory.request
        asks = request.valid & request.ready
        leaves = queue.o.valid & queue.o.ready
        m.d.comb += [
            beats.eq(Mux(left > REQUEST_BEATS, REQUEST_BEATS, left)),
            request.payload.address.eq(address),
            request.payload.beats.eq(beats),
            request.valid.eq((left != 0) & (held <= _DEPTH - REQUEST_BEATS)),
        ]
        m.d.sync += held.eq(held + Mux(asks, beats, 0) - leaves)
        with m.If(asks):
            m.d.sync += [left.eq(left - beats), address.eq(address + (beats << shift))]
        with m.If(is_length):
            m.d.sync += left.eq(word - 1)
        with m.If(self.start):
            m.d.sync += [left.eq(1), held.eq(0), address.eq(self.program_address[6:] << 6)]

    def _decode(self, m, window, count, used, beat_words):
        """Sizes of 16 words, then these words; beats as many as the fetch has asked for."""
        sizes, words_left = Signal(32, reset_less=True), Signal(range(PACKED_GROUP + 1))
        owed = Signal(range(self._config.descriptor_words // beat_words + 1))
        lane = Signal(range(beat_words))
        parts = [Signal(32, name=f"part_{k}", reset_less=True) for k in range(beat_words)]
        full, makes, loads = Signal(), Signal(), Signal()
        size = Array([C(n, 3) for n in PACKED_SIZES])[sizes[:2]]
        value = Array([C(0, 32), window[:8], window[:16], window[:32]])[sizes[:2]]
        request, data = self.fetch.request, self.fetch.data
        m.d.comb += [
            request.ready.eq(1),
            loads.eq((words_left == 0) & (count >= 4)),
            makes.eq((words_left != 0) & (count >= size) & (owed != 0) & (~full | data.ready)),
            used.eq(Mux(loads, 4, Mux(makes, size, 0))),
            data.valid.eq(full),
            data.payload.eq(Cat(parts)),
        ]
        ends = makes & (lane == beat_words - 1)
        m.d.sync += owed.eq(
            owed + Mux(request.valid, request.payload.beats, 0) - ends
        )
        with m.If(loads):
            m.d.sync += [sizes.eq(window[:32]), words_left.eq(PACKED_GROUP)]
        with m.If(data.ready):
            m.d.sync += full.eq(0)
        with m.If(makes):
            m.d.sync += [
                sizes.eq(sizes >> 2),
                words_left.eq(words_left - 1),
                lane.eq(lane + 1),
                full.eq(ends),
            ]
        for k, part in enumerate(parts):
            with m.If(makes & (lane == k)):
                m.d.sync += part.eq(value)
        with m.If(self.start):
            m.d.sync += [words_left.eq(0), owed.eq(0), lane.eq(0), full.eq(0)]
