"""SGD with momentum."""

from amaranth.hdl import C, Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from ..arith.pipeline import delay
from .commands import UPDATE
from .multiply_add import MultiplyAdd
from .ports import (
    EncodePort,
    MacPort,
    ReadPort,
    ResultPort,
    RunPort,
    bytes_of_lines,
    item_run,
    offer,
    read_item_bytes,
    write_item_bytes,
)

__all__ = ["Update"]


class Update(wiring.Component):
    """v = momentum * v + g, w = w - lr * v, and the compute copy of w; a parameter a cycle.

    With `low` (`config.bfp16`) it only reads w, and writes the copy's low digits.

    The two multiply-add pipelines and the encoder are the vector unit's. Reads gradient, momentum
    and master weights through readers 0 to 2, writes momentum, master weights, copy and exponents
    through writers 0 to 3; all are runs of up to `CHUNK * lanes` items.

    Latency and cost: 32 cycles from a parameter to its master weight; about 220 LUT.
    Golden: `eftrain_hw.golden.sgd`.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    command : In(stream of UPDATE.struct)
    learning_rate, momentum : In(32)
        Raw binary32; stable while busy.
    read0, read1, read2 : Out(ReadPort)
    write0, write1 : Out(RunPort), result0, result1 : Out(ResultPort)
    element_run, exponent_run : Out(stream of item_run)
        Where writers 2 and 3 put what leaves the encoder.
    mac0, mac1 : Out(MacPort)
    encode : Out(EncodePort)
    busy : Out(1)
    """

    CHUNK = 1 << 16
    """Vectors of a run, a power of two: its item count has 24 bits."""

    ENCODE_LATENCY = 2 * MultiplyAdd.LATENCY
    """Cycles from `encode.reserve` to `encode.i_valid`."""

    def __init__(self, config):
        self._config = config
        super().__init__(
            {
                "command": In(stream.Signature(UPDATE.struct)),
                "learning_rate": In(32),
                "momentum": In(32),
                **{f"read{k}": Out(ReadPort(config, (4,))) for k in range(3)},
                **{f"write{k}": Out(RunPort(config)) for k in range(2)},
                **{f"result{k}": Out(ResultPort()) for k in range(2)},
                "element_run": Out(stream.Signature(item_run(config))),
                "exponent_run": Out(stream.Signature(item_run(config))),
                "mac0": Out(MacPort()),
                "mac1": Out(MacPort()),
                "encode": Out(EncodePort()),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        latency, lanes = MultiplyAdd.LATENCY, self._config.lanes
        velocity, master = self.result0, self.result1
        bfp16 = self._config.bfp16

        # command
        c = Signal(UPDATE.struct, reset_less=True)
        working = Signal()
        left = Signal(32, reset_less=True)
        take = self.command.valid & self.command.ready
        announcing = self._announce(m, c, take)
        place = Signal(range(lanes))
        quiet = ~working & ~announcing & velocity.idle & master.idle
        m.d.comb += [self.command.ready.eq(quiet), self.busy.eq(take | ~quiet)]

        # start a parameter
        step, low = Signal(), c.low if bfp16 else C(0, 1)
        reads = (self.read0, self.read1, self.read2)
        m.d.comb += [
            step.eq(
                working
                & (self.read0.items.valid & self.read1.items.valid | low)
                & self.read2.items.valid
                & velocity.room
                & master.room
                & (~c.copy | self.encode.room)
            ),
            *(read.items.ready.eq(step) for read in reads),
            velocity.reserve.eq(step & ~low),
            master.reserve.eq(step & ~low),
            self.encode.reserve.eq(step & c.copy),
            self.encode.low.eq(low),
        ]
        with m.If(step):
            m.d.sync += place.eq(place + 1)
            with m.If(place == lanes - 1):
                m.d.sync += [left.eq(left - 1), working.eq(left != 1)]
        with m.If(take):
            m.d.sync += [
                c.eq(self.command.payload),
                left.eq(self.command.payload.vectors),
                working.eq(self.command.payload.vectors != 0),
            ]

        # v = momentum * v + g, w = -lr * v + w
        gradient, old_velocity, weight = (read.items.payload for read in reads)
        m.d.comb += [
            self.mac0.a.eq(self.momentum),
            self.mac0.b.eq(old_velocity),
            self.mac0.c.eq(gradient),
            self.mac1.a.eq(Mux(low, 0, self.learning_rate ^ (1 << 31))),
            self.mac1.b.eq(Mux(low, 0, self.mac0.o)),
            self.mac1.c.eq(delay(m, weight, latency, name="weight")),
        ]
        valid = [step]
        for stage in range(2 * latency):
            late = Signal(name=f"valid_{stage + 1}")
            m.d.sync += late.eq(valid[-1])
            valid.append(late)
        m.d.comb += [
            velocity.i_valid.eq(valid[latency] & ~low),
            velocity.i.eq(self.mac0.o),
            master.i_valid.eq(valid[2 * latency] & ~low),
            master.i.eq(self.mac1.o),
            self.encode.i_valid.eq(valid[2 * latency] & c.copy),
            self.encode.i.eq(self.mac1.o),
        ]
        return m

    def _announce(self, m, c, take):
        """Offer the runs of every chunk of the command; returns whether some are left."""
        config = self._config
        lanes, size = exact_log2(config.lanes), config.element_bytes
        parameters, copies = lanes + 2, exact_log2(config.vector_bytes)
        chunk, left = Signal(32, reset_less=True), Signal(32, reset_less=True)
        walking = Signal()
        copy, all_of_it = c.copy, ~c.low if config.bfp16 else C(1, 1)
        plan = [
            (self.read0.run, c.gradient, parameters, lanes, 4, all_of_it),
            (self.read1.run, c.momentum, parameters, lanes, 4, all_of_it),
            (self.read2.run, c.master, parameters, lanes, 4, C(1, 1)),
            (self.write0.run, c.momentum, parameters, lanes, 4, all_of_it),
            (self.write1.run, c.master, parameters, lanes, 4, all_of_it),
            (self.element_run, c.result, copies, lanes, size, copy),
            (
                self.exponent_run, c.result_exponents, 0, 0, 1,
                copy & config.has_exponents & all_of_it,
            ),
        ]
        reads, writes = read_item_bytes(config), write_item_bytes(config)
        pending = Cat(run.valid for run, *_ in plan).any()
        advance = walking & ~pending
        vectors = Mux(left > self.CHUNK, self.CHUNK, left[:17])
        for (run, line, scale, per_vector, item, wanted), sizes in zip(plan, reads + writes):
            offer(
                m,
                run,
                when=advance & wanted,
                address=bytes_of_lines(line) + (chunk << exact_log2(self.CHUNK) + scale),
                items=vectors << per_vector,
                wide=item == sizes[1],
            )
        with m.If(advance):
            m.d.sync += [
                left.eq(left - self.CHUNK),
                chunk.eq(chunk + 1),
                walking.eq(left > self.CHUNK),
            ]
        with m.If(take):
            m.d.sync += [
                chunk.eq(0),
                left.eq(self.command.payload.vectors),
                walking.eq(self.command.payload.vectors != 0),
            ]
        return walking | Cat(run.valid for run, *_ in plan).any()
