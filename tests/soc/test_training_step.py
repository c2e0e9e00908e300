"""Whole training steps on the RTL leave the golden model's memory, byte by byte."""

import pytest

from eftrain_hw.csr.registers import REGISTERS
from sim.models.networks import NETWORKS
from sim.models.step_bench import CONFIGS, StepBench

pytestmark = pytest.mark.rtl

CONTROL = next(register.address for register in REGISTERS if register.name == "control")
MEMORIES = {
    "quick": {"latency": 1, "bytes_per_cycle": 64},
    "slow": {"latency": 250, "bytes_per_cycle": 3},
    "pausing": {"latency": 20, "stall": 0.5, "seed": 7},
    "hardly-moving": {"latency": 5, "stall": 0.9, "seed": 8},
}


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize(
    "name, batch",
    [
        ("digits", 2),
        ("odd", 1),
        ("odd", 4),
        ("pooled", 3),
        ("pooled", 5),
        ("large_kernels", 2),
        ("large_kernels", 3),
        ("perceptron", 1),
        ("perceptron", 5),
    ],
)
def test_steps_and_inference_equal_golden(name, batch, config):
    bench = StepBench(NETWORKS[name](), CONFIGS[config], batch, seed=batch)
    bench.step("infer")
    untouched = {name for name, spec in bench.program.tensors.items() if spec.kind == "gradient"}
    assert untouched and not untouched & set(bench.tensors)
    bench.step()
    names = {name for name, spec in bench.program.tensors.items() if spec.kind != "program"}
    assert names == set(bench.tensors), "a tensor was not compared"
    bench.new_batch(seed=100)
    bench.step()


@pytest.mark.parametrize("memory", MEMORIES)
@pytest.mark.parametrize(
    "config, name, batch",
    [("4x4", "pooled", 2), ("6x8-four-ports", "digits", 1), ("4x4-fp32-axi3", "pooled", 1)],
)
def test_any_memory(config, name, batch, memory):
    bench = StepBench(NETWORKS[name](), CONFIGS[config], batch, **MEMORIES[memory])
    for seed in (50, 51):
        bench.new_batch(seed)
        bench.step()


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("valid", [1, 3])
def test_partial_batch(valid, config):
    bench = StepBench(NETWORKS["pooled"](), CONFIGS[config], 5, valid=valid)
    for seed in (60, 61):
        bench.new_batch(seed)
        bench.step()


def test_many_steps_change_the_weights():
    bench = StepBench(NETWORKS["digits"](), CONFIGS["4x4"], 3, latency=10)
    seen = set()
    for seed in range(10):
        bench.new_batch(seed)
        bench.step("infer" if seed % 4 == 3 else "train")
        seen.add(bench.tensors["0.weight"].elements.tobytes())
    assert len(seen) == 8


@pytest.mark.parametrize("base", [0, 64, (1 << 32) - (1 << 16)])
def test_memory_may_start_anywhere(base):
    StepBench(NETWORKS["perceptron"](), CONFIGS["4x4"], 2, memory_base=base).step()


def test_memory_that_ends_beyond_the_addresses():
    """The last address is not usable: the window's limit would be 2^32."""
    message = r"takes 24576 bytes from memory_base 0xffffa000; they must end below 2\^32"
    with pytest.raises(ValueError, match=message):
        StepBench(NETWORKS["perceptron"](), CONFIGS["4x4"], 2, memory_base=(1 << 32) - 24576)


@pytest.mark.parametrize("name", ["train", "infer"])
def test_the_host_does_nothing_from_doorbell_to_interrupt(name):
    bench = StepBench(NETWORKS["digits"](), CONFIGS["4x4"], 2)
    before = bench.simulation.counters()
    result = bench.step(name)
    after = bench.simulation.counters()
    doorbell = bench.log.index(("write", CONTROL))
    came, bus_busy = bench.log[doorbell + 1]
    assert came, "the host did not wait for one interrupt, and for nothing else"
    assert not bus_busy, "the interrupt came before the last write was answered"
    assert bench.log.count(("write", CONTROL)) == 1
    assert bench.status() == {"idle", "done"}
    counters = result.counters
    assert counters["descriptors"] == len(bench.program.descriptors[name])
    assert counters["read_beats"] * 8 == after["read_bytes"] - before["read_bytes"]
    assert counters["write_beats"] * 8 == after["write_bytes"] - before["write_bytes"]
    stalls = sum(value for name, value in counters.items() if name.startswith("stall_"))
    assert 0 < counters["mac_busy"] < result.cycles
    assert counters["mac_busy"] + stalls <= result.cycles
    assert result.cycles <= after["cycles"] - before["cycles"]
