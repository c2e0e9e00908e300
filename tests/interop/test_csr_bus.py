# amaranth: UnusedElaboratable=no
"""The register window on a CSR bus of any width: every register, waits and refusals included."""

import random

import pytest
from amaranth.hdl import Module
from amaranth.lib.wiring import connect
from amaranth.sim import Simulator

from eftrain_hw.config import AcceleratorConfig
from eftrain_hw.csr.csr_block import Csr
from eftrain_hw.csr.registers import ID, by_name
from eftrain_hw.interop.csr_bus import (
    ADDRESS,
    COMMAND,
    READ_DATA,
    WRITE_DATA,
    CsrWindow,
    window_access,
)
from sim.pysim import simulate

CONFIG = AcceleratorConfig.preset("sim-small")
SLVERR, DECERR = 2, 3


class Bench:
    """The window before the register block, and an initiator on the CSR bus."""

    def __init__(self, width):
        self.window, self.csr, self.width = CsrWindow(width), Csr(CONFIG), width
        self.chunks = 32 // width

    async def read(self, ctx, number):
        bus, value = self.window.bus, 0
        for chunk in range(self.chunks):
            ctx.set(bus.addr, number * self.chunks + chunk)
            ctx.set(bus.r_stb, 1)
            await ctx.tick()
            ctx.set(bus.r_stb, 0)
            value |= ctx.get(bus.r_data) << chunk * self.width
        await ctx.tick()
        assert ctx.get(bus.r_data) == 0, "an unused interface must be zero"
        return value

    async def write(self, ctx, number, value):
        bus = self.window.bus
        for chunk in range(self.chunks):
            ctx.set(bus.addr, number * self.chunks + chunk)
            ctx.set(bus.w_data, value >> chunk * self.width & (1 << self.width) - 1)
            ctx.set(bus.w_stb, 1)
            await ctx.tick()
            ctx.set(bus.w_stb, 0)

    async def access(self, ctx, address, data=None):
        """(response, data)"""
        if data is not None:
            await self.write(ctx, WRITE_DATA, data)
        await self.write(ctx, ADDRESS, address)
        await self.write(ctx, COMMAND, 1 if data is None else 2)
        while (status := await self.read(ctx, COMMAND)) & 1:
            pass
        return status >> 1, await self.read(ctx, READ_DATA)

    def run(self, bench):
        m = Module()
        m.submodules.window, m.submodules.csr = self.window, self.csr
        connect(m, self.window.axil, self.csr.axil)
        m.d.comb += self.csr.status_idle.eq(1)

        simulate(m, bench)


@pytest.mark.parametrize("width", [8, 16, 32])
def test_registers_through_the_window(width):
    bench, rng = Bench(width), random.Random(width)
    scratch, counter = by_name("scratch").address, by_name("counter_cycles_low").address

    async def initiator(ctx):
        assert await bench.access(ctx, 0) == (0, ID)
        for _ in range(20):
            value = rng.getrandbits(32)
            assert (await bench.access(ctx, scratch, value))[0] == 0
            assert await bench.access(ctx, scratch) == (0, value)
        assert await bench.access(ctx, counter) == (0, 0)  # which takes some twenty cycles
        assert (await bench.access(ctx, 0, 1))[0] == SLVERR
        assert (await bench.access(ctx, 0xF00))[0] == DECERR
        assert await bench.access(ctx, 0) == (0, ID)

    bench.run(initiator)


@pytest.mark.parametrize("width", [8, 32])
def test_a_running_access_keeps_its_operands(width):
    bench = Bench(width)
    scratch, counter = by_name("scratch").address, by_name("counter_cycles_low").address

    async def initiator(ctx):
        await bench.access(ctx, scratch, 77)
        await bench.write(ctx, ADDRESS, counter)
        await bench.write(ctx, COMMAND, 1)
        await bench.write(ctx, ADDRESS, scratch)  # too early: lost
        await bench.write(ctx, COMMAND, 2)
        while await bench.read(ctx, COMMAND) & 1:
            pass
        assert await bench.read(ctx, ADDRESS) == counter
        assert await bench.read(ctx, READ_DATA) == 0
        assert await bench.access(ctx, scratch) == (0, 77)

    bench.run(initiator)


def test_chunks_are_one_value():
    """A register that changes between the chunks is read as it was at the first one."""
    bench = Bench(8)
    bus = bench.window.bus

    async def initiator(ctx):
        await bench.write(ctx, ADDRESS, 0x123)
        ctx.set(bus.addr, ADDRESS * 4)
        ctx.set(bus.r_stb, 1)
        await ctx.tick()
        ctx.set(bus.r_stb, 0)
        await bench.write(ctx, ADDRESS, 0xFFF)
        ctx.set(bus.addr, ADDRESS * 4 + 1)
        ctx.set(bus.r_stb, 1)
        await ctx.tick()
        assert ctx.get(bus.r_data) == 0x1
        ctx.set(bus.r_stb, 0)

    bench.run(initiator)


def test_software_side():
    """`window_access` gives what runtime.host.Host needs."""
    registers, log = {0x0FC: 5}, []
    state = {ADDRESS: 0, WRITE_DATA: 0, READ_DATA: 0, COMMAND: 0}
    polls = []

    def read(number):
        if number == COMMAND and polls:
            return polls.pop()
        return state[number]

    def write(number, value):
        state[number] = value
        if number == COMMAND:
            log.append((value, state[ADDRESS]))
            if value == 2:
                registers[state[ADDRESS]] = state[WRITE_DATA]
            state[READ_DATA] = registers.get(state[ADDRESS], 0)
            state[COMMAND] = 0 if state[ADDRESS] in registers else DECERR << 1
            polls[:] = [1, 1]

    get, put = window_access(read, write)
    assert get(0x0FC) == 5
    put(0x0FC, 9)
    assert get(0x0FC) == 9
    assert log == [(1, 0x0FC), (2, 0x0FC), (1, 0x0FC)]
    with pytest.raises(RuntimeError, match="register access at 0xf00: AXI response 3"):
        get(0xF00)
    get, _ = window_access(lambda number: 1, write, tries=3)
    with pytest.raises(RuntimeError, match="register access at 0xfc did not end"):
        get(0x0FC)


def test_wrong_width():
    with pytest.raises(ValueError, match=r"CSR bus data width must be one of \(8, 16, 32\), not 9"):
        CsrWindow(9)


def test_without_amaranth_soc(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "amaranth_soc", None)
    with pytest.raises(RuntimeError, match="the package on PyPI is empty"):
        CsrWindow(amaranth_soc=True)


@pytest.mark.parametrize("width", [8, 32])
def test_behind_a_decoder_of_amaranth_soc(width):
    csr = pytest.importorskip(
        "amaranth_soc.csr", reason="amaranth-soc is not installed (PyPI's is empty)"
    )
    window = CsrWindow(width, amaranth_soc=True)
    decoder = csr.Decoder(addr_width=12, data_width=width)
    start, *_ = decoder.add(window.bus, name="eftrain", addr=0x100)
    assert start == 0x100
    m = Module()
    m.submodules.decoder, m.submodules.window = decoder, window
    Simulator(m)
