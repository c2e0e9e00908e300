"""The PE array behind its walkers and buffers, on Verilator."""

import pytest

from eftrain_hw.config import AcceleratorConfig

from .designs import ArrayDesign
from .runner import simulate

SMALL = AcceleratorConfig(drain_lanes=2, moving_words=64, stationary_words=64, bias_depth=32,
                          accumulator_depth=64)
CONFIGS = {
    "bfp8-6x4": SMALL.replace(rows=6, lanes=4),
    "bfp8-4x16": SMALL.replace(rows=4, lanes=16),
    "fp32-4x8": SMALL.replace(rows=4, lanes=8, format="fp32"),
}


@pytest.mark.rtl
@pytest.mark.parametrize("name", CONFIGS)
def test_array(name):
    config = CONFIGS[name]
    simulate(f"array-{name}", lambda: ArrayDesign(config), "sim.bench_array", config=config,
             banks=6)
