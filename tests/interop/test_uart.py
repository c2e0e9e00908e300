import random

import pytest
from amaranth.hdl import Module
from amaranth.sim import Simulator

from eftrain_hw.interop.uart import UartReceiver, UartTransmitter, baud_step

CLOCK = 50_000_000


def simulate(dut, *benches):
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    for bench in benches:
        simulator.add_testbench(bench)
    simulator.run_until(2e-6 * 60_000)


def levels(data, cycles_per_bit, *, gap=0):
    """Levels of a line, one a cycle: each byte's start bit, bits and stop bit, ideal in time."""
    bits = []
    for byte in data:
        bits += [0, *(byte >> k & 1 for k in range(8)), 1] + [1] * gap
    return [bits[int(t / cycles_per_bit)] for t in range(int(len(bits) * cycles_per_bit))]


@pytest.mark.parametrize("baud", [CLOCK // 4, 3_000_000, 2_000_000])
@pytest.mark.parametrize("error", [0.0, -0.015, 0.015])
def test_receives(baud, error):
    """Bytes without a gap, from a sender whose clock is off."""
    if baud == CLOCK // 4 and error:
        error /= 3  # four samples a bit
    data = random.Random(1).randbytes(40) + bytes([0, 255, 0x55])
    dut, got = UartReceiver(clock_hz=CLOCK, baud=baud), []

    async def line(ctx):
        for level in levels(data, CLOCK / baud * (1 + error)):
            ctx.set(dut.rx, level)
            await ctx.tick()
        ctx.set(dut.rx, 1)

    async def take(ctx):
        ctx.set(dut.o.ready, 1)
        while len(got) < len(data):
            (payload,) = await ctx.tick().sample(dut.o.payload).until(dut.o.valid)
            got.append(payload)

    simulate(dut, line, take)
    assert bytes(got) == data


@pytest.mark.parametrize("baud", [CLOCK // 4, 3_000_000])
@pytest.mark.parametrize("stall", [0.0, 0.5])
def test_loops_back(baud, stall):
    """Transmitter to receiver; every bit has its length, in a burst and after pauses."""
    data, rng = random.Random(2).randbytes(40), random.Random(3)
    m = Module()
    m.submodules.transmitter = transmitter = UartTransmitter(clock_hz=CLOCK, baud=baud)
    m.submodules.receiver = receiver = UartReceiver(clock_hz=CLOCK, baud=baud)
    m.d.comb += receiver.rx.eq(transmitter.tx)
    got, edges, time = [], [], [0]

    async def give(ctx):
        for byte in data:
            while rng.random() < stall:
                await ctx.tick()
            ctx.set(transmitter.i.payload, byte)
            ctx.set(transmitter.i.valid, 1)
            await ctx.tick().until(transmitter.i.ready)
            ctx.set(transmitter.i.valid, 0)

    async def take(ctx):
        ctx.set(receiver.o.ready, 1)
        while len(got) < len(data):
            (payload,) = await ctx.tick().sample(receiver.o.payload).until(receiver.o.valid)
            got.append(payload)

    async def watch(ctx):
        last = 1
        while len(got) < len(data):
            _, _, level = await ctx.tick().sample(transmitter.tx)
            time[0] += 1
            if level != last:
                edges.append(time[0])
            last = level

    simulate(m, give, take, watch)
    assert bytes(got) == data
    period = CLOCK / baud
    for first, second in zip(edges, edges[1:]):
        bits = (second - first) / period
        if bits < 8.5 and not stall:
            assert abs(bits - round(bits)) * period <= 1.01
    if not stall:  # ten bits a byte, none lost between them
        assert abs((edges[-1] - edges[0]) / period / 10 - len(data)) < 1


def test_drops_a_byte_without_stop_bit():
    dut, got = UartReceiver(clock_hz=CLOCK, baud=CLOCK // 8), []

    async def line(ctx):
        broken = levels(b"\x41", 8)
        broken[72:] = [0] * 30  # no stop bit: a break
        for level in [0, 0, *[1] * 9, *broken, *[1] * 16, *levels(b"\x42", 8), 1, 1]:
            ctx.set(dut.rx, level)
            await ctx.tick()

    async def take(ctx):
        ctx.set(dut.o.ready, 1)
        while not got:
            (payload,) = await ctx.tick().sample(dut.o.payload).until(dut.o.valid)
            got.append(payload)

    simulate(dut, line, take)
    assert bytes(got) == b"\x42"


@pytest.mark.parametrize(
    ("clock", "baud", "error", "message"),
    [
        (CLOCK, 12_500_001, ValueError,
         "Uart baud must be 1 to a quarter of the clock (50000000 Hz), not 12500001"),
        (CLOCK, 0, ValueError,
         "Uart baud must be 1 to a quarter of the clock (50000000 Hz), not 0"),
        (CLOCK, 3e6, TypeError, "Uart baud must be int, not 3000000.0"),
        (CLOCK, 9600, ValueError,
         "Uart baud must be at least 38147 for a clock of 50000000 Hz, not 9600"),
    ],
)  # fmt: skip
def test_refuses(clock, baud, error, message):
    with pytest.raises(error) as caught:
        baud_step(clock, baud)
    assert str(caught.value) == message
