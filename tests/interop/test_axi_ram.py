# amaranth: UnusedElaboratable=no
import random

import pytest

from eftrain_hw.interop.axi_ram import AxiRam

OKAY, SLVERR, DECERR = 0, 2, 3
BASE, SIZE = 0x1_0000, 12 * 1024  # not a power of two


def strobed(memory, address, data, strobe):
    for byte in range(8):
        if strobe >> byte & 1:
            memory[address + byte] = data >> 8 * byte & 0xFF


@pytest.mark.parametrize("stall", [0.0, 0.5, 0.9])
def test_holds_what_is_written(simulate, burst_master, stall):
    """Random bursts and strobes, then the same reads; the bytes around stay as they are."""
    rng = random.Random(5)
    dut, memory = AxiRam(size=SIZE, base=BASE), bytearray(SIZE)
    ports = [burst_master(dut.axi, stall=stall, seed=k) for k in range(5)]
    writes, beats = [], []
    for _ in range(12):
        length = rng.choice((1, 2, 3, 17))
        offset = rng.randrange(0, SIZE - 8 * length + 1, 8)
        writes.append((BASE + offset, length))
        beats.append([(rng.getrandbits(64), rng.choice((0xFF, 0, 0x3C))) for _ in range(length)])
        for k, (data, strobe) in enumerate(beats[-1]):
            strobed(memory, offset + 8 * k, data, strobe)
    reads = [*writes, (BASE, 64), (BASE + SIZE - 64, 8)]
    done = []

    async def addresses(ctx):
        await ports[0].addresses(ctx, "aw", writes)

    async def data(ctx):
        await ports[1].write_data(ctx, beats)

    async def answers(ctx):
        assert await ports[2].responses(ctx, len(writes)) == [OKAY] * len(writes)
        done.append(True)

    async def ask(ctx):
        while not done:
            await ctx.tick()
        await ports[3].addresses(ctx, "ar", reads)

    async def take(ctx):
        found = await ports[4].read_data(ctx, [length for _, length in reads])
        for address, length in reads:
            for k in range(length):
                start = address - BASE + 8 * k
                expected = int.from_bytes(memory[start : start + 8], "little")
                assert found.pop(0) == (expected, OKAY), hex(address + 8 * k)

    simulate(dut, addresses, data, answers, ask, take)


def test_reads_and_writes_at_full_rate(simulate, burst_master):
    """Latency and rates of the docstring; reads run beside writes."""
    dut = AxiRam(size=SIZE)
    ports = [burst_master(dut.axi) for _ in range(5)]
    bursts, times = [(0, 16), (512, 16), (1024, 16), (4096, 16)], {"w": [], "r": [], "ar": None}

    async def clock(ctx):
        cycle = 0
        while len(times["r"]) < 64 or len(times["w"]) < 64:
            _, _, ar, r, w = await ctx.tick().sample(
                dut.axi.arvalid & dut.axi.arready,
                dut.axi.rvalid & dut.axi.rready,
                dut.axi.wvalid & dut.axi.wready,
            )
            if ar and times["ar"] is None:
                times["ar"] = cycle
            times["r"] += [cycle] * r
            times["w"] += [cycle] * w
            cycle += 1

    async def addresses(ctx):
        await ports[0].addresses(ctx, "aw", bursts)

    async def data(ctx):
        await ports[1].write_data(ctx, [[(1, 255)] * 16] * 4)

    async def answers(ctx):
        await ports[2].responses(ctx, 4)

    async def ask(ctx):
        await ports[3].addresses(ctx, "ar", bursts)

    async def take(ctx):
        await ports[4].read_data(ctx, [16] * 4)

    simulate(dut, clock, addresses, data, answers, ask, take)
    assert times["r"] == list(range(times["r"][0], times["r"][0] + 64))
    assert times["r"][0] - times["ar"] == AxiRam.read_latency
    assert times["w"][63] - times["w"][0] == 63 + 3 * 3


@pytest.mark.parametrize(
    ("address", "fields", "expected"),
    [
        (BASE + SIZE, {}, DECERR),
        (BASE - 4096, {}, DECERR),
        (0, {}, DECERR),
        (BASE, {"burst": 0}, SLVERR),
        (BASE, {"burst": 2}, SLVERR),
        (BASE, {"size": 2}, SLVERR),
    ],
)
def test_refuses_accesses(simulate, burst_master, address, fields, expected):
    """An error for every beat, nothing changes, and the next access works."""
    dut = AxiRam(size=SIZE, base=BASE)
    ports = [burst_master(dut.axi) for _ in range(4)]

    async def write(ctx):
        await ports[0].addresses(ctx, "aw", [(address, 2, fields)])
        await ports[1].write_data(ctx, [[(7, 255)] * 2])
        assert await ports[2].responses(ctx, 1) == [expected]
        await ports[0].addresses(ctx, "ar", [(address, 2, fields)])
        assert await ports[3].read_data(ctx, [2]) == [(0, expected)] * 2
        await ports[0].addresses(ctx, "ar", [(BASE, 2)])
        assert await ports[3].read_data(ctx, [2]) == [(0, OKAY)] * 2

    simulate(dut, write)


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"size": 4095}, ValueError, "AxiRam size must be a multiple of 4096 bytes, not 4095"),
        ({"size": 0}, ValueError, "AxiRam size must be a multiple of 4096 bytes, not 0"),
        ({"size": 4096.0}, TypeError, "AxiRam size must be int, not 4096.0"),
        ({"size": 12288, "base": 4096}, ValueError,
         "AxiRam base must be a multiple of 0x4000 with 0x3000 bytes below 2^32, not 4096"),
    ],
)  # fmt: skip
def test_refuses_parameters(parameters, error, message):
    with pytest.raises(error) as caught:
        AxiRam(**parameters)
    assert str(caught.value) == message
