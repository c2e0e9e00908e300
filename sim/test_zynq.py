"""The whole design of a Zynq board on Verilator, behind a model of the processing system."""

import pytest

from eftrain_hw.config import AcceleratorConfig

from .runner import simulate
from .zynq_design import ZynqDesign

CONFIG = AcceleratorConfig.preset("sim-small").replace(
    axi="axi3", drain_lanes=2, pool_words=256, loss_words=64
)
STEPS = [("strided", 3, 2, 0.0), ("pooled", 2, 2, 0.4), ("perceptron", 9, 7, 0.8)]


@pytest.mark.rtl
def test_zynq():
    simulate("zynq", lambda: ZynqDesign(CONFIG), "sim.bench_zynq", config=CONFIG,
             base=0x1000_0FC0, steps=STEPS)
