# amaranth: UnusedElaboratable=no
"""Memory reader: data, order, full rate, window, refusals, abort."""

import random

import pytest
from amaranth.sim import Simulator

from eftrain_hw.config import AcceleratorConfig
from eftrain_hw.dma.faults import MemoryFault
from eftrain_hw.dma.memory_reader import MemoryReader
from sim.models.axi_memory import AxiMemory
from sim.models.clients import drive_read_client

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
        simulator.add_testbench(memory.reader(axi), background=True)
    for testbench in testbenches:
        simulator.add_testbench(testbench)
    simulator.run()


def words_of(memory, config, requests):
    size = config.bus_bytes
    return [
        int.from_bytes(memory.load(address + k * size, size), "little")
        for address, beats in requests
        for k in range(beats)
    ]


@pytest.mark.parametrize("ports,axi,longest,stall", [
    (2, "axi4", 64, 0), (2, "axi4", 64, 0.5), (2, "axi4", 16, 0.9), (2, "axi3", 16, 0.5),
    (1, "axi4", 256, 0.5), (4, "axi4", 32, 0), (4, "axi3", 16, 0.5), (1, "axi3", 2, 0.5),
])
def test_data_of_three_clients(ports, axi, longest, stall):
    config = AcceleratorConfig(ports=ports, axi=axi, max_burst_beats=longest)
    dut = MemoryReader(config, 3)
    memory = AxiMemory(SIZE, base=BASE, latency=11, stall=stall, seed=ports, protocol=axi,
                       longest=longest)
    rng = random.Random(longest)
    testbenches, expected, received = [], [], []
    for k, client in enumerate(dut.clients):
        requests = []
        for _ in range(3 if stall == 0.9 else 8):
            beats = rng.choice([1, 2, 3, 17, rng.randint(1, 60)])
            word = rng.randrange(SIZE // config.bus_bytes - beats)
            requests.append((BASE + word * config.bus_bytes, beats))
        requests.append((BASE + 0x2000 - 3 * config.bus_bytes, 6))  # across 4 KiB
        if stall < 0.9:
            requests.append((BASE + SIZE - 256 * config.bus_bytes, 256))  # to the very end
        expected.append(words_of(memory, config, requests))
        received.append([])
        testbenches += drive_read_client(
            client, requests, received[k], stall=stall, take=stall / 2, seed=k
        )
    bench(dut, memory, testbenches, limit=60_000)
    for k in range(3):
        assert [word for _, word in received[k]] == expected[k]


def long_run(ports, axi, longest, length, count):
    """Cycles between the first and the last word, and from the first request to the last word."""
    config = AcceleratorConfig(ports=ports, axi=axi, max_burst_beats=longest)
    dut = MemoryReader(config, 2)
    memory = AxiMemory(SIZE, base=BASE, latency=40, protocol=axi)
    received = []
    step = length * config.bus_bytes
    requests = [(BASE + k * step % (SIZE - step), length) for k in range(count)]
    bench(dut, memory, drive_read_client(dut.clients[0], requests, received))
    cycles = [cycle for cycle, _ in received]
    return cycles[-1] - cycles[0] + 1, cycles[0], dut


@pytest.mark.parametrize("ports,axi,longest,length,count", [
    (2, "axi4", 64, 128, 8), (2, "axi4", 64, 16, 50), (2, "axi4", 16, 200, 4),
    (2, "axi3", 16, 256, 4), (2, "axi3", 16, 16, 50), (1, "axi4", 64, 256, 3),
    (4, "axi4", 64, 256, 4), (4, "axi3", 16, 64, 12), (2, "axi4", 64, 2, 150),
])
def test_full_rate_at_40_cycles(ports, axi, longest, length, count):
    cycles, _, _ = long_run(ports, axi, longest, length, count)
    # while the first burst comes over one port alone, the others fill their queues
    first = min(length, longest // ports)
    assert cycles <= length * count + (ports - 1) * first + ports


def test_short_and_long_requests_in_turn_use_both_ports():
    """Strict rotation of the ports would put all long bursts on one of them."""
    config = AcceleratorConfig()
    dut = MemoryReader(config, 2)
    memory = AxiMemory(SIZE, base=BASE, latency=40)
    short, long = [], []
    testbenches = [
        *drive_read_client(dut.clients[0], [(BASE + 16 * k, 1) for k in range(30)], short),
        *drive_read_client(dut.clients[1], [(BASE + 512 * k, 16) for k in range(30)], long),
    ]
    bench(dut, memory, testbenches)
    assert long[-1][0] - long[0][0] <= 17 * 30 + 20


@pytest.mark.parametrize("urgent", [1, 2])
def test_urgent_client_comes_next(urgent):
    """It waits behind what is under way, not behind what other clients have asked for before."""
    config = AcceleratorConfig()
    dut = MemoryReader(config, 3, urgent=urgent)
    memory = AxiMemory(SIZE, base=BASE, latency=40)
    received, waits, busy = [[] for _ in dut.clients], [], []
    long = [(BASE + 2048 * k, 128) for k in range(12)]
    testbenches = []
    for k, client in enumerate(dut.clients):
        if k != urgent:
            testbenches += drive_read_client(client, long, received[k])

    async def ask(ctx):
        port = dut.clients[urgent]
        ctx.set(port.data.ready, 1)
        for k in range(6):
            ctx.set(port.request.payload, {"address": BASE + 128 * k, "beats": 8})
            ctx.set(port.request.valid, 1)
            await ctx.tick().until(port.request.ready)
            ctx.set(port.request.valid, 0)
            wait = 0
            while not ctx.get(port.data.valid):
                await ctx.tick()
                wait += 1
            for _ in range(8):
                received[urgent].append((0, ctx.get(port.data.payload)))
                await ctx.tick().until(port.data.valid)
            waits.append(wait)
            busy.append(any(len(words) < 12 * 128 for words in received))

    bench(dut, memory, [ask, *testbenches])
    # what both ports owe, the rest of a request that is being split, and the way there
    assert busy[0] and max(waits) <= 2 * dut.ahead_words + 128 + 60
    assert len(received[urgent]) == 48


def test_never_asks_for_more_than_its_queues_hold():
    """The client takes nothing for a long time; `rready` is 1 all the same and nothing is lost."""
    config = AcceleratorConfig(ports=1)
    dut = MemoryReader(config, 1)
    memory = AxiMemory(SIZE, base=BASE, latency=5)
    requests, received = [(BASE + 2048 * k, 256) for k in range(4)], []
    ask, collect = drive_read_client(dut.clients[0], requests, received)

    async def later(ctx):
        for _ in range(800):
            await ctx.tick()
        assert memory.read_beats == dut.ahead_words < dut.queue_words
        await collect(ctx)

    bench(dut, memory, [ask, later])
    assert [word for _, word in received] == words_of(memory, config, requests)


def test_latency():
    for ports in (1, 2, 4):
        _, first, _ = long_run(ports, "axi4", 64, 4, 1)
        # request offered in cycle 1; ARVALID 6 later, the first beat 40 after it was taken,
        # the rest of the word, then 4 cycles to the client
        assert first == 1 + 6 + 40 + (ports - 1) + 4


@pytest.mark.parametrize("address,beats,window", [
    (BASE - 16, 1, (BASE, BASE + SIZE)),
    (BASE + SIZE - 16, 2, (BASE, BASE + SIZE)),
    (BASE, 1, (BASE + 1, BASE + SIZE)),
    (BASE + 16, 1, (BASE, BASE + 31)),
    (0xFFFF_FFF0, 200, (BASE, 0xFFFF_FFFF)),
    (0, 1, (BASE, BASE + SIZE)),
])
def test_window_violation_never_leaves(address, beats, window):
    dut = MemoryReader(AcceleratorConfig(), 2)
    memory = AxiMemory(SIZE, base=BASE, latency=3)
    pulses = []

    async def ask(ctx):
        ctx.set(dut.clients[1].request.payload, {"address": address, "beats": beats})
        ctx.set(dut.clients[1].request.valid, 1)
        await ctx.tick().until(dut.clients[1].request.ready)
        # nothing that comes after it leaves either
        ctx.set(dut.clients[1].request.payload, {"address": window[0] + 15 & ~15, "beats": 1})

    async def watch(ctx):
        for _ in range(60):
            _, _, error, code, where = await ctx.tick().sample(
                dut.error, dut.error_code, dut.error_address
            )
            if error:
                pulses.append((code, where))

    bench(dut, memory, [ask, watch], window=window)
    assert pulses == [(MemoryFault.READ_WINDOW, address)]
    assert memory.reads == []


def test_window_is_inclusive_to_its_ends():
    config = AcceleratorConfig()
    dut = MemoryReader(config, 1)
    memory = AxiMemory(SIZE, base=BASE, latency=3)
    requests, received = [(BASE, 1), (BASE + SIZE - 32, 2), (BASE + 4096, 256)], []
    bench(dut, memory, drive_read_client(dut.clients[0], requests, received))
    assert [word for _, word in received] == words_of(memory, config, requests)


@pytest.mark.parametrize("response,code", [
    (2, MemoryFault.READ_SLAVE), (3, MemoryFault.READ_DECODE),
])
def test_refusal_then_abort_then_next_start(response, code):
    config = AcceleratorConfig()
    dut = MemoryReader(config, 2)
    refused = BASE + 0x1200
    memory = AxiMemory(SIZE, base=BASE, latency=7, refuse={(refused, refused + 8): response})
    client, received, pulses = dut.clients[0], [], []
    requests = [(BASE + 0x1000, 128), (BASE, 64), (BASE, 64)]
    good = [(BASE + 0x3000, 100), (BASE + 0x20, 5)]

    async def run(ctx):
        asked = 0
        ctx.set(client.data.ready, 1)
        while not pulses:
            ctx.set(client.request.valid, asked < len(requests))
            if asked < len(requests):
                address, beats = requests[asked]
                ctx.set(client.request.payload, {"address": address, "beats": beats})
            _, _, taken, valid, word, error, kind, where = await ctx.tick().sample(
                client.request.ready & client.request.valid, client.data.valid,
                client.data.payload, dut.error, dut.error_code, dut.error_address,
            )
            asked += taken
            if valid:
                received.append(word)
            if error:
                pulses.append((kind, where))
        ctx.set(client.request.valid, 0)
        ctx.set(dut.abort, 1)
        await ctx.tick().until(dut.drained)
        assert memory.outstanding == 0
        await ctx.tick().repeat(3)
        ctx.set(dut.abort, 0)
        assert not ctx.get(dut.drained)
        before = len(memory.reads)
        ask, collect = drive_read_client(client, good, second)
        await ask(ctx)
        await collect(ctx)
        assert len(memory.reads) - before == 5

    second = []
    bench(dut, memory, [run])
    assert pulses == [(code, refused)]
    # what came before the refused burst is right, nothing of it or after it was handed over
    assert received == words_of(memory, config, [(BASE + 0x1000, 32)])
    assert [word for _, word in second] == words_of(memory, config, good)


@pytest.mark.parametrize("stall", [0, 0.5, 0.9])
def test_abort_at_any_time(stall):
    """Abort in the middle, again and again; after each the reader works as after a reset."""
    config = AcceleratorConfig(max_burst_beats=16)
    dut = MemoryReader(config, 2)
    memory = AxiMemory(SIZE, base=BASE, latency=9, stall=stall, seed=5)
    rng = random.Random(7)

    async def run(ctx):
        for attempt in range(6):
            for k, client in enumerate(dut.clients):
                ctx.set(client.request.payload, {"address": BASE + 256 * k, "beats": 70 + k})
                ctx.set(client.request.valid, 1)
                ctx.set(client.data.ready, attempt % 2)
            await ctx.tick().repeat(rng.randint(1, 90))
            ctx.set(dut.abort, 1)
            for client in dut.clients:
                ctx.set(client.request.valid, rng.random() < 0.5)
            asked = len(memory.reads)
            offered = sum(ctx.get(axi.arvalid) for axi in dut.axi)
            await ctx.tick().until(dut.drained)
            assert memory.outstanding == 0
            assert len(memory.reads) <= asked + offered
            for client in dut.clients:
                ctx.set(client.request.valid, 0)
            await ctx.tick().repeat(rng.randint(1, 5))
            ctx.set(dut.abort, 0)
            received = []
            requests = [(BASE + 0x100, 40), (BASE + 0x8000, 3)]
            ask, collect = drive_read_client(dut.clients[attempt % 2], requests, received)
            await ask(ctx)
            await collect(ctx)
            assert [word for _, word in received] == words_of(memory, config, requests)

    bench(dut, memory, [run])


@pytest.mark.parametrize("clients,error,message", [
    (0, ValueError, "MemoryReader clients must be at least 1, not 0"),
    ("2", TypeError, "MemoryReader clients must be int, not '2'"),
])
def test_rejects_clients(clients, error, message):
    with pytest.raises(error, match=f"^{message}$"):
        MemoryReader(AcceleratorConfig(), clients)


def test_rejects_an_urgent_client_that_there_is_not():
    message = "^MemoryReader urgent must be a client, 0 to 1, not 2$"
    with pytest.raises(ValueError, match=message):
        MemoryReader(AcceleratorConfig(), 2, urgent=2)


def test_rejects_bursts_shorter_than_a_bus_word():
    message = r"^AcceleratorConfig.max_burst_beats must be at least ports \(4\), not 2$"
    with pytest.raises(ValueError, match=message):
        MemoryReader(AcceleratorConfig(ports=4, max_burst_beats=2), 1)
