# amaranth: UnusedElaboratable=no
import random

import pytest
from amaranth.hdl import Module
from amaranth.lib.wiring import connect

from eftrain_hw.interop.axi_interconnect import AxiInterconnect
from eftrain_hw.interop.axi_ram import AxiRam

REGION = 4096


@pytest.mark.parametrize("masters", [1, 2, 3])
@pytest.mark.parametrize("stall", [0.0, 0.6])
def test_everybody_gets_his_own(simulate, burst_master, masters, stall):
    """Every master fills its own part of one memory and reads it back, all at the same time."""
    m = Module()
    m.submodules.dut = dut = AxiInterconnect(masters=masters)
    m.submodules.ram = ram = AxiRam(size=4 * REGION)
    connect(m, dut.slave, ram.axi)
    benches, finished = [], []
    for k in range(masters):
        rng = random.Random(k)
        port = getattr(dut, f"axi{k}")
        channels = [burst_master(port, stall=stall, seed=10 * k + c) for c in range(5)]
        bursts, beats, start = [], [], k * REGION
        while start < k * REGION + 800:
            length = rng.choice((1, 2, 5, 16))
            bursts.append((start, length))
            beats.append([(rng.getrandbits(64), 255) for _ in range(length)])
            start += 8 * length
        written = []

        async def address(ctx, channels=channels, bursts=bursts):
            await channels[0].addresses(ctx, "aw", bursts)

        async def data(ctx, channels=channels, beats=beats):
            await channels[1].write_data(ctx, beats)

        async def answer(ctx, channels=channels, bursts=bursts, written=written):
            assert await channels[2].responses(ctx, len(bursts)) == [0] * len(bursts)
            written.append(True)

        async def ask(ctx, channels=channels, bursts=bursts, written=written):
            while not written:
                await ctx.tick()
            await channels[3].addresses(ctx, "ar", bursts)

        async def take(ctx, channels=channels, bursts=bursts, beats=beats, k=k):
            found = await channels[4].read_data(ctx, [length for _, length in bursts])
            assert found == [(value, 0) for burst in beats for value, _ in burst], k
            finished.append(k)

        benches += [address, data, answer, ask, take]
    simulate(m, *benches)
    assert sorted(finished) == list(range(masters))


def test_turns_go_round(simulate, burst_master):
    """Two masters that always ask get the same number of turns."""
    m = Module()
    m.submodules.dut = dut = AxiInterconnect(masters=2)
    m.submodules.ram = ram = AxiRam(size=REGION)
    connect(m, dut.slave, ram.axi)
    order = []

    async def ask0(ctx):
        await burst_master(dut.axi0).addresses(ctx, "ar", [(0, 4)] * 10)

    async def ask1(ctx):
        await burst_master(dut.axi1).addresses(ctx, "ar", [(64, 4)] * 10)

    async def take0(ctx):
        await burst_master(dut.axi0).read_data(ctx, [4] * 10)

    async def take1(ctx):
        await burst_master(dut.axi1).read_data(ctx, [4] * 10)

    async def count(ctx):
        while len(order) < 20:
            _, _, taken, address = await ctx.tick().sample(
                dut.slave.arvalid & dut.slave.arready, dut.slave.araddr
            )
            order.extend([address] * taken)

    simulate(m, ask0, ask1, take0, take1, count)
    assert order[2:18] == [order[2], order[3]] * 8 and order[2] != order[3]


@pytest.mark.parametrize(
    ("masters", "error", "message"),
    [
        (0, ValueError, "AxiInterconnect masters must be 1 to 8, not 0"),
        (9, ValueError, "AxiInterconnect masters must be 1 to 8, not 9"),
        (2.0, TypeError, "AxiInterconnect masters must be int, not 2.0"),
    ],
)
def test_refuses_parameters(masters, error, message):
    with pytest.raises(error) as caught:
        AxiInterconnect(masters=masters)
    assert str(caught.value) == message
