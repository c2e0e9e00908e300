"""Steps of every kind of convolution on the RTL leave the golden model's memory, byte by byte."""

import pytest

from sim.models.conv_networks import CONV_NETWORKS
from sim.models.step_bench import CONFIGS, StepBench

pytestmark = pytest.mark.rtl


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("name", CONV_NETWORKS)
def test_steps_and_inference_equal_golden(name, config):
    bench = StepBench(CONV_NETWORKS[name](), CONFIGS[config], 3, seed=1)
    bench.step("infer")
    bench.step()
    names = {name for name, spec in bench.program.tensors.items() if spec.kind != "program"}
    assert names == set(bench.tensors), "a tensor was not compared"
    bench.new_batch(seed=100)
    bench.step()


def passes(bench, kind):
    """Layers that a kind of pass is made of."""
    names = [name.split(".")[0] for name in bench.program.tags.values() if name.endswith(kind)]
    return sorted(set(names))


def test_what_is_frozen_has_no_gradient():
    bench = StepBench(CONV_NETWORKS["partly_frozen"](), CONFIGS["4x4"], 2)
    assert passes(bench, "weight gradient") == ["10", "2", "6"]
    assert passes(bench, "bias gradient") == ["0", "4", "8"]
    assert "2.bias.gradient" not in bench.program.tensors
    assert "4.weight.gradient" not in bench.program.tensors


def test_weights_between_groups_stay_zero():
    bench = StepBench(CONV_NETWORKS["grouped"](), CONFIGS["4x4"], 2)
    before = bench.device.read_tensor("4.weight.master")
    bench.step()
    after, mask = (bench.device.read_tensor(f"4.weight.{name}") for name in ("master", "mask"))
    assert 0 < mask.sum() < mask.size
    assert not after[mask == 0].any() and (after != before).any()
