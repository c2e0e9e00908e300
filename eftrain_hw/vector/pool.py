"""Max pooling, forward and backward."""

from amaranth.hdl import C, Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .commands import POOL_FORWARD
from .credit_queue import CreditQueue
from .pool_backward import PoolBackward
from .pool_buffer import PoolBuffer
from .pool_forward import PoolForward
from .pool_runs import PoolRuns
from .ports import ReadPort, WritePort, pool_item_bytes, read_item_bytes, write_item_bytes

__all__ = ["Pool"]

_QUEUE = 16  # places: more than the latency of either direction


def _writes(config):
    """Numbers of the writers."""
    return (0, 1, 2, 3) if config.bfp16 else (0, 1, 3)


class Pool(wiring.Component):
    """Max pooling with its index, stride = kernel, and its gradient::

        read0, read2 -> PoolBuffer -> PoolForward  -> write0, write1, write3
        (bfp16: and read1                             and write2)
        read0 .. 2   -> PoolBuffer -> PoolBackward -> write0, write3

    A vector (or a bus beat of a longer one) a cycle. Two rows of windows (forward) or of the pooled
    map (backward) are in the buffer at once, so that loading and working overlap. The compiler sees
    to it that, in beats, kernel_height * width <= pool_words / 2 (with low digits, which lie where
    indices would: pool_words / 4) and out_width <= pool_words / 4.

    Latency and cost: about 80 cycles and two rows of windows before the first result; about 1900
    LUT, 6 RAMB36 and a RAMB18 with beats of 16 bytes (bfp8).
    Golden: `eftrain_hw.golden.maxpool_forward`, `maxpool_backward`.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    command : In(stream of POOL_FORWARD.struct)
        POOL_BACKWARD has the same fields.
    backward : In(1)
        What the command is, beside it.
    read0, read1, read2 : Out(ReadPort)
        Elements, indices (backward) or low digits (forward), exponents.
    write0, write1, write3 : Out(WritePort)
        Elements, indices (forward), exponents.
    write2 : Out(WritePort)
        With `config.bfp16`: low digits (forward).
    busy : Out(1)
    """

    def __init__(self, config):
        self._config = config
        reads, writes = read_item_bytes(config), write_item_bytes(config)
        super().__init__(
            {
                "command": In(stream.Signature(POOL_FORWARD.struct)),
                "backward": In(1),
                **{f"read{k}": Out(ReadPort(config, reads[k])) for k in range(3)},
                **{f"write{k}": Out(WritePort(config, writes[k])) for k in _writes(config)},
                "busy": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        beat = 8 * pool_item_bytes(config)
        indices = beat // config.element_bytes
        m.submodules.runs = runs = PoolRuns(config)
        m.submodules.buffer = buffer = PoolBuffer(config)
        m.submodules.forward = forward = PoolForward(config)
        m.submodules.backward = backward = PoolBackward(config)
        m.submodules.elements = elements = CreditQueue(shape=beat, depth=_QUEUE)
        m.submodules.indices = places = CreditQueue(shape=indices, depth=_QUEUE)
        m.submodules.exponents = exponents = CreditQueue(shape=8, depth=_QUEUE)

        # command
        c = Signal(POOL_FORWARD.struct, reset_less=True)
        back, loaded, left = Signal(), Signal(), Signal()
        planes, rows = Signal(32, reset_less=True), Signal(16, reset_less=True)
        take, start, working = Signal(), Signal(), Signal()
        queues, wide = [elements, places, exponents], C(0, 1)
        if config.bfp16:
            m.submodules.lows = lows = CreditQueue(shape=beat, depth=_QUEUE)
            queues.append(lows)
            wide = c.wide & ~back
        quiet = ~left & ~runs.busy & Cat(queue.idle for queue in queues).all()
        m.d.comb += [
            take.eq(self.command.valid & self.command.ready),
            self.command.ready.eq(quiet),
            self.busy.eq(take | ~quiet),
            runs.command.eq(c),
            runs.backward.eq(back),
            runs.start.eq(loaded),
            forward.command.eq(c),
            backward.command.eq(c),
        ]
        prepared = Signal()
        m.d.sync += [loaded.eq(take), prepared.eq(runs.ready & ~loaded)]
        m.d.comb += start.eq(runs.ready & ~prepared & left)
        with m.If(take):
            m.d.sync += [c.eq(self.command.payload), back.eq(self.backward), left.eq(1)]
        with m.If(start):
            m.d.sync += working.eq(1)

        # planes are left
        plane_done = Mux(back, backward.plane_done, forward.band_done & (rows == 1))
        with m.If(forward.band_done):
            m.d.sync += rows.eq(Mux(rows == 1, c.out_height, rows - 1))
        with m.If(plane_done):
            m.d.sync += planes.eq(planes - 1)
            with m.If(planes == 1):
                m.d.sync += [left.eq(0), working.eq(0)]
        with m.If(loaded):
            m.d.sync += [planes.eq(c.planes), rows.eq(c.out_height)]

        # source
        for name in ("read0", "read1", "read2", *(f"write{k}" for k in _writes(config))):
            wiring.connect(m, wiring.flipped(getattr(self, name).run), getattr(runs, name))
        m.d.comb += [
            buffer.start.eq(start),
            buffer.working.eq(working),
            buffer.backward.eq(back),
            buffer.wide.eq(wide),
            buffer.band.eq(Mux(back, c.out_width, runs.band)),
        ]
        for port, items in (
            (self.read0.items, buffer.elements),
            (self.read1.items, buffer.indices),
            (self.read2.items, buffer.exponents),
        ):
            m.d.comb += [
                items.valid.eq(port.valid),
                items.payload.eq(port.payload),
                port.ready.eq(items.ready),
            ]

        # work
        room = Cat(queue.room for queue in queues).all()
        for unit, chosen in ((forward, ~back), (backward, back)):
            m.d.comb += [
                unit.start.eq(start),
                unit.working.eq(working & chosen),
                unit.word.eq(buffer.word),
                unit.full.eq(buffer.full),
                unit.room.eq(room),
            ]
            with m.If(chosen):
                m.d.comb += [
                    buffer.address.eq(unit.address),
                    buffer.release.eq(unit.release),
                    elements.reserve.eq(unit.reserve),
                    elements.i_valid.eq(unit.o_valid),
                    elements.i.eq(unit.o_elements),
                    exponents.reserve.eq(unit.reserve_exponent),
                    exponents.i_valid.eq(unit.o_exponent_valid),
                    exponents.i.eq(unit.o_exponent),
                ]
        m.d.comb += [
            buffer.scan_address.eq(forward.scan_address),
            buffer.scan_release.eq(forward.scan_release),
            forward.scan_exponent.eq(buffer.scan_exponent),
            forward.scan_full.eq(buffer.scan_full),
            backward.indices_word.eq(buffer.indices_word),
            places.reserve.eq(forward.reserve),
            places.i_valid.eq(forward.o_valid),
            places.i.eq(forward.o_indices),
        ]
        if config.bfp16:
            m.d.comb += [
                forward.low_word.eq(buffer.indices_word),
                lows.reserve.eq(forward.reserve & wide),
                lows.i_valid.eq(forward.o_valid & wide),
                lows.i.eq(forward.o_low),
            ]

        # results
        for queue, k in zip(queues, (0, 1, 3, 2)):
            port = getattr(self, f"write{k}")
            m.d.comb += [
                port.items.valid.eq(queue.o.valid),
                port.items.payload.eq(queue.o.payload),
                queue.o.ready.eq(port.items.ready),
            ]
        return m
