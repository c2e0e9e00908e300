"""Sums beyond 32 bits, and none lost at any phase."""

import random

from eftrain_hw.csr.counters import Counters


def test_carry_into_the_high_word(simulate):
    """The increment is wide here, so that 64 bits fill in a short time."""
    dut = Counters([34, 1, 34])
    rng = random.Random(1)

    async def bench(ctx):
        for length in (1, 2, 5, 6, 7, 50, 301):
            totals = [0, 0, 0]
            ctx.set(dut.run, 1)
            ctx.set(dut.clear, 1)
            await ctx.tick()
            ctx.set(dut.clear, 0)
            for _ in range(length):
                for k, bits in enumerate((34, 1, 34)):
                    amount = rng.getrandbits(bits)
                    ctx.set(getattr(dut, f"increment_{k}"), amount)
                    totals[k] += amount
                await ctx.tick()
            ctx.set(dut.run, 0)
            await ctx.tick().repeat(dut.period + 1)
            for k in range(3):
                ctx.set(dut.select, k)
                await ctx.tick().repeat(3)
                assert ctx.get(dut.value) == totals[k], (length, k)

    simulate(dut, bench)
