# amaranth: UnusedElaboratable=no
"""Wishbone accesses reach the registers; errors and abandoned cycles end well."""

import random

import pytest
from amaranth.hdl import Module
from amaranth.lib.wiring import connect
from amaranth.sim import Simulator

from eftrain_hw.config import AcceleratorConfig
from eftrain_hw.csr.csr_block import Csr
from eftrain_hw.csr.registers import ID, by_name
from eftrain_hw.interop.wishbone import Wishbone, WishboneToAxiLite
from sim.pysim import simulate

CONFIG = AcceleratorConfig.preset("sim-small")


class Bench:
    """The bridge before the register block, and an initiator."""

    def __init__(self, seed=0, gap=0.5):
        self.bridge, self.csr = WishboneToAxiLite(), Csr(CONFIG)
        self.rng, self.gap = random.Random(seed), gap

    async def access(self, ctx, address, data=None, select=15):
        """(answer, data): answer is "ack" or "err"."""
        wb = self.bridge.wb
        while self.rng.random() < self.gap:
            await ctx.tick()
        ctx.set(wb.adr, address >> 2)
        ctx.set(wb.we, data is not None)
        ctx.set(wb.dat_w, data or 0)
        ctx.set(wb.sel, select)
        ctx.set(wb.cyc, 1)
        ctx.set(wb.stb, 1)
        while True:
            _, _, ack, err, found = await ctx.tick().sample(wb.ack, wb.err, wb.dat_r)
            if ack or err:
                break
        assert not (ack and err)
        self.drop(ctx)  # the next cycle may begin at once
        return ("ack" if ack else "err"), found

    def drop(self, ctx):
        ctx.set(self.bridge.wb.cyc, 0)
        ctx.set(self.bridge.wb.stb, 0)

    def run(self, bench):
        m = Module()
        m.submodules.bridge, m.submodules.csr = self.bridge, self.csr
        connect(m, self.bridge.axil, self.csr.axil)
        m.d.comb += self.csr.status_idle.eq(1)

        simulate(m, bench)


@pytest.mark.parametrize("gap", [0, 0.7])
def test_random_accesses(gap):
    bench = Bench(seed=1, gap=gap)
    scratch, rng = by_name("scratch").address, random.Random(2)

    async def initiator(ctx):
        assert await bench.access(ctx, 0) == ("ack", ID)
        value = 0
        for _ in range(150):
            if rng.random() < 0.5:
                data, select = rng.getrandbits(32), rng.getrandbits(4)
                assert (await bench.access(ctx, scratch, data, select))[0] == "ack"
                mask = sum(0xFF << 8 * k for k in range(4) if select >> k & 1)
                value = value & ~mask | data & mask
            else:
                assert await bench.access(ctx, scratch) == ("ack", value)

    bench.run(initiator)


def test_refused_accesses_end_with_err():
    bench = Bench()

    async def initiator(ctx):
        assert (await bench.access(ctx, 0, 5))[0] == "err"  # read only
        assert (await bench.access(ctx, 0xF00))[0] == "err"  # no register
        assert await bench.access(ctx, 0) == ("ack", ID)

    bench.run(initiator)


@pytest.mark.parametrize("held", range(1, 7))
def test_abandoned_cycle_is_not_answered_later(held):
    bench = Bench(gap=0)
    wb, scratch = bench.bridge.wb, by_name("scratch").address

    async def initiator(ctx):
        await bench.access(ctx, scratch, 0x1234)
        ctx.set(wb.adr, 0xF00 >> 2)  # would end with ERR
        ctx.set(wb.we, 0)
        ctx.set(wb.cyc, 1)
        ctx.set(wb.stb, 1)
        for _ in range(held):
            _, _, ack, err = await ctx.tick().sample(wb.ack, wb.err)
            if ack or err:
                break
        bench.drop(ctx)
        await ctx.tick()
        assert await bench.access(ctx, scratch) == ("ack", 0x1234)

    bench.run(initiator)


def test_wrong_width():
    with pytest.raises(ValueError, match="Wishbone address width must be 1 to 62, not 0"):
        Wishbone(0)
    with pytest.raises(TypeError, match="Wishbone address width must be int, not 1.5"):
        Wishbone(1.5)


def test_without_amaranth_soc(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "amaranth_soc", None)
    with pytest.raises(RuntimeError, match="the package on PyPI is empty"):
        WishboneToAxiLite(amaranth_soc=True)


def test_behind_a_decoder_of_amaranth_soc():
    wishbone = pytest.importorskip(
        "amaranth_soc.wishbone", reason="amaranth-soc is not installed (PyPI's is empty)"
    )
    bridge, csr = WishboneToAxiLite(amaranth_soc=True), Csr(CONFIG)
    decoder = wishbone.Decoder(addr_width=20, data_width=32, granularity=8, features={"err"})
    start, *_ = decoder.add(bridge.wb, name="eftrain", addr=0x4000)
    assert start == 0x4000
    m = Module()
    m.submodules.decoder, m.submodules.bridge, m.submodules.csr = decoder, bridge, csr
    connect(m, bridge.axil, csr.axil)
    found = []

    async def initiator(ctx):
        ctx.set(decoder.bus.adr, 0x4000 >> 2)
        ctx.set(decoder.bus.cyc, 1)
        ctx.set(decoder.bus.stb, 1)
        found.append((await ctx.tick().until(decoder.bus.ack), ctx.get(decoder.bus.dat_r)))

    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    simulator.add_testbench(initiator)
    simulator.run()
    assert found[0][1] == ID
