# amaranth: UnusedElaboratable=no
"""Burst splitter: every word once, no boundary crossed, a piece a cycle."""

import random

import pytest
from amaranth.sim import Simulator

from eftrain_hw.dma.burst_splitter import BurstSplitter
from sim.models.clients import receive, send


def split(transfers, *, size, stall=0.0):
    dut = BurstSplitter(word_bits=16, count_bits=10, size=size, tag_bits=4)
    expected = []
    for number, (address, beats) in enumerate(transfers):
        while beats:
            count = min(beats, size - address % size)
            beats -= count
            expected.append((address, count, beats == 0, number % 16))
            address += count
    received = []

    async def give(ctx):
        values = [{"address": address, "beats": beats, "tag": number % 16}
                  for number, (address, beats) in enumerate(transfers)]
        await send(ctx, dut.i, values, stall=stall)

    async def take(ctx):
        received.extend(await receive(ctx, dut.o, len(expected), stall=stall, seed=1))

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(give)
    simulator.add_testbench(take)
    simulator.run()
    pieces = [(p.address, p.beats, bool(p.last), p.tag) for _, p in received]
    assert pieces == expected
    return [cycle for cycle, _ in received]


@pytest.mark.parametrize("size", [1, 4, 32, 128])
@pytest.mark.parametrize("stall", [0, 0.5, 0.9])
def test_pieces(size, stall):
    rng = random.Random(size)
    transfers = [(rng.randrange(1 << 15), rng.choice([1, 2, 3, 31, 32, rng.randint(1, 512)]))
                 for _ in range(8)]
    split([(4096 - 3, 6), (0, size), (1, size), *transfers], size=size, stall=stall)


def test_a_piece_a_cycle():
    cycles = split([(3, 20), (5, 1), (6, 1), (7, 1), (0, 64)], size=8)
    assert cycles == [1 + BurstSplitter.latency + k for k in range(len(cycles))]


@pytest.mark.parametrize("size,error,message", [
    (12, ValueError, "BurstSplitter size must be a power of two, not 12"),
    (0, ValueError, "BurstSplitter size must be a power of two, not 0"),
    ("8", TypeError, "BurstSplitter size must be int, not '8'"),
])
def test_rejects_size(size, error, message):
    with pytest.raises(error, match=f"^{message}$"):
        BurstSplitter(word_bits=8, count_bits=4, size=size)
