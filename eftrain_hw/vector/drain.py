"""From accumulators to DRAM: ReLU or its mask, encoding, store."""

from amaranth.hdl import C, Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..arith import VectorQuantise, is_positive
from ..arith.pipeline import delay
from ..streams.ports import AccumulatorRead, run_request
from .commands import DRAIN
from .credit_queue import CreditQueue
from .drain_runs import DrainRuns
from .drain_walk import DrainWalk
from .ports import item_run

__all__ = ["Drain"]


class Drain(wiring.Component):
    """Read the sums of a tile, apply ReLU or its mask, encode them and store the vectors.

    `drain_lanes` values a cycle, without a gap between vectors, runs and commands, as long as the
    writers take them; a change between raw and encoded values, or a bank to acquire, costs some
    cycles. A command that acquires is taken when its bank is there: a drain that is busy never
    waits for the array. The order is block, image, position; each (block, image) is one run of each
    kind::

        command -> DrainRuns ---------------------------------> element_run, exponent_run, mask_run
                -> DrainWalk -> accumulator -> gate -> encode -> element_items, exponent_items
                                 mask_items ----^

    Latency and cost: `accumulator_latency` + 10 cycles and `lanes / drain_lanes` to the first item;
    about 930 LUT and 150 of distributed RAM for 4 drain lanes (bfp8).
    Golden: docs/numerics.md, "Output of a tile"; `eftrain_hw.formats`.

    Parameters
    ----------
    config : AcceleratorConfig
    accumulator_latency : int
        Cycles from `accumulator.position` to `accumulator.values`, at least 1.

    Members
    -------
    command : In(stream of DRAIN.struct)
    accumulator : Out(AccumulatorRead)
    accumulator_full : In(1)
        Level: the bank that this side's pointer refers to has been handed over.
    accumulator_release : Out(1)
        Pulse: that bank is given back, and the pointer goes on to the other one.
    element_run, element_items : Out(streams)
        Payloads `item_run` and `drain_lanes` elements: binary32 where `wide`, otherwise of the
        compute format in the low bits.
    exponent_run, exponent_items : Out(streams)
        One byte a vector; unused where the format has no exponents or values are raw.
    mask_run : Out(stream), mask_items : In(stream)
        `drain_lanes` elements of the compute format an item.
    nonfinite : Out(1)
        Pulse: an infinity or a NaN was read, before ReLU or the mask.
    busy : Out(1)
        From the cycle in which a command is taken until its last item has been handed over.

    Raises
    ------
    TypeError, ValueError
    """

    def __init__(self, config, *, accumulator_latency):
        if not isinstance(accumulator_latency, int) or isinstance(accumulator_latency, bool):
            raise TypeError(
                f"Drain accumulator_latency must be an int, not {accumulator_latency!r}"
            )
        if accumulator_latency < 1:
            raise ValueError(
                f"Drain accumulator_latency must be at least 1, not {accumulator_latency!r}"
            )
        self._config = config
        self._accumulator_latency = accumulator_latency
        lanes = config.drain_lanes
        super().__init__(
            {
                "command": In(stream.Signature(DRAIN.struct)),
                "accumulator": Out(AccumulatorRead(config)),
                "accumulator_full": In(1),
                "accumulator_release": Out(1),
                "element_run": Out(stream.Signature(item_run(config))),
                "element_items": Out(stream.Signature(32 * lanes)),
                "exponent_run": Out(stream.Signature(run_request(config))),
                "exponent_items": Out(stream.Signature(8)),
                "mask_run": Out(stream.Signature(run_request(config))),
                "mask_items": In(stream.Signature(8 * config.element_bytes * lanes)),
                "nonfinite": Out(1),
                "busy": Out(1),
            }
        )

    @property
    def config(self):
        return self._config

    @property
    def accumulator_latency(self):
        return self._accumulator_latency

    def elaborate(self, platform):
        m = Module()
        config = self._config
        lanes, beats = config.drain_lanes, config.lanes // config.drain_lanes
        latency = self._accumulator_latency
        encode = None
        depth = latency + 8
        if config.has_exponents:
            encode = VectorQuantise(
                lanes=config.lanes, parallel=lanes, digits=2 if config.bfp16 else 1
            )
            depth += encode.latency + beats
        m.submodules.runs = runs = DrainRuns(config)
        m.submodules.walk = walk = DrainWalk(config)
        m.submodules.elements = elements = CreditQueue(shape=32 * lanes, depth=depth)
        m.submodules.exponents = exponents = CreditQueue(shape=8, depth=depth)

        # command: one that acquires a bank is taken when the bank is there, so that `busy` is work
        take = self.command.valid & self.command.ready
        granted = ~self.command.payload.acquire | (self.accumulator_full & ~walk.busy)
        m.d.comb += [
            self.command.ready.eq(~runs.busy & walk.room & granted),
            runs.start.eq(take),
            runs.command.eq(self.command.payload),
            walk.start.eq(take),
            walk.command.eq(self.command.payload),
        ]
        wiring.connect(m, wiring.flipped(self.element_run), runs.element_run)
        wiring.connect(m, wiring.flipped(self.exponent_run), runs.exponent_run)
        wiring.connect(m, wiring.flipped(self.mask_run), runs.mask_run)

        # read a group of rows: its places in the queues are reserved, its mask is here
        raw, step = Signal(), Signal()
        encoded = ~walk.raw if config.has_exponents else C(0, 1)
        m.d.comb += step.eq(
            walk.want
            & elements.room
            & (~encoded | exponents.room)
            & (~walk.mask | self.mask_items.valid)
            & ((walk.raw == raw) | elements.idle)
        )
        with m.If(step):
            m.d.sync += raw.eq(walk.raw)
        m.d.comb += [
            walk.step.eq(step),
            self.mask_items.ready.eq(step & walk.mask),
            elements.reserve.eq(step),
            exponents.reserve.eq(step & encoded & walk.first & ~walk.low),
            self.accumulator.bank.eq(walk.bank),
            self.accumulator.position.eq(walk.position),
            self.accumulator.group.eq(walk.group),
            walk.full.eq(self.accumulator_full),
            self.accumulator_release.eq(walk.release),
        ]

        # gate: ReLU, mask
        kept = Cat(~walk.mask | self._mask_bit(k) for k in range(lanes))
        arrived = step
        for stage in range(1 + latency):
            late = Signal(name=f"arrived_{stage + 1}")
            m.d.sync += late.eq(arrived)
            arrived = late
        kept = delay(m, kept, 1 + latency, name="kept")
        relu = delay(m, walk.relu, 1 + latency, name="relu")
        gated = Signal(data.ArrayLayout(32, lanes), reset_less=True)
        valid, infinite = Signal(), Signal(lanes, reset_less=True)
        m.d.sync += valid.eq(arrived)
        for k, value in enumerate(self.accumulator.values):
            pass_on = kept[k] & (~relu | is_positive(value))
            m.d.sync += [
                gated[k].eq(Mux(pass_on, value, 0)),
                infinite[k].eq(value[23:31].all()),
            ]
        m.d.sync += self.nonfinite.eq(valid & infinite.any())

        # encode, store
        m.d.comb += [elements.i_valid.eq(valid), elements.i.eq(gated)]
        if encode is not None:
            m.submodules.encode = encode
            m.d.comb += [
                encode.i_valid.eq(valid & ~raw),
                encode.i.eq(gated),
                exponents.i_valid.eq(encode.o_valid & encode.o_first),
                exponents.i.eq(encode.o_exponent),
            ]
            if config.bfp16:
                m.d.comb += encode.low.eq(delay(m, walk.low, 2 + latency, name="low"))
                with m.If(encode.o_low):
                    m.d.comb += exponents.i_valid.eq(0)
            with m.If(~raw):
                m.d.comb += [elements.i_valid.eq(encode.o_valid), elements.i.eq(Cat(encode.o))]
        wiring.connect(m, wiring.flipped(self.element_items), elements.o)
        wiring.connect(m, wiring.flipped(self.exponent_items), exponents.o)

        idle = elements.idle & exponents.idle
        m.d.comb += self.busy.eq(take | runs.busy | walk.busy | ~idle)
        return m

    def _mask_bit(self, lane):
        element = self.mask_items.payload.word_select(lane, 8 * self._config.element_bytes)
        if self._config.element_bytes == 4:
            return is_positive(element)
        return ~element[-1] & element.any()
