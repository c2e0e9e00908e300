"""The counter of finished parts, against a plain sum."""

import random

from amaranth.sim import Simulator

from eftrain_hw.buffers.parts import PartCounter


def test_counts_reports_until_they_are_taken():
    dut, rng = PartCounter(), random.Random(3)

    async def bench(ctx):
        waiting = most = 0
        for _ in range(500):
            assert ctx.get(dut.some) == (waiting > 0)
            done, taken = rng.random() < 0.5, bool(waiting) and rng.random() < 0.5
            ctx.set(dut.done, done)
            ctx.set(dut.taken, taken)
            waiting += done - taken
            most = max(most, waiting)
            await ctx.tick()
        assert most > 3

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
