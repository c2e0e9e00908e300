"""The whole design of a Zynq board on Verilator, behind a model of the processing system."""

import pytest

from eftrain_hw.config import AcceleratorConfig

from .runner import simulate
from .zynq_design import ZynqDesign

SMALL = AcceleratorConfig.preset("sim-small").replace(
    drain_lanes=2, pool_words=256, loss_words=64, axi="axi3"
)
# configuration, bus address of the memory, (network, batch, valid images, pauses)
CASES = {
    "zynq-7000": (
        SMALL,
        0x1000_0FC0,
        [("strided", 3, 2, 0.0), ("pooled", 2, 2, 0.4), ("perceptron", 9, 7, 0.8)],
    ),
    "zynq-ultrascale": (
        SMALL.replace(rows=4, lanes=4, axi="axi4", ports=4, max_burst_beats=64, address_bits=36),
        0x8_2000_0A40,
        [("pooled", 2, 2, 0.3)],
    ),
}


@pytest.mark.rtl
@pytest.mark.parametrize("name", CASES)
def test_zynq(name):
    config, base, steps = CASES[name]
    simulate(
        name, lambda: ZynqDesign(config), "sim.bench_zynq", config=config, base=base, steps=steps
    )
