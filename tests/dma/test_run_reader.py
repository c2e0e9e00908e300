# amaranth: UnusedElaboratable=no
"""Run reader on the memory reader: items of every size and position, full rate, short runs."""

import random

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.sim import Simulator

from eftrain_hw.config import AcceleratorConfig
from eftrain_hw.dma.memory_reader import MemoryReader
from eftrain_hw.dma.run_reader import RunReader
from sim.models.axi_memory import AxiMemory
from sim.models.clients import receive, send

BASE, SIZE = 0x1000_0000, 1 << 15


def read_runs(config, runs, *, item_bytes, depth=32, latency=11, stall=0.0, take=0.0,
              limit=30_000):
    """`runs` is [(address, items)] or, with two sizes, [(address, items, wide)].

    Checks the items against memory and returns the cycles in which they came.
    """
    two = isinstance(item_bytes, tuple)
    runs = [run if two else (*run, 0) for run in runs]
    sizes = item_bytes if two else (item_bytes,)
    m = Module()
    m.submodules.reader = reader = RunReader(config, item_bytes, depth)
    m.submodules.memory = bus = MemoryReader(config, 1)
    wiring.connect(m, reader.memory, bus.clients[0])
    memory = AxiMemory(SIZE, base=BASE, latency=latency, stall=stall, seed=3, protocol=config.axi)
    expected = [
        (int.from_bytes(memory.load(address + k * sizes[wide], sizes[wide]), "little"), sizes[wide])
        for address, items, wide in runs for k in range(items)
    ]
    received = []

    async def ask(ctx):
        ctx.set(bus.window_base, BASE)
        ctx.set(bus.window_limit, BASE + SIZE)
        values = [{"address": address, "items": items} | ({"wide": wide} if two else {})
                  for address, items, wide in runs]
        await send(ctx, reader.run, values, stall=stall)

    async def collect(ctx):
        received.extend(await receive(ctx, reader.items, len(expected), stall=take, seed=4))

    async def watchdog(ctx):
        for _ in range(limit):
            await ctx.tick()
        raise AssertionError(f"not finished after {limit} cycles")

    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    for axi in bus.axi:
        simulator.add_testbench(memory.reader(axi), background=True)
    simulator.add_testbench(watchdog, background=True)
    simulator.add_testbench(ask)
    simulator.add_testbench(collect)
    simulator.run()
    for (_, item), (value, size) in zip(received, expected):
        assert item & (1 << 8 * size) - 1 == value
    return [cycle for cycle, _ in received]


@pytest.mark.parametrize("stall,take", [(0, 0), (0.5, 0.5)])
@pytest.mark.parametrize("ports,item_bytes", [
    (2, 1), (2, 2), (2, 4), (2, 8), (2, 16), (2, 32), (1, 1), (1, 8), (1, 16), (4, 4), (4, 32),
    (2, (4, 16)), (2, (1, 4)), (2, (16, 16)), (1, (4, 16)), (2, (32, 64)), (4, (4, 8)),
    (1, (4, 32)),
])
def test_items(ports, item_bytes, stall, take):
    config = AcceleratorConfig(ports=ports, max_burst_beats=16)
    rng = random.Random(ports)
    two = isinstance(item_bytes, tuple)
    runs = []
    for _ in range(10):
        wide = rng.randrange(2) if two else 0
        size = item_bytes[wide] if two else item_bytes
        items = rng.choice([0, 1, 2, 3, 17, rng.randint(1, 40)])
        runs.append((BASE + rng.randrange(SIZE // size - 40) * size, items, wide))
    size = item_bytes[0] if two else item_bytes
    runs.append((BASE + 4096 - 2 * size, 5, 0))
    runs = runs if two else [run[:2] for run in runs]
    read_runs(config, runs, item_bytes=item_bytes, depth=8, stall=stall, take=take)


def test_slow_user():
    test_items(2, (1, 4), 0, 0.9)


def test_slow_memory():
    test_items(2, 16, 0.9, 0)


@pytest.mark.parametrize("ports,item_bytes,depth", [
    (2, 1, 8), (2, 4, 32), (2, 8, 64), (2, 16, 128), (4, 16, 64), (1, 8, 128),
])
def test_item_a_cycle_at_40_cycles(ports, item_bytes, depth):
    """Long runs, unaligned; whole rows follow one another without a bubble."""
    config = AcceleratorConfig(ports=ports)
    runs = [(BASE + item_bytes * (100 * k + 3 * k), 97 + k) for k in range(9)]
    cycles = read_runs(config, runs, item_bytes=item_bytes, depth=depth, latency=40)
    # the first requests come over one port while the others fill; then no bubble, or, where every
    # beat of the bus is an item, hardly any (short pieces at the ends of runs)
    rest = cycles[len(cycles) // 4:]
    bubbles = rest[-1] - rest[0] + 1 - len(rest)
    assert bubbles <= (0 if item_bytes < config.bus_bytes else len(rest) // 100)
    assert cycles[-1] - cycles[0] + 1 - len(cycles) <= ports * 16


def test_short_runs_without_bubbles():
    """Runs of one beat each, as the rows of a small map are."""
    config = AcceleratorConfig()
    cycles = read_runs(
        config, [(BASE + 48 * k + 4, 3) for k in range(60)], item_bytes=4, depth=64, latency=40
    )
    assert cycles[-1] - cycles[0] + 1 == len(cycles)


def test_asks_only_for_what_fits():
    """With nobody taking items the queue fills and nothing stands on the bus."""
    config = AcceleratorConfig()
    dut = RunReader(config, 4, 16)
    beats = []

    async def bench(ctx):
        ctx.set(dut.run.payload, {"address": BASE, "items": 1000})
        ctx.set(dut.run.valid, 1)
        ctx.set(dut.memory.request.ready, 1)
        ticks = ctx.tick().sample(dut.memory.request.valid, dut.memory.request.payload.beats)
        async for number, (_, _, valid, count) in _numbered(ticks):
            if valid:
                beats.append(count)
            if number == 100:
                return

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert beats == [4, 4, 4, 4]


async def _numbered(ticks):
    number = 0
    async for values in ticks:
        yield number, values
        number += 1


@pytest.mark.parametrize("item_bytes,depth,error,message", [
    (3, 32, ValueError, "RunReader item_bytes must be a power of two, at least 1, not 3"),
    (4.0, 32, TypeError, "RunReader item_bytes must be int, not 4.0"),
    (4, 4, ValueError, "RunReader depth must be a power of two, at least 8, not 4"),
    (4, "x", TypeError, "RunReader depth must be int, not 'x'"),
])
def test_rejects(item_bytes, depth, error, message):
    with pytest.raises(error, match=f"^{message}$"):
        RunReader(AcceleratorConfig(), item_bytes, depth)


def test_latency():
    dut = RunReader(AcceleratorConfig(), 4)
    seen = {}

    async def bench(ctx):
        ctx.set(dut.run.payload, {"address": BASE, "items": 4})
        ctx.set(dut.run.valid, 1)
        ctx.set(dut.memory.request.ready, 1)
        for cycle in range(30):
            ctx.set(dut.memory.data.valid, cycle == 10)
            _, _, request, item = await ctx.tick().sample(
                dut.memory.request.valid, dut.items.valid
            )
            ctx.set(dut.run.valid, 0)
            for flag, name in ((request, "request"), (item, "item")):
                if flag:
                    seen.setdefault(name, cycle)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert seen == {"request": 3, "item": 13}


def test_properties():
    dut = RunReader(AcceleratorConfig(), 4, 64)
    assert (dut.item_bytes, dut.depth, dut.request_beats) == (4, 64, 16)
