"""Where the vectors of a drain command lie in DRAM."""

from amaranth.hdl import C, Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from ..streams.ports import run_request
from .commands import DRAIN
from .ports import bytes_of_lines, item_run, offer

__all__ = ["DrainRuns"]


class DrainRuns(wiring.Component):
    """Turn a drain command into its runs of elements, exponents and mask elements.

    One run of each kind for each (block, image), blocks outermost. Runs are announced as early as
    they are taken, so that a mask is under way long before it is needed.

    Latency and cost: 2 cycles to the first run, then one a cycle; about 260 LUT.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    start : In(1)
        Take `command`; only while `busy` is 0.
    command : In(DRAIN.struct)
    element_run : Out(stream of item_run)
    exponent_run, mask_run : Out(stream of run_request)
    busy : Out(1)
        Runs are left, or were announced and not taken.
    """

    def __init__(self, config):
        self._config = config
        super().__init__(
            {
                "start": In(1),
                "command": In(DRAIN.struct),
                "element_run": Out(stream.Signature(item_run(config))),
                "exponent_run": Out(stream.Signature(run_request(config))),
                "mask_run": Out(stream.Signature(run_request(config))),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        groups = exact_log2(config.lanes // config.drain_lanes)
        narrow, wide = exact_log2(config.vector_bytes), exact_log2(4 * config.lanes)

        # walk over (block, image)
        c = Signal(DRAIN.struct, reset_less=True)
        walking = Signal()
        vector, block_vector = Signal(32, reset_less=True), Signal(32, reset_less=True)
        images, blocks = Signal(16, reset_less=True), Signal(16, reset_less=True)
        runs = (self.element_run, self.exponent_run, self.mask_run)
        # a run has `1 << groups` items at least: with two of them, two cycles suffice for its offer
        offered = Cat(run.valid & (1 if groups else ~run.ready) for run in runs).any()
        advance = walking & ~offered
        next_block = Signal(32)
        m.d.comb += next_block.eq(block_vector + c.block_stride)
        with m.If(advance):
            m.d.sync += [vector.eq(vector + c.image_stride), images.eq(images - 1)]
            with m.If(images == 1):
                m.d.sync += [
                    vector.eq(next_block),
                    block_vector.eq(next_block),
                    images.eq(c.images),
                    blocks.eq(blocks - 1),
                    walking.eq(blocks != 1),
                ]
        with m.If(self.start):
            m.d.sync += [
                walking.eq(1),
                c.eq(self.command),
                vector.eq(self.command.vector),
                block_vector.eq(self.command.vector),
                images.eq(self.command.images),
                blocks.eq(self.command.blocks),
            ]

        # announce
        scaled = vector << narrow
        offer(
            m,
            self.element_run,
            when=advance,
            address=bytes_of_lines(c.base) + Mux(c.raw, vector << wide, scaled),
            items=c.run << groups,
            wide=c.raw,
        )
        offer(
            m,
            self.exponent_run,
            when=advance & (~c.raw & ~c.low if config.has_exponents else C(0, 1)),
            address=bytes_of_lines(c.exponent_base) + vector,
            items=c.run,
        )
        offer(
            m,
            self.mask_run,
            when=advance & c.mask,
            address=bytes_of_lines(c.mask_base) + scaled,
            items=c.run << groups,
        )
        m.d.comb += self.busy.eq(walking | Cat(run.valid for run in runs).any())
        return m
