"""From the beats that memory returns to pieces of vectors with their exponents."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from ..config import AcceleratorConfig
from ..streams.connect import connect_streams
from ..streams.queue import Queue
from .load_items import LoadSizes, chunk, piece, route

__all__ = ["LoadData"]

_QUEUE_BEATS = 32
_REQUESTS = 64
_CHUNKS = 32


class LoadData(wiring.Component):
    """Keeps exponents until their elements come, and cuts beats into vectors.

    Contract: a piece a cycle while data are there, without a gap between chunks. All data that
    were asked for are taken as long as the caller takes pieces: the elements of earlier exponents
    have come before later exponents, and the queue holds more than a chunk's exponents.

    Latency and cost: 3 cycles from a beat of elements to its piece. Two queues of 32 bus beats in
    LUT RAM (about 90 LUTs each with 16 bytes), two of requests, about 160 LUTs besides.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    data : In(stream(bus beat))
    routes : In(stream(route)), chunks : In(stream(chunk))
    pieces : Out(stream(piece))
    """

    def __init__(self, *, config):
        if not isinstance(config, AcceleratorConfig):
            raise TypeError(f"LoadData config must be an AcceleratorConfig, not {config!r}")
        self._config = config
        super().__init__(
            {
                "data": In(stream.Signature(8 * config.bus_bytes)),
                "routes": In(stream.Signature(route())),
                "chunks": In(stream.Signature(chunk(config))),
                "pieces": Out(stream.Signature(piece(config))),
            }
        )

    @property
    def config(self):
        return self._config

    def elaborate(self, platform):
        m = Module()
        config = self._config
        bits = 8 * config.bus_bytes
        assert LoadSizes(config).exponent_beats < _QUEUE_BEATS - 1
        m.submodules.routes = routes = Queue(route(), _REQUESTS, storage="distributed")
        m.submodules.chunks = chunks = Queue(chunk(config), _CHUNKS, storage="distributed")
        m.submodules.elements = elements = Queue(bits, _QUEUE_BEATS, storage="distributed")
        connect_streams(m, wiring.flipped(self.routes), routes.i)
        connect_streams(m, wiring.flipped(self.chunks), chunks.i)
        exponents = None
        if config.has_exponents:
            m.submodules.exponents = exponents = Queue(bits, _QUEUE_BEATS, storage="distributed")
        self._sort(m, routes.o, elements, exponents)
        self._cut(m, chunks.o, elements.o, exponents)
        return m

    def _sort(self, m, routes, elements, exponents):
        """Beats to their queue, by the order of the requests."""
        coming, left = Signal(), Signal(9, reset_less=True)
        to_exponents = Signal(reset_less=True)
        taken = Signal()
        # room for one more, whatever came last: known a cycle ahead, at the price of a place
        rooms = Signal(2)
        for room, queue in zip(rooms, (elements, exponents)):
            m.d.sync += room.eq(1 if queue is None else queue.level < _QUEUE_BEATS - 1)
        m.d.comb += [
            elements.i.payload.eq(self.data.payload),
            elements.i.valid.eq(taken & ~to_exponents),
            self.data.ready.eq(coming & Mux(to_exponents, rooms[1], rooms[0])),
            taken.eq(self.data.valid & self.data.ready),
            routes.ready.eq(~coming | (taken & (left == 1))),
        ]
        if exponents is not None:
            m.d.comb += [
                exponents.i.payload.eq(self.data.payload),
                exponents.i.valid.eq(taken & to_exponents),
            ]
        with m.If(taken):
            m.d.sync += left.eq(left - 1)
        with m.If(routes.ready):
            m.d.sync += [
                coming.eq(routes.valid),
                left.eq(routes.payload.beats),
                to_exponents.eq(routes.payload.exponents),
            ]

    def _cut(self, m, chunks, elements, exponents):
        """Pieces out of the two queues, one a cycle."""
        config, sizes = self._config, LoadSizes(self._config)
        bits = 8 * config.bus_bytes
        active, left = Signal(), Signal(sizes.chunk_bits, reset_less=True)
        bias = Signal(reset_less=True)
        part = Signal(range(max(sizes.beats, sizes.bias_beats)))
        share = Signal(range(max(sizes.shared, sizes.bias_shared)), reset_less=True)
        byte = Signal(range(config.bus_bytes), reset_less=True)
        output, valid = Signal(piece(config), reset_less=True), Signal()
        load, ends_vector, ends_chunk, ends_beat = Signal(), Signal(), Signal(), Signal()
        has_exponent = 1 if exponents is None else bias | exponents.o.valid
        m.d.comb += [
            load.eq((~valid | self.pieces.ready) & active & elements.valid & has_exponent),
            ends_vector.eq(part == Mux(bias, sizes.bias_beats - 1, sizes.beats - 1)),
            ends_chunk.eq(ends_vector & (left == 1)),
            ends_beat.eq(
                Mux(
                    bias,
                    share == sizes.bias_shared - 1 if sizes.bias_shared > 1 else 1,
                    share == sizes.shared - 1 if sizes.shared > 1 else 1,
                )
            ),
            elements.ready.eq(load & (ends_beat | ends_chunk)),
            chunks.ready.eq(~active | (load & ends_chunk)),
            self.pieces.valid.eq(valid),
            self.pieces.payload.eq(output),
        ]
        with m.If(~valid | self.pieces.ready):
            m.d.sync += valid.eq(load)
        with m.If(load):
            m.d.sync += [
                output.data.eq(elements.payload),
                part.eq(Mux(ends_vector, 0, part + 1)),
            ]
            with m.If(ends_vector):
                m.d.sync += [left.eq(left - 1), byte.eq(byte + 1)]
                if sizes.shared > 1 or sizes.bias_shared > 1:
                    m.d.sync += share.eq(Mux(ends_beat, 0, share + 1))
            if sizes.shared > 1:
                own = bits // sizes.shared
                shared = elements.payload.word_select(share[: exact_log2(sizes.shared)], own)
                with m.If(~bias):
                    m.d.sync += output.data[:own].eq(shared)
            if sizes.bias_shared > 1:
                own = bits // sizes.bias_shared
                with m.If(bias):
                    m.d.sync += output.data[:own].eq(elements.payload.word_select(share[0], own))
        with m.If(chunks.ready):
            given = chunks.payload
            m.d.sync += [
                active.eq(chunks.valid),
                bias.eq(given.bias),
                left.eq(given.vectors),
                share.eq(given.offset),
                byte.eq(given.exponent_offset),
            ]
            # the offset of a vector of biases has fewer bits than that of a shorter vector
            if 1 <= sizes.bias_shared < sizes.shared:
                with m.If(given.bias):
                    m.d.sync += share.eq(given.offset[: exact_log2(sizes.bias_shared)])

        if exponents is not None:
            ends_byte = (byte == config.bus_bytes - 1) | ends_chunk
            m.d.comb += exponents.o.ready.eq(load & ~bias & ends_vector & ends_byte)
            with m.If(load):
                m.d.sync += output.exponent.eq(exponents.o.payload.word_select(byte, 8))
