# amaranth: UnusedElaboratable=no

import numpy as np
import pytest
from amaranth.sim import Simulator

from eftrain_hw.array.pe_array import PEArray
from eftrain_hw.config import AcceleratorConfig


def config_of(rows, lanes, **more):
    shape = {"rows": rows, "lanes": lanes, "drain_lanes": 2, "accumulator_depth": 32}
    return AcceleratorConfig(**(shape | more))


def simulate(dut, testbench):
    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(testbench)
    sim.run()


def numbers(config, elements):
    if config.has_exponents:
        return [int(element) for element in elements]
    return [int(element) for element in np.asarray(elements, np.float32).view(np.uint32)]


class Feeder:
    """Puts rows and vectors on an array's inputs, and says what they should add up to."""

    def __init__(self, reference, config, dut, seed):
        self.reference, self.config, self.dut = reference, config, dut
        self.rng = np.random.default_rng(seed)
        self.shadow = [None] * config.rows
        self.active = list(self.shadow)
        self.sums = np.zeros((2, config.rows, config.accumulator_depth), np.float32)

    def random_vector(self):
        exponents = self.reference.exponents(self.rng, self.config.lanes)
        return self.reference.elements(self.config, self.rng, self.config.lanes), exponents

    def row(self, ctx, row):
        elements, exponents = self.random_vector()
        start = np.float32(self.rng.standard_normal())
        self.shadow[row] = (self.reference.values(self.config, elements, exponents), start)
        ctx.set(
            self.dut.stationary.payload,
            {
                "row": row,
                "start": self.reference.bits(start),
                "elements": numbers(self.config, elements),
                "exponents": [int(exponent) for exponent in exponents],
            },
        )
        ctx.set(self.dut.stationary.valid, 1)

    def vector(self, ctx, position, *, swap, first=False, bank=0, ones=False, zero=False):
        elements, exponents = self.random_vector()
        ctx.set(
            self.dut.moving.payload,
            {
                "position": position,
                "bank": bank,
                "first": first,
                "swap": swap,
                "ones": ones,
                "zero": zero,
                "elements": numbers(self.config, elements),
                "exponents": [int(exponent) for exponent in exponents],
            },
        )
        ctx.set(self.dut.moving.valid, 1)
        if swap:
            self.active = list(self.shadow)
        if ones or zero:
            elements, exponents = self.reference.constant(self.config, ones)
        rows = np.stack([values for values, _ in self.active])
        moving = self.reference.values(self.config, elements, exponents)
        sums = self.sums[bank, :, position]
        before = np.array([start for _, start in self.active]) if first else sums
        sums[:] = self.reference.add(before, self.reference.terms(self.config, rows, moving))

    def nothing(self, ctx):
        ctx.set(self.dut.stationary.valid, 0)
        ctx.set(self.dut.moving.valid, 0)

    async def drain(self, ctx, bank, positions):
        port, lanes = self.dut.accumulator, self.config.drain_lanes
        for position in positions:
            for group in range(self.config.rows // lanes):
                ctx.set(port.bank, bank)
                ctx.set(port.position, position)
                ctx.set(port.group, group)
                await ctx.tick().repeat(self.dut.drain_latency)
                for lane in range(lanes):
                    expected = self.reference.bits(self.sums[bank, group * lanes + lane, position])
                    assert ctx.get(port.values[lane]) == expected, (bank, position, group, lane)


@pytest.mark.parametrize(
    "config",
    [
        config_of(2, 4),
        config_of(4, 4),
        config_of(6, 8),
        config_of(4, 4, format="fp32"),
    ],
    ids=lambda config: f"{config.rows}x{config.lanes}-{config.format}",
)
def test_sums_without_a_gap_between_sweeps(reference, config):
    dut = PEArray(config, checks=True)
    feeder = Feeder(reference, config, dut, seed=config.rows)
    length, sweeps = max(config.rows, dut.update_latency), 4

    async def testbench(ctx):
        for row in range(config.rows):  # rows in the cycles right before the swap
            feeder.row(ctx, row)
            await ctx.tick()
            feeder.nothing(ctx)
        for sweep in range(sweeps):
            for k in range(length):
                feeder.nothing(ctx)
                if sweep < sweeps - 1 and k >= length - config.rows:
                    feeder.row(ctx, k - length + config.rows)
                feeder.vector(
                    ctx,
                    (5 * k) % 32,
                    swap=k == 0,
                    first=sweep == 0,
                    ones=k == 3,
                    zero=k == 5,
                    bank=k & 1,
                )
                await ctx.tick()
        feeder.nothing(ctx)
        await ctx.tick().repeat(dut.latency - 1)  # exactly: the last sum can be read now
        last = 5 * (length - 1) % 32
        await feeder.drain(ctx, (length - 1) & 1, [last])
        for bank in range(2):
            await feeder.drain(ctx, bank, [5 * k % 32 for k in range(length) if k & 1 == bank])

    simulate(dut, testbench)


def test_rows_in_the_cycle_of_a_swap_belong_to_the_next(reference):
    config = config_of(4, 4)
    dut = PEArray(config, checks=True)
    feeder = Feeder(reference, config, dut, seed=7)

    async def testbench(ctx):
        for row in range(4):
            feeder.row(ctx, row)
            await ctx.tick()
        for cycle in range(12):  # sweeps of exactly `rows` vectors, rows from the swap on
            feeder.vector(ctx, cycle, swap=cycle % 4 == 0, first=True)
            feeder.row(ctx, cycle % 4)
            await ctx.tick()
        feeder.nothing(ctx)
        await ctx.tick().repeat(dut.latency)
        await feeder.drain(ctx, 0, range(12))

    simulate(dut, testbench)


def test_a_bank_drains_while_the_other_is_written(reference):
    config = config_of(4, 4)
    dut = PEArray(config, checks=True)
    feeder = Feeder(reference, config, dut, seed=8)

    async def testbench(ctx):
        for row in range(4):
            feeder.row(ctx, row)
            await ctx.tick()
        feeder.nothing(ctx)
        for cycle in range(16):
            feeder.vector(ctx, cycle, swap=cycle == 0, first=True)
            await ctx.tick()
        feeder.nothing(ctx)
        await ctx.tick().repeat(dut.latency)
        before = feeder.sums[0].copy()
        port = dut.accumulator
        expected = []
        for cycle in range(60):  # a value every cycle from bank 0, a vector every cycle to bank 1
            position, group = cycle % 16, cycle % 2
            ctx.set(port.position, position)
            ctx.set(port.group, group)
            expected.append([before[2 * group + lane, position] for lane in range(2)])
            feeder.vector(ctx, cycle % 16, swap=False, first=True, bank=1)
            await ctx.tick()
            if cycle >= dut.drain_latency - 1:
                values = expected[cycle - dut.drain_latency + 1]
                for lane in range(2):
                    assert ctx.get(port.values[lane]) == reference.bits(values[lane])
        feeder.nothing(ctx)
        await ctx.tick().repeat(dut.latency)
        await feeder.drain(ctx, 1, range(16))

    simulate(dut, testbench)


def test_a_position_that_returns_too_early_is_caught(reference):
    config = config_of(2, 4)
    dut = PEArray(config, checks=True)
    feeder = Feeder(reference, config, dut, seed=9)

    def after(distance):
        async def testbench(ctx):
            for row in range(2):
                feeder.row(ctx, row)
                await ctx.tick()
            feeder.nothing(ctx)
            for cycle in range(60):
                feeder.nothing(ctx)
                if cycle in (0, distance):
                    feeder.vector(ctx, 3, swap=cycle == 0, first=cycle == 0)
                await ctx.tick()
            await feeder.drain(ctx, 0, [3])

        return testbench

    simulate(dut, after(dut.update_latency))
    with pytest.raises(AssertionError, match="within the accumulator latency"):
        simulate(dut, after(dut.update_latency - 1))
