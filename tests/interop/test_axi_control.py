# amaranth: UnusedElaboratable=no
"""Bursts of any kind become AXI4-Lite accesses; what cannot be served is refused in full."""

import contextlib
import random

import pytest
from amaranth.sim import Simulator

from eftrain_hw.dma.axi import AxiLite
from eftrain_hw.interop.axi_control import AxiControl, AxiToLite

FIXED, INCR, WRAP, RESERVED = range(4)
OKAY, SLVERR, DECERR = 0, 2, 3
BITS, APERTURE = 12, 30
BASE = 0x4000_0000  # above the aperture: decoded before
BROKEN = {0x0C4: SLVERR, 0x0C8: DECERR}  # words that answer so
CYCLES = 60_000


def beats(address, length, size, burst):
    """Addresses of a burst's beats, by the AXI specification (A3.4.1)."""
    width = 1 << size
    aligned = address // width * width
    lower = address // (width * length) * (width * length)
    found = []
    for n in range(length):
        at = address if n == 0 else aligned + n * width
        if burst == FIXED:
            at = address
        elif burst == WRAP:
            at = lower + (address - lower + n * width) % (width * length)
        found.append(at)
    return found


def transaction(rng):
    """(id, address, length, size, burst) that the specification allows, or a refusable one."""
    size = rng.choice([0, 1, 2, 2, 2, 2, 3])
    burst = rng.choice([INCR, INCR, INCR, FIXED, WRAP, RESERVED])
    length = rng.choice([2, 4, 8, 16] if burst == WRAP else range(1, 17))
    address = rng.randrange(0, 0x400) if rng.random() < 0.8 else rng.randrange(0, 1 << 12)
    address -= address % (1 << size)
    if burst == INCR:
        address = min(address, 4096 - (length << size))
    if rng.random() < 0.1:
        address += 1 << rng.randrange(BITS, APERTURE)
    return rng.randrange(1 << 12), BASE + address, length, size, burst


def refusal(address, size, burst):
    if address - BASE >= 1 << BITS:
        return DECERR
    return SLVERR if size > 2 or burst == RESERVED else OKAY


class _Done(Exception):
    """The masters have ended."""


class Bench:
    """Random masters on one side, a slave that keeps words on the other."""

    def __init__(self, seed, pause):
        self.dut = AxiToLite(AxiControl(id_bits=12), address_bits=BITS, aperture=APERTURE)
        self.rng, self.pause = random.Random(seed), pause
        self.words = [self.rng.randrange(1 << 32) for _ in range(1 << (BITS - 2))]
        self.read_at, self.written = [], []  # accesses that the slave has seen

    def go(self):
        return self.rng.random() >= self.pause

    async def cycle(self, ctx, *signals):
        """Values just before the next clock edge; ends the slaves when the masters are done."""
        if self.left == 0:
            raise _Done
        self.cycles += 1
        assert self.cycles < CYCLES, f"no end after {CYCLES} cycles"
        _, _, *values = await ctx.tick().sample(*signals)
        return values

    async def send(self, ctx, prefix, channel, **payload):
        """Offer a payload on a channel until it is taken, after a pause."""
        valid, ready = (getattr(prefix, channel + name) for name in ("valid", "ready"))
        while not self.go():
            await self.cycle(ctx)
        for name, value in payload.items():
            ctx.set(getattr(prefix, channel + name), value)
        ctx.set(valid, 1)
        while not (await self.cycle(ctx, ready))[0]:
            pass
        ctx.set(valid, 0)

    async def take(self, ctx, prefix, channel, *names):
        """The payload of a channel, after a pause; what is offered must stay."""
        valid, ready = (getattr(prefix, channel + name) for name in ("valid", "ready"))
        signals = [getattr(prefix, channel + name) for name in names]
        offered, takes = None, False
        while True:
            takes = takes or self.go()
            ctx.set(ready, takes)
            now, *values = await self.cycle(ctx, valid, *signals)
            assert offered is None or (now and values == offered), f"{channel} changed"
            offered = values if now else None
            if now and takes:
                ctx.set(ready, 0)
                return tuple(values)

    async def slave_reads(self, ctx):
        axil = self.dut.axil
        while True:
            (address,) = await self.take(ctx, axil, "ar", "addr")
            self.read_at.append(address)
            response = BROKEN.get(address & ~3, OKAY)
            data = self.words[address >> 2] if response == OKAY else 0
            await self.send(ctx, axil, "r", data=data, resp=response)

    async def slave_writes(self, ctx):
        axil = self.dut.axil
        while True:
            if self.rng.random() < 0.5:
                (address,) = await self.take(ctx, axil, "aw", "addr")
                data, strobe = await self.take(ctx, axil, "w", "data", "strb")
            else:
                data, strobe = await self.take(ctx, axil, "w", "data", "strb")
                (address,) = await self.take(ctx, axil, "aw", "addr")
            response = BROKEN.get(address & ~3, OKAY)
            self.written.append((address, data, strobe))
            await self.send(ctx, axil, "b", resp=response)

    async def read(self, ctx, identity, address, length, size, burst):
        """A read burst, checked against the words."""
        axi, refused = self.dut.axi, refusal(address, size, burst)
        before = len(self.read_at)
        await self.send(ctx, axi, "ar", id=identity, addr=address, len=length - 1, size=size,
                        burst=burst)  # fmt: skip
        for n, at in enumerate(beats(address - BASE, length, size, burst)):
            found = await self.take(ctx, axi, "r", "id", "data", "resp", "last")
            response = refused or BROKEN.get(at & ~3, OKAY)
            data = self.words[at >> 2 & 1023] if response == OKAY else 0
            assert found == (identity, data, response, n == length - 1), (hex(address), n)
        expected = [] if refused else beats(address - BASE, length, size, burst)
        assert self.read_at[before:] == expected

    async def write(self, ctx, identity, address, length, size, burst):
        """A write burst; the slave must see its beats and the answer be the worst of theirs."""
        axi, refused = self.dut.axi, refusal(address, size, burst)
        before = len(self.written)
        await self.send(ctx, axi, "aw", id=identity, addr=address, len=length - 1, size=size,
                        burst=burst)  # fmt: skip
        sent = []
        for n in range(length):
            data, strobe = self.rng.randrange(1 << 32), self.rng.randrange(16)
            sent.append((data, strobe))
            await self.send(ctx, axi, "w", data=data, strb=strobe, last=n == length - 1)
        found = await self.take(ctx, axi, "b", "id", "resp")
        places = beats(address - BASE, length, size, burst)
        worst = refused or max(BROKEN.get(at & ~3, OKAY) for at in places)
        assert found == (identity, worst), (hex(address), length, size, burst)
        expected = [] if refused else [(at, *beat) for at, beat in zip(places, sent)]
        assert self.written[before:] == expected

    def run(self, *masters):
        simulator = Simulator(self.dut)
        simulator.add_clock(1e-8)
        self.left, self.cycles = len(masters), 0

        def until_done(slave):
            async def run(ctx):
                with contextlib.suppress(_Done):
                    await slave(ctx)

            return run

        def counted(master):
            async def run(ctx):
                await master(ctx)
                self.left -= 1

            return run

        for slave in (self.slave_reads, self.slave_writes):
            simulator.add_testbench(until_done(slave))
        for master in masters:
            simulator.add_testbench(counted(master))
        simulator.run()


@pytest.mark.parametrize("pause", [0, 0.5, 0.9])
def test_random_bursts_in_both_directions(pause):
    bench = Bench(seed=int(10 * pause), pause=pause)
    kinds = set()

    async def reads(ctx):
        for _ in range(60 if pause < 0.9 else 15):
            burst = transaction(bench.rng)
            kinds.add((burst[4], refusal(burst[1], burst[3], burst[4])))
            await bench.read(ctx, *burst)

    async def writes(ctx):
        for _ in range(60 if pause < 0.9 else 15):
            await bench.write(ctx, *transaction(bench.rng))

    bench.run(reads, writes)
    if pause < 0.9:
        assert {(INCR, OKAY), (FIXED, OKAY), (WRAP, OKAY), (RESERVED, SLVERR), (INCR, DECERR)} <= (
            kinds
        )


def test_first_register_and_last():
    bench = Bench(seed=1, pause=0)

    async def both(ctx):
        for address in (0, 4, 0xFFC, 0xC4, 0xC8):
            await bench.read(ctx, 0xFFF, BASE + address, 1, 2, INCR)
            await bench.write(ctx, 0xABC, BASE + address, 1, 2, INCR)
        for address in (0x1000, 0x2000_0000, 0x3FFF_FFFC):
            await bench.read(ctx, 5, BASE + address, 4, 2, INCR)
            await bench.write(ctx, 6, BASE + address, 4, 2, INCR)
        await bench.read(ctx, 7, BASE + 0x38, 16, 2, WRAP)  # a cache line, critical word first

    bench.run(both)


def test_no_answer_is_offered_after_reset():
    dut = AxiToLite(AxiControl(id_bits=12), address_bits=BITS, aperture=APERTURE)

    async def check(ctx):
        for signal in (dut.axi.bvalid, dut.axi.rvalid, dut.axil.awvalid, dut.axil.wvalid,
                       dut.axil.arvalid):  # fmt: skip
            assert not ctx.get(signal)

    simulator = Simulator(dut)
    simulator.add_clock(1e-8)
    simulator.add_testbench(check)
    simulator.run()


def test_latency():
    """A cycle on the way there, and one on the way back, in both directions."""
    dut = AxiToLite(AxiControl(id_bits=12), address_bits=BITS, aperture=APERTURE)
    axi, axil = dut.axi, dut.axil

    async def check(ctx):
        for name in ("araddr", "awaddr"):
            ctx.set(getattr(axi, name), BASE + 8)
        for name in ("arsize", "awsize"):
            ctx.set(getattr(axi, name), 2)
        for name in ("arvalid", "awvalid", "wvalid"):
            ctx.set(getattr(axi, name), 1)
        await ctx.tick()
        assert ctx.get(axil.arvalid) and ctx.get(axil.araddr) == 8 and ctx.get(axi.wready)
        ctx.set(axil.arready, 1)
        await ctx.tick()
        assert ctx.get(axil.awvalid) and ctx.get(axil.wvalid) and ctx.get(axil.rready)
        for name in ("rvalid", "bvalid", "awready", "wready"):
            ctx.set(getattr(axil, name), 1)
        await ctx.tick()
        assert ctx.get(axi.rvalid) and ctx.get(axi.bvalid)

    simulator = Simulator(dut)
    simulator.add_clock(1e-8)
    simulator.add_testbench(check)
    simulator.run()


@pytest.mark.parametrize("aperture", [12, 33])
def test_refuses_an_aperture(aperture):
    with pytest.raises(ValueError, match=f"aperture must be 13 to 32, not {aperture}"):
        AxiToLite(AxiControl(id_bits=12), address_bits=12, aperture=aperture)


def test_refuses_another_signature_and_protocol():
    with pytest.raises(TypeError, match="signature must be an AxiControl, not"):
        AxiToLite(AxiLite(12), address_bits=12, aperture=30)
    with pytest.raises(ValueError, match="AXI protocol must be one of .*, not 'axi5'"):
        AxiControl(id_bits=12, protocol="axi5")
