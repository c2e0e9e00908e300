# amaranth: UnusedElaboratable=no
"""Queues behind pipelines: nothing is lost, nothing overflows, one item a cycle."""

import numpy as np
import pytest
from amaranth.sim import Simulator

from eftrain_hw.vector.credit_queue import CreditQueue


def run(dut, *, latency, items, stall, seed=1):
    """Items through a pipeline of `latency` cycles; returns (what came out, cycles)."""
    rng, out, cycles = np.random.default_rng(seed), [], 0

    async def bench(ctx):
        nonlocal cycles
        pipeline, sent = [], 0
        while len(out) < items:
            ready = rng.random() >= stall
            ctx.set(dut.o.ready, int(ready))
            start = bool(ctx.get(dut.room)) and sent < items
            ctx.set(dut.reserve, int(start))
            pipeline.append(sent if start else None)
            sent += start
            arrived = pipeline.pop(0) if len(pipeline) > latency else None
            ctx.set(dut.i_valid, int(arrived is not None))
            ctx.set(dut.i, arrived or 0)
            if ready and ctx.get(dut.o.valid):
                out.append(ctx.get(dut.o.payload))
            assert cycles < 20 * items + 100
            cycles += 1
            await ctx.tick()
            assert not (out and len(out) < sent and ctx.get(dut.idle))
        assert ctx.get(dut.idle) and not ctx.get(dut.o.valid)

    simulator = Simulator(dut)
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.run()
    return out, cycles


@pytest.mark.parametrize("stall", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("depth, latency", [(4, 1), (16, 11), (32, 3)])
def test_keeps_order_and_room(stall, depth, latency):
    out, _ = run(CreditQueue(shape=16, depth=depth), latency=latency, items=200, stall=stall)
    assert out == list(range(200))


def test_never_gaps_when_deep_enough():
    out, cycles = run(CreditQueue(shape=16, depth=16), latency=11, items=200, stall=0.0)
    assert cycles <= 200 + 11 + 3


def test_rounds_its_depth_up():
    assert CreditQueue(shape=8, depth=9).depth == 16


@pytest.mark.parametrize(
    "depth, error, message",
    [
        (3, ValueError, "CreditQueue depth must be at least 4, not 3"),
        (8.0, TypeError, "CreditQueue depth must be an int, not 8.0"),
        (True, TypeError, "CreditQueue depth must be an int, not True"),
    ],
)
def test_rejects_a_wrong_depth(depth, error, message):
    with pytest.raises(error, match=message):
        CreditQueue(shape=8, depth=depth)
