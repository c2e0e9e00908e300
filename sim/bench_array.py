"""cocotb tests of the compute engine between its buffers, against the commands' NumPy model."""

import random
from collections import deque

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge

from eftrain_hw.array.commands import COMPUTE

from .bus import parameters, send, start
from .models.machine import Machine

CONFIG, OPTIONS = parameters()
LANES, BITS = CONFIG.lanes, 8 * CONFIG.element_bytes
PER_WORD, PIECE = CONFIG.elements_per_beat, min(CONFIG.lanes, CONFIG.elements_per_beat)
SIDES = ("moving", "stationary")
OUTER, INNER = ("outer0", "outer1", "outer2"), ("inner0", "inner1", "inner2", "inner3")
UNTOUCHED = np.uint32(0x7FDEAD00).view(np.float32)  # a NaN that no sum is
IDLE = {
    f"{side}__{name}": 0
    for side in SIDES
    for name in ("word", "data", "lanes", "groups", "parts", "positions", "exponent_lanes")
} | {
    f"{side}_{name}": 0 for side in SIDES for name in ("acquire", "publish")
} | {"bias__enable": 0, "command__valid": 0, "accumulator_release": 0}  # fmt: skip


class Tile:
    """Random contents of a slot: elements of every lane, exponents, and biases."""

    def __init__(self, rng, side):
        count = getattr(CONFIG, f"{side}_elements")
        if CONFIG.has_exponents:
            self.elements = rng.integers(-127, 128, (LANES, count)).astype(np.int8)
            sparse = rng.random((LANES, count)) < 0.1
            self.elements[sparse] = rng.choice([-127, 0, 127], sparse.sum())
        else:
            scale = 2.0 ** rng.integers(-9, 10, (LANES, count))
            self.elements = (rng.standard_normal((LANES, count)) * scale).astype(np.float32)
        low, high = (110, 150) if rng.random() < 0.8 else (0, 255)
        self.exponents = rng.integers(low, high, (count // LANES, LANES)).astype(np.uint8)
        self.bias = rng.standard_normal(CONFIG.bias_depth).astype(np.float32)

    def words(self):
        """(lane, word, bus word) of the whole slot, as a lane-serial load writes it."""
        size = CONFIG.bus_bytes
        for lane in range(LANES):
            order = np.arange(PER_WORD) ^ lane % PIECE
            values = self.elements[lane].reshape(-1, PER_WORD)[:, order]
            raw = np.ascontiguousarray(values).tobytes()
            for word in range(len(values)):
                yield lane, word, int.from_bytes(raw[word * size : (word + 1) * size], "little")


class Commands:
    """Random compute commands, the shape of the ones that the compiler makes and odder."""

    def __init__(self, rng):
        self.rng = rng
        self.held = dict.fromkeys(SIDES, False)

    def bank(self):
        """The commands of one accumulator bank."""
        rng = self.rng
        while True:
            inner = [rng.choice([1, 1, 2, 3, 5, 7]) for _ in INNER]
            m_tiles = rng.randint(1, 3)
            places = int(np.prod(inner)) + 1
            if places * m_tiles <= CONFIG.accumulator_depth - 3:
                break
        order, steps, stride = rng.sample(range(4), 4), [0] * 4, 1
        for loop in order:
            steps[loop] = stride
            stride *= inner[loop]
        last, ones = rng.randint(1, 3), rng.randrange(2)
        for number in range(last):
            yield self.command(inner, m_tiles) | {
                **{f"accumulator_{name}": step for name, step in zip(INNER, steps)},
                "accumulator_base": 3,
                "accumulator_m_step": places,
                "ones": ones,
                "ones_position": places - 1,
                "acquire_accumulator": int(number == 0),
                "release_accumulator": int(number == last - 1),
                "init": int(number == 0),
            }

    def affine(self, counts, span):
        """Steps and a base, so that every address lies in range(span)."""
        while True:
            steps = [self.rng.randint(-9, 9) for _ in counts]
            ends = [(count - 1) * step for count, step in zip(counts, steps)]
            below, above = sum(min(0, end) for end in ends), sum(max(0, end) for end in ends)
            if above - below < span:
                return steps, self.rng.randint(-below, span - above - 1)

    def command(self, inner, m_tiles):
        rng = self.rng
        outer = [rng.randint(1, 3) for _ in OUTER]
        moving, moving_base = self.affine(outer + inner, CONFIG.moving_elements)
        blocks = -(-m_tiles * CONFIG.rows // LANES)
        block_step = rng.randint(LANES, LANES + 4)
        room = CONFIG.stationary_elements - (blocks - 1) * block_step - LANES
        stationary, stationary_base = self.affine(outer, room)
        command = {
            "m_tiles": m_tiles,
            **dict(zip(OUTER, outer)),
            **dict(zip(INNER, inner)),
            **{f"moving_{name}": step for name, step in zip(OUTER + INNER, moving)},
            **{f"stationary_{name}": step for name, step in zip(OUTER, stationary)},
            "moving_base": moving_base,
            "stationary_base": stationary_base,
            "stationary_block_step": block_step,
            "zero": int(rng.random() < 0.1),
        }
        for name in ("bias", "moving_serial", "stationary_serial"):
            command[name] = rng.randrange(2)
        for side in SIDES:
            command[f"acquire_{side}"] = int(not self.held[side])
            command[f"release_{side}"] = rng.randrange(2)
            self.held[side] = not command[f"release_{side}"]
        return command


def expectation(commands, rng):
    """(tiles of each side in order of acquisition, sums of each bank that is handed over)."""
    machine = Machine(CONFIG, np.zeros(0, np.uint8))
    tiles, banks = {side: [] for side in SIDES}, []
    sums = machine.slots["accumulator"]
    for command in commands:
        for side in SIDES:
            if not command[f"acquire_{side}"]:
                continue
            tile, slots = Tile(rng, side), machine.slots[side]
            tiles[side].append(tile)
            slots.acquire(side)
            machine.elements[side][slots.write] = tile.elements
            machine.serial_exponents[side][slots.write][: len(tile.exponents)] = tile.exponents
            if side == "stationary":
                machine.bias[slots.write] = tile.bias
            slots.publish()
        if command["acquire_accumulator"]:
            machine.sums[sums.write] = UNTOUCHED
        machine.compute(command)
        if command["release_accumulator"]:
            banks.append(machine.sums[sums.read].copy())
            sums.release()
    return tiles, banks


class Bench:
    """Loads tiles, issues commands and drains banks, each with pauses of its own."""

    def __init__(self, dut, pause, rng):
        self.dut, self.pause, self.rng = dut, pause, rng
        self.edge = RisingEdge(dut.clk)
        self.issued = 0

    async def rest(self):
        while self.rng.random() < self.pause:
            for _ in range(self.rng.choice([1, 7, 60])):
                await self.edge

    async def load(self, side, tiles):
        port = {name: getattr(self.dut, f"{side}__{name}")
                for name in ("word", "data", "lanes", "groups")}
        flags = {name: getattr(self.dut, f"{side}_{name}")
                 for name in ("acquire", "publish", "free")}
        port["groups"].value = (1 << CONFIG.vectors_per_beat) - 1
        for tile in tiles:
            await self.rest()
            while not flags["free"].value:
                await self.edge
            flags["acquire"].value = 1
            await self.edge
            flags["acquire"].value = 0
            if CONFIG.has_exponents:
                await self.load_exponents(side, tile)
            if side == "stationary":
                await self.load_biases(tile)
            words = deque(tile.words())
            while words:
                lane, port["word"].value, port["data"].value = words.popleft()
                port["lanes"].value = 1 << lane
                flags["publish"].value = int(not words)
                await self.edge
            port["lanes"].value = flags["publish"].value = 0
            await self.edge

    async def load_exponents(self, side, tile):
        word, value, lanes = (getattr(self.dut, f"{side}__{name}")
                              for name in ("exponent_word", "exponent", "exponent_lanes"))
        for (at, lane), exponent in np.ndenumerate(tile.exponents):
            word.value, value.value, lanes.value = at, int(exponent), 1 << lane
            await self.edge
        lanes.value = 0

    async def load_biases(self, tile):
        size = min(CONFIG.bus_bytes, 4 * LANES)
        raw = tile.bias.tobytes()
        self.dut.bias__enable.value = 1
        for word in range(len(raw) // size):
            self.dut.bias__word.value = word
            self.dut.bias__data.value = int.from_bytes(raw[word * size :][:size], "little")
            await self.edge
        self.dut.bias__enable.value = 0

    async def drain(self, banks):
        dut, width = self.dut, CONFIG.drain_lanes
        latency = int(dut.drain_latency.value)
        for number, expected in enumerate(banks):
            while not dut.accumulator_full.value:
                await self.edge
            if number % 3:
                await self.rest()
            dut.accumulator__bank.value = number % 2
            expected = expected.view(np.uint32)
            reads = [
                (position, group)
                for position in range(CONFIG.accumulator_depth)
                for group in range(CONFIG.rows // width)
                if expected[group * width, position] != UNTOUCHED.view(np.uint32)
            ]
            for k in range(len(reads) + latency):
                if k < len(reads):
                    dut.accumulator__position.value, dut.accumulator__group.value = reads[k]
                await self.edge
                if k < latency:
                    continue
                position, group = reads[k - latency]
                values = int(dut.accumulator__values.value)
                for lane in range(width):
                    found = values >> 32 * lane & 0xFFFFFFFF
                    row = group * width + lane
                    assert found == expected[row, position], (number, row, position)
            dut.accumulator_release.value = 1
            await self.edge
            dut.accumulator_release.value = 0
            await self.edge

    async def count(self):
        while True:
            await self.edge
            self.issued += int(self.dut.mac_busy.value)


def positions(command):
    sweep = int(np.prod([command[name] for name in INNER])) + command["ones"]
    return command["m_tiles"] * int(np.prod([command[name] for name in OUTER])) * sweep


@cocotb.test()
@cocotb.parametrize(pause=[0.0, 0.6])
async def sums_equal_the_model(dut, pause):
    rng = random.Random(f"{CONFIG.format} {pause}")
    commands, generator = [], Commands(rng)
    for _ in range(OPTIONS["banks"]):
        commands += generator.bank()
    tiles, banks = expectation(commands, np.random.default_rng(rng.getrandbits(32)))
    assert sum(np.isfinite(bank).sum() for bank in banks) > 200
    await start(dut, **IDLE)
    bench = Bench(dut, pause, rng)
    cocotb.start_soon(bench.count())
    for side in SIDES:
        cocotb.start_soon(bench.load(side, tiles[side]))
    words = [sum(word << 32 * k for k, word in enumerate(COMPUTE.pack(**c))) for c in commands]
    cocotb.start_soon(send(dut, "command", words, pause=pause, rng=rng))
    await bench.drain(banks)
    assert not dut.busy.value
    assert bench.issued == sum(map(positions, commands))
