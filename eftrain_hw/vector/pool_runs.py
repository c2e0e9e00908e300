"""Where pooled maps and the maps they come from lie in DRAM."""

from amaranth.hdl import C, Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from .commands import POOL_FORWARD
from .ports import (
    bytes_of_lines,
    item_run,
    offer,
    pool_item_bytes,
    read_item_bytes,
    write_item_bytes,
)

__all__ = ["PoolRuns"]


class PoolRuns(wiring.Component):
    """Turn a pooling command into its runs, one of each kind a plane.

    First it multiplies the sizes that it needs, a bit a cycle. Forward reads the rows of the large
    map that fill windows and writes the pooled map; backward reads the pooled map and writes the
    whole large one.

    Latency and cost: up to 70 cycles to the first run, then a plane in two cycles; about 480 LUT.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    start : In(1)
        Take `command`; only while `busy` is 0.
    command : In(POOL_FORWARD.struct)
        Stable until the next start; POOL_BACKWARD has the same fields.
    backward : In(1)
        Stable likewise.
    band : Out(24)
        Vectors of the rows of one window.
    ready : Out(1)
        `band` is known.
    read0 .. read2, write0 .. write3 : Out(streams of item_run)
        write2, and read1 forward: low digits (`config.bfp16`).
    busy : Out(1)
    """

    def __init__(self, config):
        self._config = config
        run = Out(stream.Signature(item_run(config)))
        names = ("read0", "read1", "read2", "write0", "write1", "write3")
        names += ("write2",) if config.bfp16 else ()
        self._runs = names
        super().__init__(
            {
                "start": In(1),
                "command": In(POOL_FORWARD.struct),
                "backward": In(1),
                "band": Out(24),
                "ready": Out(1),
                "busy": Out(1),
                **dict.fromkeys(names, run),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, c, backward = self._config, self.command, self.backward
        used, large, pooled = (Signal(32, name=n, reset_less=True) for n in ("used", "l", "p"))

        # products, one after the other
        products = (
            (self.band, c.width, c.kernel_height),
            (used, self.band, c.out_height),
            (large, c.width, c.height),
            (pooled, c.out_width, c.out_height),
        )
        turn, multiplying = Signal(range(len(products))), Signal()
        factor, addend, total = Signal(16), Signal(32), Signal(32)
        fresh, walking = Signal(), Signal()
        with m.If(multiplying):
            m.d.sync += [
                fresh.eq(0),
                addend.eq(addend << 1),
                factor.eq(factor >> 1),
                total.eq(Mux(factor[0], total + addend, total)),
            ]
            with m.If(fresh):
                m.d.sync += total.eq(0)
                with m.Switch(turn):
                    for index, (_, multiplicand, multiplier) in enumerate(products):
                        with m.Case(index):
                            m.d.sync += [addend.eq(multiplicand), factor.eq(multiplier)]
            with m.Elif(~factor.any()):
                with m.Switch(turn):
                    for index, (product, _, _) in enumerate(products):
                        with m.Case(index):
                            m.d.sync += product.eq(total)
                m.d.sync += [fresh.eq(1), turn.eq(turn + 1)]
                with m.If(turn == len(products) - 1):
                    m.d.sync += [multiplying.eq(0), walking.eq(1), self.ready.eq(1)]

        # planes
        source, result, index = (Signal(32, name=n, reset_less=True) for n in ("s", "r", "i"))
        planes = Signal(32, reset_less=True)
        runs = [getattr(self, name) for name in self._runs]
        advance = walking & ~Cat(run.valid for run in runs).any()
        with m.If(advance):
            m.d.sync += [
                source.eq(source + Mux(backward, pooled, large)),
                result.eq(result + Mux(backward, large, pooled)),
                index.eq(index + pooled),
                planes.eq(planes - 1),
                walking.eq(planes != 1),
            ]
        with m.If(self.start):
            m.d.sync += [
                turn.eq(0),
                multiplying.eq(1),
                fresh.eq(1),
                self.ready.eq(0),
                source.eq(0),
                result.eq(0),
                index.eq(0),
                planes.eq(c.planes),
            ]

        # runs
        vector, lanes = exact_log2(config.vector_bytes), exact_log2(config.lanes)
        beats, beat = exact_log2(config.beats_per_vector), pool_item_bytes(config)
        indices = beat // config.element_bytes
        reads, writes = read_item_bytes(config), write_item_bytes(config)
        source_count = Mux(backward, pooled, used)
        result_count = Mux(backward, large, pooled)
        exponents = C(config.has_exponents, 1)
        with_index = (c.index, index, pooled, backward)
        plan = [
            (self.read0, reads[0], beat, c.source, source, vector, source_count, C(1, 1)),
            (self.read2, reads[2], 1, c.source_exponents, source, 0, source_count, exponents),
            (self.write0, writes[0], beat, c.result, result, vector, result_count, C(1, 1)),
            (self.write1, writes[1], indices, c.index, index, lanes, pooled, ~backward),
            (self.write3, writes[3], 1, c.result_exponents, result, 0, result_count, exponents),
        ]
        if config.bfp16:
            wide, low = c.wide & ~backward, (c.source_low, source, used, C(1, 1))
            with_index = [Mux(wide, *values) for values in zip(low, with_index, strict=True)]
            plan.append(
                (self.write2, writes[2], beat, c.result_low, result, vector, result_count, wide)
            )
        plan.append((self.read1, reads[1], indices, *with_index[:2], lanes, *with_index[2:]))
        for run, sizes, item, line, at, scale, count, wanted in plan:
            offer(
                m,
                run,
                when=advance & wanted,
                address=bytes_of_lines(line) + (at << scale),
                items=count if item == 1 else count << beats,
                wide=item == sizes[1],
            )
        m.d.comb += self.busy.eq(multiplying | walking | Cat(run.valid for run in runs).any())
        return m
