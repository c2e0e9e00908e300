"""The whole accelerator on Verilator: training steps bit by bit, faults, resets."""

import pytest

from eftrain_hw.config import AcceleratorConfig

from .designs import AcceleratorDesign
from .runner import simulate

SMALL = AcceleratorConfig(
    drain_lanes=2, moving_words=128, stationary_words=128, accumulator_depth=64, bias_depth=64,
    descriptor_words=1024, pool_words=256, loss_words=64,
)  # fmt: skip
# configuration, bus address of the memory, (network, batch, valid images, pauses)
CASES = {
    "bfp8-8x8": (
        SMALL.replace(rows=8, lanes=8),
        0x1000_0FC0,
        [("strided", 3, 2, 0.0), ("pooled", 2, 2, 0.4), ("large_kernel", 5, 5, 0.1),
         ("perceptron", 9, 7, 0.8)],
    ),
    "bfp8-6x4-axi3": (
        SMALL.replace(rows=6, lanes=4, axi="axi3", address_bits=36),
        0x9_2000_0A40,
        [("strided", 2, 2, 0.3), ("pooled", 3, 1, 0.0), ("large_kernel", 1, 1, 0.6)],
    ),
    "fp32-4x4-1port": (
        SMALL.replace(rows=4, lanes=4, format="fp32", ports=1),
        0x3040,
        [("strided", 2, 1, 0.2), ("pooled", 2, 2, 0.0), ("perceptron", 5, 5, 0.7)],
    ),
}  # fmt: skip


@pytest.mark.rtl
@pytest.mark.parametrize("name", CASES)
def test_accelerator(name):
    config, base, steps = CASES[name]
    simulate(f"accelerator-{name}", lambda: AcceleratorDesign(config), "sim.bench_accelerator",
             config=config, base=base, steps=steps)
