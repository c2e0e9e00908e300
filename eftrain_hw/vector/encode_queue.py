"""Encoder for operations that make one value a cycle, with its queues."""

from amaranth.hdl import C, Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..arith import VectorQuantise, flush
from .credit_queue import CreditQueue
from .ports import EncodePort

__all__ = ["EncodeQueue"]


class EncodeQueue(wiring.Component):
    """Encode vectors that leave a free-running pipeline, one value a cycle, and queue them.

    Room is reserved as in `CreditQueue`, for each value. Values come in vectors of `lanes`.

    Latency and cost: bfp8 `lanes` + 8 cycles, fp32 2; one value a cycle; about 120 LUT.
    Golden: `eftrain_hw.formats`.

    Parameters
    ----------
    config : AcceleratorConfig
    latency : int
        Cycles from `reserve` to `i_valid`.
    late : int
        As in `CreditQueue`.

    Members
    -------
    entrance : In(EncodePort)
    elements : Out(stream of one element)
    exponents : Out(stream of one byte a vector)
        Never valid where the format has none, nor of low digits.
    idle : Out(1)
    """

    def __init__(self, config, *, latency, late=0):
        self._config = config
        self._latency, self._late = latency, late
        super().__init__(
            {
                "entrance": In(EncodePort()),
                "elements": Out(stream.Signature(8 * config.element_bytes)),
                "exponents": Out(stream.Signature(8)),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        entrance = self.entrance
        lanes = self._config.lanes
        depth, encode = self._latency + self._late + 4, None
        if self._config.has_exponents:
            m.submodules.encode = encode = VectorQuantise(
                lanes=lanes, parallel=1, digits=2 if self._config.bfp16 else 1
            )
            depth += lanes + encode.latency
        m.submodules.queue = queue = CreditQueue(
            shape=8 * self._config.element_bytes, depth=depth, late=self._late
        )
        wiring.connect(m, wiring.flipped(self.elements), queue.o)
        if encode is None:
            m.d.comb += [
                queue.reserve.eq(entrance.reserve),
                entrance.room.eq(queue.room),
                queue.i_valid.eq(entrance.i_valid),
                queue.i.eq(flush(entrance.i)),
                self.idle.eq(queue.idle),
            ]
            return m

        m.submodules.exponent_queue = exponents = CreditQueue(
            shape=8, depth=depth // lanes + 4 + self._late, late=self._late
        )
        wiring.connect(m, wiring.flipped(self.exponents), exponents.o)
        low = C(0, 1)
        if self._config.bfp16:
            low = entrance.low
            m.d.comb += encode.low.eq(low)
        place = Signal(range(lanes))
        with m.If(entrance.reserve):
            m.d.sync += place.eq(place + 1)
        m.d.comb += [
            queue.reserve.eq(entrance.reserve),
            exponents.reserve.eq(entrance.reserve & (place == 0) & ~low),
            entrance.room.eq(queue.room & exponents.room),
            encode.i_valid.eq(entrance.i_valid),
            encode.i[0].eq(entrance.i),
            queue.i_valid.eq(encode.o_valid),
            queue.i.eq(Cat(encode.o)),
            exponents.i_valid.eq(encode.o_valid & encode.o_first & ~low),
            exponents.i.eq(encode.o_exponent),
            self.idle.eq(queue.idle & exponents.idle),
        ]
        return m
