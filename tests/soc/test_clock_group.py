# amaranth: UnusedElaboratable=no
"""A clock that stands still while its parts rest changes neither a cycle nor a byte."""

import numpy as np
import pytest
from amaranth.sim import Simulator

from eftrain_hw.soc.accelerator import Accelerator
from eftrain_hw.soc.clock_group import CLOCK_GROUPS, ClockGroup
from sim.models.networks import NETWORKS
from sim.models.step_bench import CONFIGS, StepBench


def active_cycles(busy, hold):
    """`active` in each cycle."""
    dut, seen = ClockGroup(hold=hold), []

    async def bench(ctx):
        for value in busy:
            ctx.set(dut.busy, value)
            seen.append(ctx.get(dut.active))
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.run()
    return seen


@pytest.mark.parametrize("hold", [1, 2, 31])
def test_active_outlasts_busy(hold):
    busy = [1, 1] + [0] * (hold + 2) + [1, 0, 1] + [0] * (hold + 1)
    expected = [1, 1] + [1] * hold + [0, 0] + [1, 1, 1] + [1] * hold + [0]
    assert active_cycles(busy, hold) == expected


def test_active_after_reset():
    assert active_cycles([0] * 5, 3) == [1, 1, 1, 0, 0]


def test_bad_hold():
    with pytest.raises(TypeError, match="ClockGroup hold must be an int, not 1.5"):
        ClockGroup(hold=1.5)
    with pytest.raises(ValueError, match="ClockGroup hold must be at least 1, not 0"):
        ClockGroup(hold=0)


def test_groups_name_parts_once():
    parts = [part for members, _ in CLOCK_GROUPS.values() for part in members]
    assert len(parts) == len(set(parts))


def test_ports_of_the_accelerator():
    names = {f"{kind}_{group}" for kind in ("clk", "active") for group in CLOCK_GROUPS}
    plain, gated = (Accelerator(CONFIGS["4x4"], gated_clocks=on) for on in (False, True))
    assert set(gated.signature.members) - set(plain.signature.members) == names
    assert gated.gated_clocks and not plain.gated_clocks


@pytest.mark.rtl
@pytest.mark.parametrize("options", [{}, {"stall": 0.4, "seed": 3, "latency": 90}])
def test_same_cycles_and_bytes(options):
    cycles, memories = [], []
    for gated in (True, False):
        bench = StepBench(
            NETWORKS["pooled"](), CONFIGS["4x4"], 3, gated_clocks=gated, **options
        )
        for seed in (1, 2):
            bench.new_batch(seed)
            bench.step()
        cycles.append(bench.device.run_cycles)
        memories.append(bench.memory.copy())
        bench.device.close()
    assert cycles[0] == cycles[1]
    np.testing.assert_array_equal(*memories)
