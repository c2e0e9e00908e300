"""Layers that become vector programs, on the RTL: memory as the golden model says, every byte."""

import pytest

from eftrain_hw import AcceleratorConfig
from sim.models.program_networks import PROGRAM_NETWORKS
from sim.models.step_bench import StepBench

pytestmark = pytest.mark.rtl

CONFIG = AcceleratorConfig.preset("sim-small").replace(vector_programs=True)


@pytest.mark.parametrize("name", PROGRAM_NETWORKS)
def test_steps_and_inference_equal_golden(name):
    bench = StepBench(PROGRAM_NETWORKS[name](), CONFIG, 3, valid=2, seed=1)
    bench.step("infer")
    bench.step()
    bench.new_batch(seed=100)
    bench.step()


def test_a_slow_memory():
    bench = StepBench(PROGRAM_NETWORKS["residual"](), CONFIG, 2, latency=90, bytes_per_cycle=3)
    bench.step()
