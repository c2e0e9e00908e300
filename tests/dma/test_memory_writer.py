# amaranth: UnusedElaboratable=no
"""Memory writer: data and strobes, order of `done`, full rate, window, refusals, abort."""

import random

import pytest
from amaranth.sim import Simulator

from eftrain_hw.config import AcceleratorConfig
from eftrain_hw.dma.faults import MemoryFault
from eftrain_hw.dma.memory_writer import MemoryWriter
from sim.models.axi_memory import AxiMemory
from sim.models.clients import drive_write_client

BASE, SIZE = 0x1000_0000, 1 << 16


def bench(dut, memory, testbenches, *, limit=20_000, window=(BASE, BASE + SIZE)):
    """Run until all testbenches have ended."""

    async def windows(ctx):
        ctx.set(dut.window_base, window[0])
        ctx.set(dut.window_limit, window[1])

    async def watchdog(ctx):
        for _ in range(limit):
            await ctx.tick()
        raise AssertionError(f"not finished after {limit} cycles")

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(windows)
    simulator.add_testbench(watchdog, background=True)
    for axi in dut.axi:
        simulator.add_testbench(memory.writer(axi), background=True)
    for testbench in testbenches:
        simulator.add_testbench(testbench)
    simulator.run()


def beats_of(rng, config, count, whole=False):
    size = config.bus_bytes
    every = (1 << size) - 1
    return [
        (rng.getrandbits(8 * size), every if whole else rng.choice([every, rng.getrandbits(size)]))
        for _ in range(count)
    ]


def apply(expected, config, requests):
    """What the requests do to memory."""
    for address, beats in requests:
        for k, (word, strobe) in enumerate(beats):
            for byte in range(config.bus_bytes):
                if strobe >> byte & 1:
                    expected[address - BASE + k * config.bus_bytes + byte] = word >> 8 * byte & 255


@pytest.mark.parametrize("ports,axi,longest,stall", [
    (2, "axi4", 64, 0), (2, "axi4", 64, 0.5), (2, "axi4", 16, 0.9), (2, "axi3", 16, 0.5),
    (1, "axi4", 256, 0.5), (4, "axi4", 32, 0), (4, "axi3", 16, 0.5), (1, "axi3", 2, 0.5),
])
def test_data_of_three_clients(ports, axi, longest, stall):
    config = AcceleratorConfig(ports=ports, axi=axi, max_burst_beats=longest)
    dut = MemoryWriter(config, 3)
    memory = AxiMemory(SIZE, base=BASE, latency=11, stall=stall, seed=ports, protocol=axi,
                       longest=longest)
    rng = random.Random(longest)
    expected = bytearray(memory.data)
    testbenches, done, counts = [], [], []
    region = 0x5000  # each client writes its own, so that the order among them does not matter
    for k, client in enumerate(dut.clients):
        requests = []
        for _ in range(3 if stall == 0.9 else 8):
            beats = rng.choice([1, 2, 3, 17, rng.randint(1, 60)])
            word = rng.randrange(region // config.bus_bytes - beats)
            requests.append(
                (BASE + k * region + word * config.bus_bytes, beats_of(rng, config, beats))
            )
        across = BASE + k * region + 0x2000 - k * region % 4096 - 3 * config.bus_bytes
        requests.append((across, beats_of(rng, config, 6)))
        if stall < 0.9:
            requests.append((BASE + k * region + region - 256 * config.bus_bytes,
                             beats_of(rng, config, 256)))
        # bursts of different ports may overtake each other: no address twice
        seen, disjoint = set(), []
        for address, beats in requests:
            span = set(range(address, address + len(beats) * config.bus_bytes))
            if not span & seen:
                seen |= span
                disjoint.append((address, beats))
        assert len(disjoint) >= 2
        apply(expected, config, disjoint)
        done.append([])
        counts.append(len(disjoint))
        testbenches += drive_write_client(client, disjoint, done[k], stall=stall, seed=k)
    bench(dut, memory, testbenches, limit=60_000)
    assert [len(cycles) for cycles in done] == counts
    assert memory.data == expected
    assert memory.outstanding == 0


@pytest.mark.parametrize("ports,axi,longest,length,count", [
    (2, "axi4", 64, 128, 8), (2, "axi4", 64, 16, 50), (2, "axi4", 16, 200, 4),
    (2, "axi3", 16, 256, 4), (2, "axi3", 16, 16, 50), (1, "axi4", 64, 256, 3),
    (4, "axi4", 64, 256, 4), (4, "axi3", 16, 64, 12), (2, "axi4", 64, 4, 100),
])
def test_full_rate_at_40_cycles(ports, axi, longest, length, count):
    config = AcceleratorConfig(ports=ports, axi=axi, max_burst_beats=longest)
    dut = MemoryWriter(config, 2)
    memory = AxiMemory(SIZE, base=BASE, latency=40, protocol=axi)
    rng, done = random.Random(1), []
    step = length * config.bus_bytes
    requests = [(BASE + k * step % (SIZE - step), beats_of(rng, config, length, whole=True))
                for k in range(count)]
    bench(dut, memory, drive_write_client(dut.clients[0], requests, done))
    assert memory.write_beats == ports * length * count
    # the first burst is collected, then sent over one port while the others follow
    first = min(length, longest // ports)
    assert done[-1] <= length * count + (ports + 1) * first + 40 + 20


def test_latency():
    dut = MemoryWriter(AcceleratorConfig(), 1)
    client = dut.clients[0]
    offered, taken, issued = [], [], []

    async def run(ctx):
        ctx.set(dut.window_limit, 4096)
        ctx.set(client.request.payload, {"address": 0, "beats": 3})
        ctx.set(client.request.valid, 1)
        ctx.set(client.data.valid, 1)
        for cycle in range(30):
            _, _, request, data, address = await ctx.tick().sample(
                client.request.valid & client.request.ready, client.data.ready,
                dut.axi[0].awvalid,
            )
            if request:
                ctx.set(client.request.valid, 0)
            for flag, cycles in ((request, offered), (data, taken), (address, issued)):
                if flag:
                    cycles.append(cycle)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(run)
    simulator.run()
    assert offered == [1]  # its turn, a cycle after it asked
    assert taken == [6 + k for k in range(3)]
    assert issued[0] == taken[-1] + 4


def test_takes_no_more_than_its_queues_hold():
    """The memory accepts nothing for a long time; what waits is neither lost nor overwritten."""
    config = AcceleratorConfig(ports=1)
    dut = MemoryWriter(config, 1)
    memory = AxiMemory(SIZE, base=BASE, latency=5)
    rng, done = random.Random(3), []
    requests = [(BASE + 2048 * k, beats_of(rng, config, 256)) for k in range(4)]
    expected = bytearray(memory.data)
    apply(expected, config, requests)
    serve = memory.writer(dut.axi[0])

    async def late(ctx):
        for _ in range(1200):
            await ctx.tick()
        await serve(ctx)

    memory.writer = lambda axi: late
    bench(dut, memory, drive_write_client(dut.clients[0], requests, done))
    assert len(done) == 4 and memory.data == expected


def test_a_response_for_every_request_and_not_before():
    config = AcceleratorConfig(max_burst_beats=8)
    dut = MemoryWriter(config, 1)
    memory = AxiMemory(SIZE, base=BASE, latency=25)
    rng, done = random.Random(1), []
    requests = [(BASE + 0x400 * k, beats_of(rng, config, 30)) for k in range(3)]
    bench(dut, memory, drive_write_client(dut.clients[0], requests, done))
    assert len(memory.writes) == 24  # 30 words in bursts of 4
    for k, cycle in enumerate(done):
        assert cycle > memory.writes[8 * k + 7][0] + memory.latency


@pytest.mark.parametrize("address,beats,window", [
    (BASE - 16, 1, (BASE, BASE + SIZE)),
    (BASE + SIZE - 16, 2, (BASE, BASE + SIZE)),
    (BASE, 1, (BASE + 1, BASE + SIZE)),
    (BASE + 16, 1, (BASE, BASE + 31)),
    (0xFFFF_FFF0, 200, (BASE, 0xFFFF_FFFF)),
])
def test_window_violation_never_leaves(address, beats, window):
    config = AcceleratorConfig()
    dut = MemoryWriter(config, 2)
    memory = AxiMemory(SIZE, base=BASE, latency=3)
    before = bytes(memory.data)
    client, pulses = dut.clients[1], []

    async def ask(ctx):
        ctx.set(client.request.payload, {"address": address, "beats": beats})
        ctx.set(client.request.valid, 1)
        ctx.set(client.data.payload, {"data": 0, "strobe": 0xFFFF})
        ctx.set(client.data.valid, 1)
        await ctx.tick().until(client.request.ready)
        ctx.set(client.request.payload, {"address": window[0] + 15 & ~15, "beats": 1})

    async def watch(ctx):
        for _ in range(60):
            _, _, error, code, where = await ctx.tick().sample(
                dut.error, dut.error_code, dut.error_address
            )
            if error:
                pulses.append((code, where))

    bench(dut, memory, [ask, watch], window=window)
    assert pulses == [(MemoryFault.WRITE_WINDOW, address)]
    assert memory.writes == [] and memory.write_beats == 0
    assert memory.data == before


@pytest.mark.parametrize("response,code", [
    (2, MemoryFault.WRITE_SLAVE), (3, MemoryFault.WRITE_DECODE),
])
def test_refusal_then_abort_then_next_start(response, code):
    config = AcceleratorConfig()
    dut = MemoryWriter(config, 2)
    refused = BASE + 0x1200
    memory = AxiMemory(SIZE, base=BASE, latency=7, refuse={(refused, refused + 8): response})
    client, pulses, dones = dut.clients[0], [], 0
    rng, done = random.Random(2), []
    good = [(BASE + 0x3000, beats_of(rng, config, 100)), (BASE + 0x20, beats_of(rng, config, 5))]
    expected = bytearray(memory.data)

    async def run(ctx):
        nonlocal dones
        ctx.set(client.request.payload, {"address": BASE + 0x1000, "beats": 128})
        ctx.set(client.request.valid, 1)
        ctx.set(client.data.payload, {"data": 5, "strobe": 0xFFFF})
        ctx.set(client.data.valid, 1)
        while not pulses:
            _, _, error, kind, where, pulse = await ctx.tick().sample(
                dut.error, dut.error_code, dut.error_address, client.done
            )
            dones += pulse
            if error:
                pulses.append((kind, where))
        ctx.set(client.request.valid, 0)
        ctx.set(client.data.valid, 0)
        ctx.set(dut.abort, 1)
        await ctx.tick().until(dut.drained)
        assert memory.outstanding == 0
        await ctx.tick().repeat(3)
        ctx.set(dut.abort, 0)
        expected[:] = memory.data
        apply(expected, config, good)
        memory.refuse.clear()
        for testbench in (give, ask, count):
            running.append(testbench)

    running = []
    ask, give, count = drive_write_client(client, good, done)

    def after(index):
        async def testbench(ctx):
            while len(running) <= index:
                await ctx.tick()
            await running[index](ctx)

        return testbench

    bench(dut, memory, [run, after(0), after(1), after(2)])
    assert pulses == [(code, refused)] and dones == 0
    assert memory.data == expected
    assert len(done) == 2


@pytest.mark.parametrize("stall", [0, 0.5, 0.9])
def test_abort_at_any_time(stall):
    """Abort in the middle, again and again: what was begun is finished, nothing else is sent, no
    byte outside the requests changes, and afterwards the writer works as after a reset."""
    config = AcceleratorConfig(max_burst_beats=16)
    dut = MemoryWriter(config, 2)
    memory = AxiMemory(SIZE, base=BASE, latency=9, stall=stall, seed=5)
    outside = bytes(memory.data[0x4000:0xC000])
    rng = random.Random(7)

    async def run(ctx):
        for attempt in range(6):
            for k, client in enumerate(dut.clients):
                ctx.set(client.request.payload, {"address": BASE + 0x2000 * k, "beats": 70 + k})
                ctx.set(client.request.valid, 1)
                ctx.set(client.data.payload, {"data": attempt, "strobe": 0xFFFF})
                ctx.set(client.data.valid, 1)
            await ctx.tick().repeat(rng.randint(1, 120))
            ctx.set(dut.abort, 1)
            for client in dut.clients:
                ctx.set(client.request.valid, rng.random() < 0.5)
                ctx.set(client.data.valid, rng.random() < 0.5)
            asked = len(memory.writes)
            offered = sum(ctx.get(axi.awvalid) for axi in dut.axi)
            await ctx.tick().until(dut.drained)
            assert memory.outstanding == 0
            assert len(memory.writes) <= asked + offered
            assert memory.write_beats == sum(beats for _, _, beats in memory.writes)
            for client in dut.clients:
                ctx.set(client.request.valid, 0)
                ctx.set(client.data.valid, 0)
            await ctx.tick().repeat(rng.randint(1, 5))
            ctx.set(dut.abort, 0)
            client = dut.clients[attempt % 2]
            beats = beats_of(rng, config, 5)
            expected = bytearray(memory.data)
            apply(expected, config, [(BASE + 0xC000, beats)])
            ctx.set(client.request.payload, {"address": BASE + 0xC000, "beats": 5})
            ctx.set(client.request.valid, 1)
            await ctx.tick().until(client.request.ready)
            ctx.set(client.request.valid, 0)
            for word, strobe in beats:
                ctx.set(client.data.payload, {"data": word, "strobe": strobe})
                ctx.set(client.data.valid, 1)
                await ctx.tick().until(client.data.ready)
            ctx.set(client.data.valid, 0)
            await ctx.tick().until(client.done)
            assert memory.data == expected

    bench(dut, memory, [run])
    assert memory.data[0x4000:0xC000] == outside


@pytest.mark.parametrize("clients,error,message", [
    (0, ValueError, "MemoryWriter clients must be at least 1, not 0"),
    ("2", TypeError, "MemoryWriter clients must be int, not '2'"),
])
def test_rejects_clients(clients, error, message):
    with pytest.raises(error, match=f"^{message}$"):
        MemoryWriter(AcceleratorConfig(), clients)
