# amaranth: UnusedElaboratable=no
"""Run writer on the memory writer: bytes, strobes, two sizes, full rate, busy."""

import random

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.sim import Simulator

from eftrain_hw.config import AcceleratorConfig
from eftrain_hw.dma.memory_writer import MemoryWriter
from eftrain_hw.dma.run_sizes import wide_run_request
from eftrain_hw.dma.run_writer import RunWriter
from sim.models.axi_memory import AxiMemory
from sim.models.clients import send

BASE, SIZE = 0x1000_0000, 1 << 15


def write_runs(config, runs, *, item_bytes, depth=32, latency=11, stall=0.0, give=0.0,
               limit=30_000):
    """`runs` is [(address, items, wide)]; checks memory; returns the cycles of the items."""
    two = isinstance(item_bytes, tuple)
    sizes = item_bytes if two else (item_bytes, item_bytes)
    m = Module()
    m.submodules.writer = writer = RunWriter(config, item_bytes, depth)
    m.submodules.memory = bus = MemoryWriter(config, 1)
    wiring.connect(m, writer.memory, bus.clients[0])
    memory = AxiMemory(SIZE, base=BASE, latency=latency, stall=stall, seed=3, protocol=config.axi)
    rng = random.Random(5)
    expected, values, taken = bytearray(memory.data), [], []
    for address, items, wide in runs:
        for k in range(items):
            # what lies beyond a narrow item in the payload must not matter
            value = rng.getrandbits(8 * sizes[1])
            values.append(value)
            size = sizes[wide]
            place = address - BASE + k * size
            expected[place:place + size] = value.to_bytes(sizes[1], "little")[:size]

    async def ask(ctx):
        ctx.set(bus.window_base, BASE)
        ctx.set(bus.window_limit, BASE + SIZE)
        payloads = [{"address": address, "items": items} | ({"wide": wide} if two else {})
                    for address, items, wide in runs]
        await send(ctx, writer.run, payloads, stall=stall)

    async def items(ctx):
        await send(ctx, writer.items, values, stall=give, seed=6)

    async def finish(ctx):
        cycle, quiet = 0, 0
        signals = (writer.items.valid & writer.items.ready, writer.busy)
        async for _, _, item, busy in ctx.tick().sample(*signals):
            cycle += 1
            if item:
                taken.append(cycle)
            if memory.outstanding:
                assert busy, "busy fell before the last response"
            quiet = 0 if busy or len(taken) < len(values) else quiet + 1
            if quiet == 5:
                assert memory.outstanding == 0
                return

    async def watchdog(ctx):
        for _ in range(limit):
            await ctx.tick()
        raise AssertionError(f"not finished after {limit} cycles")

    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    for axi in bus.axi:
        simulator.add_testbench(memory.writer(axi), background=True)
    simulator.add_testbench(watchdog, background=True)
    for testbench in (ask, items, finish):
        simulator.add_testbench(testbench)
    simulator.run()
    assert memory.data == expected
    return taken


def disjoint_runs(rng, sizes, count):
    """Runs one behind the other, with and without gaps: neighbours share beats."""
    runs, address = [], BASE + sizes[-1]
    for _ in range(count):
        wide = rng.randrange(len(sizes))
        size = sizes[wide]
        address = -(-address // size) * size + rng.choice([0, 0, size, 7 * size])
        items = rng.choice([0, 1, 2, 3, 17, rng.randint(1, 40)])
        runs.append((address, items, wide))
        address += items * size
    assert address < BASE + SIZE
    return runs


@pytest.mark.parametrize("stall,give", [(0, 0), (0.5, 0.5)])
@pytest.mark.parametrize("ports,item_bytes", [
    (2, 1), (2, 2), (2, 4), (2, 8), (2, 16), (2, 32), (1, 1), (1, 8), (1, 16), (4, 4), (4, 32),
    (2, (4, 16)), (2, (8, 32)), (2, (1, 4)), (2, (16, 16)), (2, (32, 64)), (1, (4, 16)),
    (4, (4, 16)),
])
def test_bytes(ports, item_bytes, stall, give):
    config = AcceleratorConfig(ports=ports, max_burst_beats=16)
    sizes = item_bytes if isinstance(item_bytes, tuple) else (item_bytes,)
    runs = disjoint_runs(random.Random(ports), sizes, 12)
    write_runs(config, runs, item_bytes=item_bytes, depth=8, stall=stall, give=give)


def test_slow_user():
    test_bytes(2, (1, 4), 0, 0.9)


def test_slow_memory():
    test_bytes(2, 16, 0.9, 0)


@pytest.mark.parametrize("ports,item_bytes,wide,depth", [
    (2, 1, 0, 8), (2, 4, 0, 32), (2, 16, 0, 32), (1, 8, 0, 32), (4, 32, 0, 32),
    (2, (4, 16), 0, 32), (2, (4, 16), 1, 32),
])
def test_item_a_cycle(ports, item_bytes, wide, depth):
    """Long runs and short ones, unaligned: the writer never holds its items up."""
    config = AcceleratorConfig(ports=ports)
    size = item_bytes[wide] if isinstance(item_bytes, tuple) else item_bytes
    runs = [(BASE + size * (101 * k + 3), 97 + k % 3, wide) for k in range(5)]
    runs += [(BASE + 0x4000 + 16 * size * k, 6, wide) for k in range(12)]
    taken = write_runs(config, runs, item_bytes=item_bytes, depth=depth, latency=40)
    assert taken == list(range(taken[0], taken[0] + len(taken)))


def test_runs_ahead_of_their_items():
    dut = RunWriter(AcceleratorConfig(), 4)
    accepted = 0

    async def bench(ctx):
        nonlocal accepted
        ctx.set(dut.run.payload, {"address": BASE, "items": 4})
        ctx.set(dut.run.valid, 1)
        for _ in range(50):
            _, _, ready = await ctx.tick().sample(dut.run.ready)
            accepted += ready

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert accepted == 33


def test_latency():
    dut = RunWriter(AcceleratorConfig(), 4)
    last, requested = [], []

    async def bench(ctx):
        ctx.set(dut.run.payload, {"address": BASE, "items": 4})
        ctx.set(dut.run.valid, 1)
        ctx.set(dut.items.valid, 1)
        for cycle in range(30):
            _, _, item, request = await ctx.tick().sample(
                dut.items.ready, dut.memory.request.valid
            )
            ctx.set(dut.run.valid, 0)
            last.extend([cycle] * item)
            requested.extend([cycle] * request)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert len(last) == 4 and requested[0] == last[-1] + 3


@pytest.mark.parametrize("item_bytes,depth,error,message", [
    (3, 32, ValueError, "RunWriter item_bytes must be a power of two, at least 1, not 3"),
    ((16, 4), 32, ValueError, r"RunWriter item_bytes must be \(narrow, wide\), not \(16, 4\)"),
    ((1, 2, 4), 32, ValueError,
     r"RunWriter item_bytes must be one size or two, not \(1, 2, 4\)"),
    ("4", 32, TypeError, "RunWriter item_bytes must be int, not '4'"),
    (4, 12, ValueError, "RunWriter depth must be a power of two, at least 8, not 12"),
])
def test_rejects(item_bytes, depth, error, message):
    with pytest.raises(error, match=f"^{message}$"):
        RunWriter(AcceleratorConfig(), item_bytes, depth)


def test_properties_and_shapes():
    config = AcceleratorConfig()
    dut = RunWriter(config, (4, 16), 64)
    assert (dut.item_bytes, dut.depth, dut.request_beats) == ((4, 16), 64, 32)
    assert dut.run.payload.shape() == wide_run_request(config)
    assert set(wide_run_request(config).members) == {"address", "items", "wide"}
