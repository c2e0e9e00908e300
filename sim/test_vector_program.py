"""Vector programs on Verilator, every port pausing at random, against the NumPy machine."""

import pytest

from eftrain_hw.config import AcceleratorConfig
from eftrain_hw.vector.vector_unit import VectorUnit

from .runner import simulate

SMALL = AcceleratorConfig(pool_words=64, loss_words=64, vector_programs=True)
CONFIGS = {
    "bfp8-8": SMALL.replace(lanes=8),
    "bfp8-16": SMALL,
    "fp32-8": SMALL.replace(lanes=8, format="fp32"),
}
FIRST = {"bfp8-8": 0, "bfp8-16": 1000, "fp32-8": 2000}  # seeds


@pytest.mark.rtl
@pytest.mark.parametrize("name", CONFIGS)
def test_random_and_written_programs(name):
    config = CONFIGS[name]
    simulate(f"vector_program-{name}", lambda: VectorUnit(config), "sim.bench_vector_program",
             config=config, first=FIRST[name], programs=40)
