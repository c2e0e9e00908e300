"""The multiply-add pipeline: rounded twice, and what the loss builds on it."""

import numpy as np
from amaranth.sim import Simulator

from eftrain_hw.golden.arithmetic import fadd, fmul, mac
from eftrain_hw.vector.multiply_add import MultiplyAdd


def run(a, b, c):
    dut, out = MultiplyAdd(), []

    async def bench(ctx):
        for cycle in range(len(a) + dut.latency):
            if cycle >= dut.latency:
                out.append(ctx.get(dut.o))
            if cycle < len(a):
                for port, values in ((dut.a, a), (dut.b, b), (dut.c, c)):
                    ctx.set(port, int(values[cycle].view(np.uint32)))
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.run()
    return np.array(out, np.uint32)


def operands(count):
    rng = np.random.default_rng(3)
    special = np.float32([0, -0.0, 1, -1, np.inf, -np.inf, np.nan, 1e-42, 3e38, 2e-38])
    values = rng.standard_normal((3, count)).astype(np.float32)
    values *= np.exp2(rng.integers(-40, 40, values.shape)).astype(np.float32)
    chosen = rng.random(values.shape) < 0.2
    values[chosen] = rng.choice(special, chosen.sum())
    return values


def test_rounds_twice():
    a, b, c = operands(1000)
    np.testing.assert_array_equal(run(a, b, c), mac(a, b, c).view(np.uint32))


def test_products_and_sums():
    a, b, c = operands(300)
    zero, one = np.full_like(a, -0.0), np.ones_like(a)
    np.testing.assert_array_equal(run(a, b, zero), fmul(a, b).view(np.uint32))
    np.testing.assert_array_equal(run(a, one, c), fadd(a, c).view(np.uint32))
