"""Convolutions of every kind beside vector programs on the RTL: memory as the golden model says."""

import pytest

from eftrain_hw import AcceleratorConfig, nn
from sim.models.mixed_networks import MIXED_NETWORKS
from sim.models.step_bench import StepBench

pytestmark = pytest.mark.rtl

CONFIG = AcceleratorConfig.preset("sim-small").replace(vector_programs=True)


@pytest.mark.parametrize("name", MIXED_NETWORKS)
def test_steps_and_inference_equal_golden(name):
    loss = nn.MSELoss() if name in ("autoencoder", "unet") else None
    bench = StepBench(MIXED_NETWORKS[name](), CONFIG, 3, valid=2, seed=1, loss=loss)
    bench.step("infer")
    bench.step()
    bench.new_batch(seed=100)
    bench.step()
