"""One cause for every state of the machine, in the order of blame."""

import pytest
from amaranth.sim import Simulator

from eftrain_hw.csr.step_log_format import CAUSES
from eftrain_hw.soc.array_cause import ArrayCause

NAMES = list(CAUSES)
DRAIN_HELD, VECTOR_HELD = 1, 2
LOAD_FULL, DRAIN_FULL, VECTOR_FULL = 1, 2, 4
CASES = [
    ({"mac_busy": 1, "writers_hold": 1, "full": 7, "held": 3}, "mac_busy"),
    ({"stall_hazard": 1, "held": 3, "writers_hold": 1}, "hazard"),
    ({"stall_accumulator": 1, "held": 3}, "drain"),
    ({"stall_accumulator": 1, "writers_hold": 1}, "store"),
    ({"stall_moving": 1, "load_busy": 1, "held": 3}, "load"),
    ({"stall_moving": 1}, "load"),
    ({"stall_moving": 1, "held": DRAIN_HELD}, "store"),
    ({"stall_moving": 1, "held": VECTOR_HELD}, "vector"),
    ({"stall_moving": 1, "held": DRAIN_HELD | VECTOR_HELD}, "vector"),
    ({"stall_stationary": 1, "load_busy": 1, "held": 3}, "stationary"),
    ({"stall_stationary": 1}, "stationary"),
    ({"stall_stationary": 1, "held": DRAIN_HELD}, "store"),
    ({"stall_stationary": 1, "held": VECTOR_HELD}, "vector"),
    ({"offered": 1, "full": 7}, "rest"),
    ({}, "descriptor"),
    ({"load_busy": 1, "drain_busy": 1, "vector_busy": 1}, "descriptor"),
    ({"full": LOAD_FULL, "load_busy": 1}, "load"),
    ({"full": LOAD_FULL, "held": DRAIN_HELD}, "store"),
    ({"full": LOAD_FULL, "held": VECTOR_HELD}, "vector"),
    ({"full": DRAIN_FULL}, "drain"),
    ({"full": DRAIN_FULL, "writers_hold": 1}, "store"),
    ({"full": VECTOR_FULL}, "vector"),
    ({"waits": 1, "vector_busy": 1, "drain_busy": 1}, "vector"),
    ({"waits": 1, "drain_busy": 1}, "rest"),
    ({"waits": 1, "drain_busy": 1, "writers_hold": 1}, "store"),
    ({"waits": 1}, "rest"),
]


@pytest.mark.parametrize(("inputs", "cause"), CASES)
def test_cause(inputs, cause):
    dut = ArrayCause()

    async def bench(ctx):
        for name, value in inputs.items():
            ctx.set(getattr(dut, name), value)
        await ctx.tick().repeat(2)
        assert NAMES[ctx.get(dut.cause)] == cause

    simulator = Simulator(dut)
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.run()


def test_positions_and_stalls_are_a_cycle_late_exactly():
    dut = ArrayCause()

    async def bench(ctx):
        for name, cause in (
            ("mac_busy", "mac_busy"), ("stall_hazard", "hazard"), ("stall_moving", "load"),
            ("stall_stationary", "stationary"), ("stall_accumulator", "drain"),
        ):  # fmt: skip
            assert NAMES[ctx.get(dut.cause)] in ("mac_busy", "descriptor")
            ctx.set(getattr(dut, name), 1)
            await ctx.tick()
            assert NAMES[ctx.get(dut.cause)] == cause
            ctx.set(getattr(dut, name), 0)
            await ctx.tick()
            assert NAMES[ctx.get(dut.cause)] == "descriptor"

    simulator = Simulator(dut)
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.run()


def test_every_cause_is_tested():
    assert {cause for _, cause in CASES} == set(CAUSES)
