"""The step log of whole steps: sums exact, every descriptor named, readable after an error."""

from dataclasses import replace
from math import prod

import pytest

from eftrain_hw.array.commands import COMPUTE
from eftrain_hw.csr.step_log_format import CAUSES, LATE
from eftrain_hw.runtime.device import DeviceError
from eftrain_hw.sequencer.interpreter import issued_commands
from eftrain_hw.sequencer.opcodes import LAYOUTS
from eftrain_hw.sequencer.program_format import padded
from eftrain_hw.streams.command import NOP
from sim.models.faults import DESCRIPTORS, READS, WRITES, Faults
from sim.models.networks import NETWORKS
from sim.models.step_bench import CONFIGS, StepBench

pytestmark = pytest.mark.rtl

MEMORIES = {
    "plain": {},
    "slow": {"latency": 250, "bytes_per_cycle": 3},
    "pausing": {"latency": 20, "stall": 0.5, "seed": 7},
}
ENGINES = {
    layout.opcode: layout.name if layout.name in ("load", "compute", "drain") else "vector"
    for layout in LAYOUTS
    if layout.opcode != NOP.opcode
}


def commands(descriptor):
    """What a descriptor alone issues."""
    return list(issued_commands(padded(replace(descriptor, last=True).words())))


def positions(fields):
    """Cycles that the array works on a compute command."""
    sweeps = prod(fields[name] for name in ("m_tiles", "outer0", "outer1", "outer2"))
    return sweeps * (prod(fields[f"inner{k}"] for k in range(4)) + fields["ones"])


def check(profile, counters, descriptors):
    """Sums, exactly, against the counters and against what the program says."""
    assert profile.complete
    assert sum(profile.causes.values()) == profile.cycles == counters["cycles"]
    assert profile.causes["mac_busy"] == counters["mac_busy"]
    assert profile.causes["hazard"] == counters["stall_hazard"]
    waits = sum(counters[f"stall_{name}"] for name in ("moving", "stationary", "accumulator"))
    assert sum(profile.causes[name] for name in CAUSES) == profile.cycles
    assert waits <= sum(
        profile.causes[name] for name in ("load", "stationary", "drain", "store", "vector")
    )
    assert [each.index for each in profile.descriptors] == list(range(len(descriptors)))
    before = {}
    for each, descriptor in zip(profile.descriptors, descriptors):
        issued = commands(descriptor)
        assert set(each.lanes) == {"sequencer", *(ENGINES[command.opcode] for command in issued)}
        macs = sum(positions(c.fields) for c in issued if c.opcode == COMPUTE.opcode)
        assert each.mac_busy == macs, each.name
        assert bool(each.causes) == ("compute" in each.lanes) or each.index == 0
        assert not each.unfinished
        for lane, span in each.lanes.items():
            assert before.get(lane, 0) <= span.start <= span.end <= profile.cycles
            before[lane] = span.end
        assert each.lanes["sequencer"].start <= each.start + LATE


@pytest.mark.parametrize("memory", MEMORIES)
@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("name, batch", [("digits", 2), ("pooled", 3), ("perceptron", 1)])
def test_sums_are_exact(name, batch, config, memory):
    bench = StepBench(NETWORKS[name](), CONFIGS[config], batch, **MEMORIES[memory])
    for program in ("train", "infer", "train"):
        result = bench.step(program)
        descriptors = bench.program.descriptors[program]
        names = [bench.program.tags[descriptor.tag] for descriptor in descriptors]
        profile = bench.device.profile()
        assert [each.name for each in profile.descriptors] == names
        check(profile, result.counters, descriptors)
        assert bench.device.profile() == profile  # reading changes nothing


def test_a_slow_memory_is_to_blame():
    """The same step with less bandwidth: what is added is waiting for the memory."""
    profiles = []
    for options in ({"latency": 1, "bytes_per_cycle": 64}, {"latency": 250, "bytes_per_cycle": 3}):
        bench = StepBench(NETWORKS["digits"](), CONFIGS["4x4"], 2, **options)
        bench.step()
        profiles.append(bench.device.profile())
    quick, slow = (profile.causes for profile in profiles)
    assert quick["mac_busy"] == slow["mac_busy"]
    memory = ("load", "stationary", "drain", "store", "vector")
    more = {name: slow[name] - quick[name] for name in CAUSES}
    added = profiles[1].cycles - profiles[0].cycles
    assert sum(more[name] for name in memory) > 0.5 * added > 0
    assert more["descriptor"] > 0  # descriptors come from the same memory


@pytest.mark.parametrize("k", range(0, DESCRIPTORS, 3))
@pytest.mark.parametrize("way", ["read", "write"])
def test_log_of_a_step_that_failed(k, way):
    """It ends at the error; who was at work is in it, until the next step."""
    faults = Faults()
    bench = faults.bench
    fields = READS if way == "read" else WRITES
    _, start, count = faults.touched(k, fields)[0]
    faults.alone(k)
    faults.set((start, count, "slverr", way))
    with pytest.raises(DeviceError) as error:
        bench.run()
    for _ in range(2):
        profile = bench.device.profile()
        assert profile.complete
        assert profile.cycles == bench.host.read("counter_cycles")
        assert sum(profile.causes.values()) == profile.cycles
        (only,) = profile.descriptors  # the program has this one alone
        assert only.index == bench.host.read("error_index") == 0
        assert only.unfinished and set(only.unfinished) <= set(only.lanes)
        assert all(only.lanes[lane].end == profile.cycles for lane in only.unfinished)
        assert error.value.layer == faults.layers[k]
        bench.simulation.run(300)
    bench.host.soft_reset()
    assert bench.device.profile() == profile
    faults.recovers()
    check(bench.device.profile(), bench.host.counters(), faults.descriptors)


def test_error_in_the_middle_of_a_step():
    """The descriptors before are finished; the one that failed is at work."""
    faults = Faults()
    k = 9
    tensor = next(name for name, _, _ in faults.touched(k, WRITES))
    assert faults.first(tensor, "write") == k
    _, start, count = faults.touched(k, WRITES)[0]
    faults.set((start, count, "slverr", "write"))
    with pytest.raises(DeviceError) as error:
        faults.bench.run()
    profile = faults.bench.device.profile()
    assert sum(profile.causes.values()) == profile.cycles
    at_work = {each.name for each in profile.descriptors if each.unfinished}
    assert error.value.layer in at_work and faults.layers[k] in at_work
    assert all(not each.unfinished for each in profile.descriptors[: k - 3])
    assert k < len(profile.descriptors) <= k + 5


def test_soft_reset_keeps_the_log():
    bench = StepBench(NETWORKS["digits"](), CONFIGS["4x4"], 2, step_limit=3000)
    with pytest.raises(DeviceError, match="step_limit"):
        bench.run()
    with pytest.raises(DeviceError, match="the step has not ended"):
        bench.device.profile()
    bench.host.soft_reset()
    profile = bench.device.profile()
    assert 3000 <= profile.cycles == sum(profile.causes.values())
    assert any(each.unfinished for each in profile.descriptors)


def test_clocks_that_stand_still_change_nothing():
    profiles = []
    for gated in (False, True):
        bench = StepBench(NETWORKS["pooled"](), CONFIGS["4x4"], 3, latency=60, gated_clocks=gated)
        bench.step()
        profiles.append(bench.device.profile())
    assert profiles[0] == profiles[1]
