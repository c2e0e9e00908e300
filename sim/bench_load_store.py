"""cocotb tests of loader, memory reader and lane buffers, of memory writer and run writers."""

import random

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge

from eftrain_hw.dma.commands import DESTINATIONS, LOAD, MODES

from .bus import Image, Memory, cycles, parameters, receive, send, start
from .designs import LoadStoreDesign
from .models.loader import BIASES, ELEMENTS, EXPONENTS, expected_slot, strips, tensor, tile, walk

CONFIG, OPTIONS = parameters()
PAGE = 4096
BASE = 0x2_0000
LATENCY = 3  # of the buffers
VECTORS = 2000
IDLE = {
    "load__valid": 0, "moving_release": 0, "stationary_release": 0, "read_run__valid": 0,
    "read_items__ready": 0, "write_run0__valid": 0, "write_items0__valid": 0,
    "write_run1__valid": 0, "write_items1__valid": 0,
}  # fmt: skip


def packed(layout, command):
    return sum(word << 32 * k for k, word in enumerate(layout.pack(**command)))


def fields(value, bits):
    mask = (1 << bits) - 1
    return [value >> bits * lane & mask for lane in range(CONFIG.lanes)]


async def read_slot(dut, side, serial, addresses):
    """{address: (elements, exponents) of every lane} of the slot that is full."""
    port = {name: getattr(dut, f"{side}__{name}") for name in
            ("slot", "address", "serial", "elements", "exponents")}
    port["slot"].value = int(getattr(dut, f"{side}_slot").value)
    port["serial"].value = int(serial)
    answers, edge = {}, RisingEdge(dut.clk)
    for k in range(len(addresses) + LATENCY + 1):
        if k < len(addresses):
            port["address"].value = addresses[k]
        await edge
        # set after edge k, sampled by the buffer at edge k + 1
        if k >= LATENCY and k - LATENCY < len(addresses):
            answers[addresses[k - LATENCY]] = (
                fields(int(port["elements"].value), 8 * CONFIG.element_bytes),
                fields(int(port["exponents"].value), 8),
            )
    return answers


async def check_slot(dut, command, source):
    """Wait for the tile, compare it with what the contract says, and release its slot."""
    side = "moving" if command["destination"] == DESTINATIONS["moving"] else "stationary"
    edge = RisingEdge(dut.clk)
    while not getattr(dut, f"{side}_full").value:
        await edge
    elements, exponents = expected_slot(CONFIG, command, source)
    serial = command["mode"] != MODES["scatter"]
    got = await read_slot(dut, side, serial, sorted({address for _, address in elements}))
    for (lane, address), element in elements.items():
        vector = (address // CONFIG.lanes, lane) if serial else divmod(address, CONFIG.lanes)
        found = got[address][0][lane], got[address][1][lane]
        assert found == (element, exponents[vector]), (command, lane, address)
    release = getattr(dut, f"{side}_release")
    release.value = 1
    await edge
    release.value = 0
    await edge


def at_base(command):
    return command | {
        "base": command["base"] + BASE // 64,
        "exponent_base": command.get("exponent_base", 0) + BASE // 64,
    }


def wanted_beats(commands):
    """The 8-byte beats that hold the vectors and exponents of tiles, in whole bus words."""
    words, bus = set(), CONFIG.bus_bytes
    for command in commands:
        for _, _, v in walk(command):
            if v is None:
                continue
            first = BASE + ELEMENTS * 64 + v * CONFIG.vector_bytes
            words |= set(range(first // bus, (first + CONFIG.vector_bytes - 1) // bus + 1))
            if CONFIG.has_exponents:
                words.add((BASE + EXPONENTS * 64 + v) // bus)
    beats = bus // 8
    return {word * beats + k for word in words for k in range(beats)}


def splits():
    lanes = CONFIG.lanes
    return [(1, 2, lanes // 2), (lanes, 1, 1), (lanes // 4, 2, 2), (2, lanes // 4, 2)]


def before_a_page(vectors):
    """A vector index so many vectors before a 4 KiB edge."""
    edge = -(-(BASE + ELEMENTS * 64 + vectors * CONFIG.vector_bytes) // PAGE) * PAGE
    return (edge - BASE - ELEMENTS * 64) // CONFIG.vector_bytes - vectors


def random_tile(rng):
    """Any tile of any tensor that fits both buffers; often right at a 4 KiB edge."""
    capacity = min(CONFIG.moving_elements, CONFIG.stationary_elements)
    while True:
        mode = rng.randrange(3)
        height, width = (rng.randint(1, rng.choice([3, 19])) for _ in range(2))
        blocks, images = rng.randint(1, 3), rng.randint(1, 3)
        a, b, c = rng.choice(splits())
        rows, columns = rng.randint(1, 19), rng.randint(1, 19)
        count = images * blocks * rows * columns
        if count * (CONFIG.lanes if mode == MODES["strip"] else 1) > capacity:
            continue
        each = a if mode == MODES["strip"] else 1
        span = images * each * blocks * height * width
        if span >= VECTORS:
            continue
        vector = rng.randrange(VECTORS - span)
        if rng.random() < 0.5:  # the first vector begins less than a tile before a page
            edge = BASE + ELEMENTS * 64 + rng.randrange(VECTORS) * CONFIG.vector_bytes
            edge = (edge // PAGE * PAGE - BASE - ELEMENTS * 64) // CONFIG.vector_bytes
            vector = min(max(0, edge - rng.randint(0, columns)), VECTORS - span)
        limit = images * each - rng.randrange(each) + rng.randint(-1, 1) * (mode != MODES["strip"])
        return dict(
            destination=rng.randrange(2), mode=mode, acquire=1, publish=1,
            base=ELEMENTS, exponent_base=EXPONENTS, vector=vector, image=2, image_limit=2 + limit,
            lane_images=a, lane_rows=b, lane_columns=c, lane_row_step=rng.randrange(6),
            lane_column_step=rng.randrange(6), images=images,
            image_stride=blocks * height * width, blocks=blocks, block_stride=height * width,
            row=rng.randint(-rows, height), rows=rows, height=height,
            column=rng.choice([0, rng.randint(-columns, width)]), columns=columns, width=width,
        )  # fmt: skip


async def load(dut, commands, source, memory, pause, rng):
    """Issue load commands, check the slots as they are published, then what was read."""
    sender = cocotb.start_soon(
        send(dut, "load", [packed(LOAD, at_base(c)) for c in commands], pause=pause, rng=rng)
    )
    for command in commands:
        if command["destination"] != DESTINATIONS["bias"]:
            await check_slot(dut, command, source)
            if rng.random() < 0.2:  # both slots are full by then
                await cycles(dut, 200)
    await sender
    await cycles(dut, 20)
    assert not dut.load_busy.value
    assert not dut.moving_full.value and not dut.stationary_full.value


def bursts_at_edges(bursts):
    """How many bursts end, and how many begin, at a 4 KiB edge."""
    ends = sum((address + 8 * beats) % PAGE == 0 for address, beats in bursts)
    return ends, sum(address % PAGE == 0 for address, _ in bursts)


@cocotb.test()
@cocotb.parametrize(pause=[0.0, 0.5, 0.85])
async def loads_tiles_as_the_contract_says(dut, pause):
    rng = random.Random(f"load {pause}")
    source = tensor(CONFIG, VECTORS, seed=3)
    image = Image(source.dram, BASE, np.zeros(len(source.dram), bool))
    await start(dut, **IDLE, window_base=BASE, window_limit=BASE + len(source.dram))
    memory = Memory(dut, image, ports=CONFIG.ports, pause=pause, rng=rng)
    commands = [
        tile("scatter", row=-1, rows=9, column=-1, columns=7),
        tile("scatter", vector=before_a_page(10)),
        tile("scatter", images=2, image=2, vector=140, rows=3, column=-1, columns=6),
        tile("rotate", "stationary", height=1, width=17, columns=17, rows=1, vector=3),
        *(strips(*split, rows=3, columns=2, row=-1, column=-1) for split in splits()),
        *(random_tile(rng) for _ in range(OPTIONS["tiles"])),
    ]
    await load(dut, commands, source, memory, pause, rng)
    assert not dut.window_fault.value and image.stray == []
    assert memory.touched(memory.reads) == wanted_beats(commands)
    ends, begins = bursts_at_edges(memory.reads)
    assert ends and begins


@cocotb.test()
async def biases_share_the_slot_of_the_weights(dut):
    rng = random.Random(4)
    source = tensor(CONFIG, VECTORS, seed=5)
    image = Image(source.dram, BASE, np.zeros(len(source.dram), bool))
    await start(dut, **IDLE, window_base=BASE, window_limit=BASE + len(source.dram))
    memory = Memory(dut, image, ports=CONFIG.ports, pause=0.4, rng=rng)
    lanes, edge = CONFIG.lanes, RisingEdge(dut.clk)
    words = source.dram[BIASES * 64 :][: 64 * lanes * 4].view(np.uint32)
    plan = [(3, 2), (1, 3), (0, 1), (5, CONFIG.bias_depth // lanes)]
    commands = []
    for first, count in plan:
        commands.append(dict(destination=DESTINATIONS["bias"], acquire=1, base=BIASES,
                             vector=first, columns=count))
        commands.append(tile("rotate", "stationary", acquire=0, height=1, rows=1, width=5,
                             columns=5, vector=count))
    cocotb.start_soon(send(dut, "load", [packed(LOAD, at_base(c)) for c in commands], rng=rng))
    for (first, count), weights in zip(plan, commands[1::2]):
        while not dut.stationary_full.value:
            await edge
        dut.bias__slot.value = int(dut.stationary_slot.value)
        for word in range(count * lanes):
            dut.bias__word.value = word
            await cycles(dut, LATENCY + 1)
            assert int(dut.bias__value.value) == words[first * lanes + word], (first, word)
        await check_slot(dut, weights, source)
    assert image.stray == [] and memory.reads


@cocotb.test()
@cocotb.parametrize(pause=[0.0, 0.5, 0.85])
async def writes_runs_and_nothing_beside_them(dut, pause):
    """Three kinds of items in runs with guard bytes between, many of them across 4 KiB."""
    rng = random.Random(f"store {pause}")
    size = 12 * PAGE
    before = np.frombuffer(rng.randbytes(size), np.uint8).copy()
    expected, writable = before.copy(), np.zeros(size, bool)
    image = Image(before, BASE, writable)
    await start(dut, **IDLE, window_base=BASE, window_limit=BASE + size)
    memory = Memory(dut, image, ports=CONFIG.ports, pause=pause, rng=rng)
    streams = [([], []), ([], [])]  # runs and items of each writer
    cursor = 64
    while True:
        writer, wide = rng.choice([(0, False), (0, True), (1, False)])
        item = (LoadStoreDesign.WIDE if wide else LoadStoreDesign.NARROW) if writer == 0 else 1
        count = rng.choice([0, 1, 2, 3, rng.randint(4, 40), rng.randint(40, 700 // item + 41)])
        if rng.random() < 0.4:  # end a few bytes before or after a page, or on it
            cursor = max(cursor, -(-cursor // PAGE) * PAGE - count * item + rng.randint(-33, 33))
        first = -(-cursor // item) * item
        end = first + count * item
        if end + 64 > size:
            break
        data = rng.randbytes(count * item)
        expected[first:end] = np.frombuffer(data, np.uint8)
        writable[first:end] = True
        runs, items = streams[writer]
        bits = CONFIG.address_bits
        runs.append(BASE + first | count << bits | (wide << bits + 24 if writer == 0 else 0))
        items += [int.from_bytes(data[k : k + item], "little") for k in range(0, len(data), item)]
        cursor = end + rng.choice([1, 2, 5, rng.randint(1, 80)])
    tasks = [
        cocotb.start_soon(send(dut, f"write_{kind}{k}", values, pause=pause / 2, rng=rng))
        for k, stream in enumerate(streams)
        for kind, values in zip(("run", "items"), stream)
    ]
    for task in tasks:
        await task
    await cycles(dut, 10)
    edge = RisingEdge(dut.clk)
    while dut.write_busy.value:
        await edge
    assert not dut.window_fault.value and image.stray == []
    assert np.array_equal(image.data, expected), np.flatnonzero(image.data != expected)[:20]
    ends, begins = bursts_at_edges(memory.writes)
    assert ends and begins


@cocotb.test()
@cocotb.parametrize(pause=[0.0, 0.6])
async def reads_writes_and_loads_share_the_ports(dut, pause):
    rng = random.Random(f"share {pause}")
    source = tensor(CONFIG, VECTORS, seed=9)
    size = len(source.dram)
    writable = np.zeros(size, bool)
    target = BIASES * 64 + 64 * CONFIG.lanes * 4  # behind the biases
    target += -target % PAGE
    before = source.dram.copy()
    image = Image(source.dram, BASE, writable)
    await start(dut, **IDLE, window_base=BASE, window_limit=BASE + size)
    memory = Memory(dut, image, ports=CONFIG.ports, pause=pause, rng=rng)
    runs = [(4 * rng.randrange(3000), rng.randint(1, 300)) for _ in range(12)]
    bits = CONFIG.address_bits
    words = [word for first, count in runs
             for word in before[first : first + 4 * count].view(np.uint32).tolist()]
    tasks = [cocotb.start_soon(
        send(dut, "read_run", [BASE + first | count << bits for first, count in runs], rng=rng)
    )]
    reader = cocotb.start_soon(receive(dut, "read_items", len(words), pause=pause / 2, rng=rng))
    # a byte copy of what was read, to one place
    data = rng.randbytes(1500)
    writable[target + 5 : target + 5 + len(data)] = True
    tasks.append(cocotb.start_soon(
        send(dut, "write_run1", [BASE + target + 5 | len(data) << bits], rng=rng)
    ))
    tasks.append(cocotb.start_soon(send(dut, "write_items1", data, rng=rng)))
    await load(dut, [random_tile(rng) for _ in range(6)], source, memory, pause / 2, rng)
    for task in tasks:
        await task
    assert await reader == words
    while dut.write_busy.value:
        await cycles(dut, 1)
    before[target + 5 : target + 5 + len(data)] = np.frombuffer(data, np.uint8)
    assert image.stray == [] and np.array_equal(image.data, before)


@cocotb.test()
async def nothing_leaves_the_window(dut):
    """A tile and a run that reach over the window's edges: an error, and not a beat outside."""
    rng = random.Random(8)
    source = tensor(CONFIG, VECTORS, seed=1)
    first = ELEMENTS * 64 + 64  # the tile's first vectors lie below the window
    image = Image(source.dram, BASE, np.zeros(len(source.dram), bool))
    limit = BASE + 20 * PAGE + 48  # inside a request
    await start(dut, **IDLE, window_base=BASE + first, window_limit=limit)
    memory = Memory(dut, image, ports=CONFIG.ports, pause=0.3, rng=rng)
    edge, faults = RisingEdge(dut.clk), 0
    cocotb.start_soon(send(dut, "load", [packed(LOAD, at_base(tile("scatter")))], rng=rng))
    run = limit - 8 | 5 << CONFIG.address_bits
    cocotb.start_soon(send(dut, "write_run0", [run], rng=rng))
    cocotb.start_soon(send(dut, "write_items0", range(5), rng=rng))
    for _ in range(400):
        await edge
        faults += int(dut.window_fault.value)
    assert faults == 2
    assert memory.writes == [] and image.stray == []
    assert all(address >= BASE + first for address, _ in memory.reads)
