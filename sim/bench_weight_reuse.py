"""cocotb tests of the weight reuse buffer: slots that stay until they are released, and biases."""

import random

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge

from .bus import cycles, parameters, start

CONFIG, OPTIONS = parameters()
LATENCY = 3
LANES, BITS = CONFIG.lanes, 8 * CONFIG.element_bytes
PER_WORD = CONFIG.elements_per_beat
WORDS = CONFIG.stationary_words // 2  # of a slot
ELEMENTS = CONFIG.stationary_elements
PIECE = min(LANES, PER_WORD)
BIAS_WORDS = min(CONFIG.bus_bytes, 4 * LANES) // 4  # that one write holds
IDLE = {
    "write__lanes": 0, "write__groups": 0, "write__parts": 0, "write__positions": 0,
    "write__exponent_lanes": 0, "bias_write__enable": 0,
    "slot_acquire": 0, "slot_publish": 0, "slot_release": 0,
    "read__slot": 0, "read__address": 0, "read__serial": 0,
    "bias_read__slot": 0, "bias_read__word": 0,
}  # fmt: skip


class Slot:
    """What one slot holds."""

    def __init__(self):
        self.elements = np.zeros((LANES, ELEMENTS), np.uint64)
        self.exponents = np.zeros((ELEMENTS // LANES, LANES), np.uint8)
        self.bias = np.zeros(CONFIG.bias_depth, np.uint64)


class Filler:
    """Writes random words in all the ways that the loader does, and keeps what must be there."""

    def __init__(self, dut, rng):
        self.dut, self.rng = dut, rng
        self.slots, self.turn = [Slot(), Slot()], 0

    def word(self, slot):
        """One bus word to one lane, or one element to each lane of a part."""
        dut, rng = self.dut, self.rng
        data = rng.getrandbits(8 * CONFIG.bus_bytes)
        parts = [data >> BITS * p & (1 << BITS) - 1 for p in range(PER_WORD)]
        word = rng.randrange(WORDS)
        dut.write__word.value, dut.write__data.value = word, data
        lanes = groups = part = positions = 0
        if rng.random() < 0.6:  # serial
            lane, groups = rng.randrange(LANES), rng.randrange(1, 1 << PER_WORD // PIECE)
            lanes = 1 << lane
        else:
            lane, part = None, rng.randrange(1, 1 << max(1, LANES // PER_WORD))
            positions = 1 << rng.randrange(PER_WORD)
        for j in range(LANES):
            own = j % PIECE
            for place in range(PER_WORD):
                if j == lane and groups >> place // PIECE & 1 or (
                    part >> j // PIECE & 1 and positions >> (place ^ own) & 1
                ):
                    slot.elements[j, word * PER_WORD + (place ^ own)] = parts[place]
        dut.write__lanes.value, dut.write__groups.value = lanes, groups
        dut.write__parts.value, dut.write__positions.value = part, positions

    def exponent(self, slot):
        dut, rng = self.dut, self.rng
        word, value, lanes = rng.randrange(len(slot.exponents)), rng.randrange(256), 0
        if CONFIG.has_exponents:
            lanes = rng.getrandbits(LANES)
            for j in range(LANES):
                if lanes >> j & 1:
                    slot.exponents[word, j] = value
        dut.write__exponent_word.value, dut.write__exponent.value = word, value
        dut.write__exponent_lanes.value = lanes

    def bias(self, slot):
        dut, rng = self.dut, self.rng
        enable = rng.random() < 0.3
        dut.bias_write__enable.value = int(enable)
        if enable:
            word = rng.randrange(CONFIG.bias_depth // BIAS_WORDS)
            values = [rng.getrandbits(32) for _ in range(BIAS_WORDS)]
            slot.bias[word * BIAS_WORDS :][:BIAS_WORDS] = values
            dut.bias_write__word.value = word
            dut.bias_write__data.value = sum(v << 32 * k for k, v in enumerate(values))

    async def fill(self, writes):
        """Acquire, write, publish with the last write; returns a copy of the slot's contents."""
        dut, edge = self.dut, RisingEdge(self.dut.clk)
        while not dut.free.value:
            await edge
        dut.slot_acquire.value = 1
        slot = self.slots[self.turn]
        await edge
        dut.slot_acquire.value = 0
        for k in range(writes):
            self.word(slot)
            self.exponent(slot)
            self.bias(slot)
            dut.slot_publish.value = int(k == writes - 1)
            await edge
        for name in ("write__lanes", "write__parts", "write__exponent_lanes", "slot_publish"):
            getattr(dut, name).value = 0
        dut.bias_write__enable.value = 0
        self.turn ^= 1
        contents = Slot()
        for name, values in vars(slot).items():
            getattr(contents, name)[:] = values
        await edge
        return contents


def fields(value, bits):
    return [value >> bits * lane & (1 << bits) - 1 for lane in range(LANES)]


async def read_all(dut, slot, contents, addresses, serial):
    """Read addresses of the full slot, and biases beside them, and compare."""
    edge = RisingEdge(dut.clk)
    dut.read__slot.value = dut.bias_read__slot.value = slot
    dut.read__serial.value = serial
    count = len(addresses)
    for k in range(count + LATENCY + 1):
        if k < count:
            dut.read__address.value = addresses[k]
            dut.bias_read__word.value = addresses[k] % CONFIG.bias_depth
        await edge
        if k >= LATENCY and k - LATENCY < count:
            address = addresses[k - LATENCY]
            assert fields(int(dut.read__elements.value), BITS) == [
                int(value) for value in contents.elements[:, address]
            ], address
            words = contents.exponents[address // LANES]
            expected = words if serial else [words[address % LANES]] * LANES
            assert fields(int(dut.read__exponents.value), 8) == [int(e) for e in expected], address
            bias = int(contents.bias[address % CONFIG.bias_depth])
            assert int(dut.bias_read__value.value) == bias, address


@cocotb.test()
async def a_slot_stays_until_its_release(dut):
    """Every slot is read several times, whole, while the other one is filled."""
    rng = random.Random(7)
    await start(dut, **IDLE)
    edge = RisingEdge(dut.clk)
    filler = Filler(dut, rng)
    # memory outlives a reset: both slots are written in full before anything is compared
    for slot in filler.slots:
        while not dut.free.value:
            await edge
        await clear(dut, slot)
    for _ in range(2):
        dut.slot_release.value = 1
        await edge
        dut.slot_release.value = 0
        await cycles(dut, 2)
    filled = []

    async def fill():
        for _ in range(OPTIONS["slots"]):
            filled.append(await filler.fill(rng.randint(1, 3 * WORDS)))
            await cycles(dut, rng.choice([0, 0, 30]))

    cocotb.start_soon(fill())
    for number in range(OPTIONS["slots"]):
        while not dut.full.value:
            await edge
        while len(filled) == number:
            await edge
        for _ in range(rng.randint(1, 4)):  # reuse
            assert dut.full.value
            addresses = list(range(ELEMENTS))
            rng.shuffle(addresses)
            await read_all(dut, number % 2, filled[number], addresses, rng.randrange(2))
            assert int(dut.read_slot.value) == number % 2
        dut.slot_release.value = 1
        await edge
        dut.slot_release.value = 0
        await edge
    await cycles(dut, 3)
    assert not dut.full.value and dut.free.value


async def clear(dut, slot):
    """Fill one slot with zeros and publish it."""
    edge = RisingEdge(dut.clk)
    dut.slot_acquire.value = 1
    await edge
    dut.slot_acquire.value = 0
    dut.write__data.value = dut.write__exponent.value = dut.bias_write__data.value = 0
    dut.write__lanes.value, dut.write__groups.value = (1 << LANES) - 1, (1 << PER_WORD // PIECE) - 1
    dut.write__exponent_lanes.value = (1 << LANES) - 1
    dut.bias_write__enable.value = 1
    for k in range(max(WORDS, ELEMENTS // LANES)):
        dut.write__word.value = k % WORDS
        dut.write__exponent_word.value = k % (ELEMENTS // LANES)
        dut.bias_write__word.value = k % (CONFIG.bias_depth // BIAS_WORDS)
        await edge
    dut.write__lanes.value = dut.write__exponent_lanes.value = dut.bias_write__enable.value = 0
    dut.slot_publish.value = 1
    await edge
    dut.slot_publish.value = 0
    await cycles(dut, 2)


@cocotb.test()
async def pulses_out_of_turn_change_nothing(dut):
    rng = random.Random(2)
    await start(dut, **IDLE)
    taken = full = turn = 0  # slots that are not free; full slots; the one to be read
    for _ in range(3000):
        acquire, publish, release = (rng.random() < 0.4 for _ in range(3))
        dut.slot_acquire.value, dut.slot_publish.value = int(acquire), int(publish)
        dut.slot_release.value = int(release)
        await RisingEdge(dut.clk)
        assert int(dut.free.value) == (taken < 2) and int(dut.full.value) == (full > 0)
        assert int(dut.read_slot.value) == turn
        release = release and full > 0
        acquire, publish = acquire and taken < 2, publish and taken > full
        taken += acquire - release
        full += publish - release
        turn ^= release
