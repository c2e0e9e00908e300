# amaranth: UnusedElaboratable=no
"""Register stage and skid: order under stalls, latency, what comes from registers."""

import random

import pytest
from amaranth.hdl import unsigned
from amaranth.sim import Simulator

from eftrain_hw.streams.register import Register, Skid


@pytest.mark.parametrize("kind", [Register, Skid])
@pytest.mark.parametrize("give", [0, 0.5, 0.9])
@pytest.mark.parametrize("take", [0, 0.5, 0.9])
def test_keeps_order(give, take, kind):
    dut = kind(unsigned(8))
    rng = random.Random(3)
    received, sent = [], []

    async def bench(ctx):
        """Both sides in one: `ready` must not depend on what is set in the same cycle."""
        number, offered, held = 0, False, None
        for cycle in range(1000):
            if not offered and number < 60 and rng.random() >= give:
                offered = True
                ctx.set(dut.i.payload, number)
            ready_before = ctx.get(dut.i.ready)
            valid_before = ctx.get(dut.o.valid)
            ctx.set(dut.i.valid, offered)
            ctx.set(dut.o.ready, rng.random() >= take)
            assert ctx.get(dut.i.ready) == ready_before
            assert kind is Skid or ctx.get(dut.o.valid) == valid_before
            _, _, accepted, valid, ready, payload = await ctx.tick().sample(
                dut.i.ready, dut.o.valid, dut.o.ready, dut.o.payload
            )
            assert held is None or (valid and payload == held)
            held = payload if valid and not ready else None
            if valid and ready:
                received.append((cycle, payload))
            if offered and accepted:
                sent.append(cycle)
                number, offered = number + 1, False
            if len(received) == 60:
                return

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert [value for _, value in received] == list(range(60))
    if give == take == 0:
        assert [cycle for cycle, _ in received] == [cycle + kind.latency for cycle in sent]
        assert sent == list(range(60))


@pytest.mark.parametrize("kind", [Register, Skid])
def test_shape(kind):
    assert kind(unsigned(5)).shape == unsigned(5)

