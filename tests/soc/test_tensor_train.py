"""Tensor-train layers on the RTL: memory as the golden model says, cycles as the model says."""

import pytest

from eftrain_hw import AcceleratorConfig, optim
from eftrain_hw.compiler.timing import program_time
from sim.models.step_bench import StepBench
from sim.models.tensor_train_networks import TENSOR_TRAIN_NETWORKS, convolution, full_lanes

pytestmark = pytest.mark.rtl

CONFIG = AcceleratorConfig.preset("sim-small").replace(vector_programs=True)
NETWORKS = TENSOR_TRAIN_NETWORKS | {
    make.__name__: lambda make=make: make(CONFIG.lanes) for make in (convolution, full_lanes)
}


@pytest.mark.parametrize("name", NETWORKS)
def test_steps_and_inference_equal_golden(name):
    bench = StepBench(NETWORKS[name](), CONFIG, 3, valid=2, seed=1)
    bench.step("infer")
    bench.step()
    bench.new_batch(seed=100)
    bench.step()


def test_adam():
    optimizer = optim.Adam(lr=0.01)
    bench = StepBench(NETWORKS["first_on"](), CONFIG, 4, optimizer=optimizer, step={"number": 3})
    bench.step()


@pytest.mark.parametrize("name", ["first_on", "wide_ranks"])
def test_model_agrees_with_rtl(name):
    bench = StepBench(NETWORKS[name](), CONFIG, 32)
    cycles = bench.step().cycles
    modelled = program_time(CONFIG, bench.program.descriptors["train"])
    assert modelled == pytest.approx(cycles, rel=0.02), (modelled, cycles)
