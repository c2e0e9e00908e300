# amaranth: UnusedElaboratable=no
"""Queue: order, throughput, level, storage styles, rejected arguments."""

import random

import pytest
from amaranth.hdl import unsigned
from amaranth.lib import data
from amaranth.sim import Simulator

from eftrain_hw.streams.queue import Queue


def pass_through(dut, values, *, give=0.0, take=0.0, seed=1):
    """Send `values`; returns what came out with the cycle, and the highest level."""
    rng = random.Random(seed)
    received, highest = [], 0

    async def sender(ctx):
        for value in values:
            while rng.random() < give:
                await ctx.tick()
            ctx.set(dut.i.payload, value)
            ctx.set(dut.i.valid, 1)
            await ctx.tick().until(dut.i.ready)
            ctx.set(dut.i.valid, 0)

    async def receiver(ctx):
        nonlocal highest
        cycle, held = 0, None
        ctx.set(dut.o.ready, rng.random() >= take)
        signals = (dut.o.valid, dut.o.ready, dut.o.payload, dut.level if hasattr(dut, "level")
                   else dut.o.valid)
        async for _, _, valid, ready, payload, level in ctx.tick().sample(*signals):
            cycle += 1
            assert cycle < 100 * len(values) + 100, "no progress"
            highest = max(highest, level)
            assert held is None or (valid and payload == held), "output changed while waiting"
            held = payload if valid and not ready else None
            if valid and ready:
                received.append((cycle, payload))
                if len(received) == len(values):
                    return
            ctx.set(dut.o.ready, rng.random() >= take)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(sender)
    simulator.add_testbench(receiver)
    simulator.run()
    return received, highest


@pytest.mark.parametrize("depth", [2, 3, 8, 17])
@pytest.mark.parametrize("give,take", [(0, 0), (0.5, 0), (0, 0.5), (0.9, 0.5), (0.5, 0.9)])
def test_keeps_order(depth, give, take):
    values = list(range(100))
    received, highest = pass_through(Queue(unsigned(8), depth), values, give=give, take=take)
    assert [value for _, value in received] == values
    assert highest <= depth


@pytest.mark.parametrize("depth", [3, 8, 17])
def test_latency_and_a_payload_a_cycle(depth):
    received, _ = pass_through(Queue(unsigned(8), depth), list(range(50)))
    # the cycle of the first arrival is number 1: it leaves `latency` cycles later
    assert [cycle for cycle, _ in received] == [1 + Queue.latency + k for k in range(50)]


def test_holds_exactly_depth():
    dut = Queue(unsigned(8), 5)
    taken = 0

    async def bench(ctx):
        nonlocal taken
        ctx.set(dut.i.valid, 1)
        async for _, _, ready in ctx.tick().sample(dut.i.ready):
            taken += ready
            if not ready:
                break
        assert ctx.get(dut.level) == 5

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert taken == 5


def test_struct_payload_and_properties():
    shape = data.StructLayout({"a": 3, "b": 5})
    dut = Queue(shape, 4, storage="distributed")
    assert (dut.shape, dut.depth, dut.storage) == (shape, 4, "distributed")
    received, _ = pass_through(dut, [{"a": 1, "b": 2}, {"a": 7, "b": 31}])
    assert [(value.a, value.b) for _, value in received] == [(1, 2), (7, 31)]


@pytest.mark.parametrize("arguments,error,message", [
    ((8, 1), ValueError, "Queue depth must be at least 2, not 1"),
    ((8, "x"), TypeError, "Queue depth must be int, not 'x'"),
    ((8, True), TypeError, "Queue depth must be int, not True"),
])
def test_rejects_depth(arguments, error, message):
    with pytest.raises(error, match=f"^{message}$"):
        Queue(*arguments)


def test_rejects_storage():
    message = r"^Queue storage must be one of \('auto', 'block', 'distributed'\), not 'tape'$"
    with pytest.raises(ValueError, match=message):
        Queue(8, 4, storage="tape")
