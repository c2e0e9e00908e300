"""Read requests for the parts of a tile that lie in DRAM."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from ..config import AcceleratorConfig
from ..streams.connect import connect_streams
from ..streams.ports import read_request
from ..streams.register import Register
from .load_items import LoadSizes, chunk, route, run_item

__all__ = ["LoadRequests"]


class LoadRequests(wiring.Component):
    """Cuts runs into chunks and asks for each: first its exponents, then its elements.

    Contract: runs that follow each other without a gap (rows as wide as the map) are one run. The
    chunks of a run are `LoadSizes.chunk` vectors long, but for the last. Nothing outside the bus
    beats of the runs' vectors is asked for.

    Latency and cost: 2 cycles from a run to its first request, then a request a cycle; rows that
    are joined take a cycle each. About 330 LUTs, no DSP.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    runs : In(stream(run_item))
    request : Out(stream(read_request))
    routes : Out(stream(route))
        One for each request, before its data.
    chunks : Out(stream(chunk))
        One for each chunk, with the request for its elements.
    """

    def __init__(self, *, config):
        if not isinstance(config, AcceleratorConfig):
            raise TypeError(f"LoadRequests config must be an AcceleratorConfig, not {config!r}")
        self._config = config
        super().__init__(
            {
                "runs": In(stream.Signature(run_item())),
                "request": Out(stream.Signature(read_request(config))),
                "routes": Out(stream.Signature(route())),
                "chunks": Out(stream.Signature(chunk(config))),
            }
        )

    @property
    def config(self):
        return self._config

    def elaborate(self, platform):
        m = Module()
        config, sizes = self._config, LoadSizes(self._config)
        m.submodules.register = register = Register(read_request(config))
        connect_streams(m, register.o, wiring.flipped(self.request))

        run = Signal(run_item(), reset_less=True)
        active, joined = Signal(), Signal(reset_less=True)
        vector, row_vector = Signal(32, reset_less=True), Signal(32, reset_less=True)
        available, rows = Signal(17, reset_less=True), Signal(16, reset_less=True)

        # the next chunk: the first `count` of the `available` vectors
        count, full, gather = Signal(sizes.chunk_bits), Signal(), Signal()
        limit = self._choose(run.bias, sizes.bias_chunk, sizes.chunk)
        m.d.comb += [
            full.eq(
                self._choose(
                    run.bias,
                    available[exact_log2(sizes.bias_chunk):] != 0,
                    available[exact_log2(sizes.chunk):] != 0,
                )
            ),
            count.eq(Mux(full, limit, available)),
            gather.eq(joined & (rows != 0) & ~full),
        ]

        # its exponents, then its elements
        elements, asked, room = Signal(), Signal(), Signal()
        fire, ends_chunk, more, ends_run = Signal(), Signal(), Signal(), Signal()
        exponent_beats = _beats(vector, count, 1, config.bus_bytes)
        element_beats = self._choose(
            run.bias,
            _beats(vector, count, sizes.bias_beats, sizes.bias_shared),
            _beats(vector, count, sizes.beats, sizes.shared),
        )
        scaled = self._choose(
            run.bias,
            vector << exact_log2(4 * config.lanes),
            vector << exact_log2(config.vector_bytes),
        )
        address = Signal(config.address_bits)
        if config.has_exponents:
            m.d.comb += elements.eq(asked | run.bias)
            with m.If(fire):
                m.d.sync += asked.eq(~elements)
        else:
            m.d.comb += elements.eq(1)
        m.d.comb += [
            address.eq(
                (Mux(elements, run.base, run.exponent_base) << 6) + Mux(elements, scaled, vector)
            ),
            register.i.payload.address[exact_log2(config.bus_bytes):].eq(
                address[exact_log2(config.bus_bytes):]
            ),
            register.i.payload.beats.eq(Mux(elements, element_beats, exponent_beats)),
            room.eq(active & ~gather & register.i.ready),
            fire.eq(room & self.routes.ready & (self.chunks.ready | ~elements)),
            register.i.valid.eq(fire),
            self.routes.valid.eq(room & (self.chunks.ready | ~elements)),
            self.routes.payload.exponents.eq(~elements),
            self.routes.payload.beats.eq(register.i.payload.beats),
            self.chunks.valid.eq(room & self.routes.ready & elements),
            self.chunks.payload.bias.eq(run.bias),
            self.chunks.payload.vectors.eq(count),
            self.chunks.payload.offset.eq(vector),
            self.chunks.payload.exponent_offset.eq(vector),
            ends_chunk.eq(fire & elements),
            more.eq(full & (available != limit)),
            ends_run.eq(ends_chunk & ~more & (rows == 0)),
            self.runs.ready.eq(~active | ends_run),
        ]

        row_start = row_vector + run.stride
        with m.If(gather | (ends_chunk & ~more)):
            m.d.sync += [rows.eq(rows - 1), row_vector.eq(row_start)]
        with m.If(gather):
            m.d.sync += available.eq(available + run.columns)
        with m.Elif(ends_chunk):
            with m.If(more):
                m.d.sync += [vector.eq(vector + count), available.eq(available - limit)]
            with m.Else():
                m.d.sync += [vector.eq(row_start), available.eq(run.columns)]

        given = self.runs.payload
        with m.If(self.runs.ready):
            m.d.sync += active.eq(self.runs.valid)
            m.d.sync += [
                run.eq(given),
                joined.eq(given.columns == given.stride),
                vector.eq(given.vector),
                row_vector.eq(given.vector),
                available.eq(given.columns),
                rows.eq(given.rows - 1),
            ]
        return m

    def _choose(self, bias, for_bias, otherwise):
        """A multiplexer, where biases and other vectors differ."""
        return otherwise if not self._config.has_exponents else Mux(bias, for_bias, otherwise)


def _beats(vector, count, beats, shared):
    """Bus beats that `count` vectors from index `vector` on touch."""
    if beats > 1:
        return count << exact_log2(beats)
    low = exact_log2(shared)
    return (vector[:low] + count + shared - 1)[low:]
