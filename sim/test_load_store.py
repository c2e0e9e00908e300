"""The DMA engine on Verilator: tiles into lane buffers, runs into memory, over paused AXI ports."""

import pytest

from eftrain_hw.config import AcceleratorConfig

from .designs import LoadStoreDesign
from .runner import simulate

SMALL = AcceleratorConfig(rows=4, drain_lanes=2, moving_words=256, stationary_words=64,
                          bias_depth=64)
CONFIGS = {
    "bfp8-8-axi4": SMALL.replace(lanes=8),
    "fp32-4-axi3": SMALL.replace(lanes=4, format="fp32", axi="axi3", address_bits=36),
}


@pytest.mark.rtl
@pytest.mark.parametrize("name", CONFIGS)
def test_load_store(name):
    config = CONFIGS[name]
    simulate(f"load_store-{name}", lambda: LoadStoreDesign(config), "sim.bench_load_store",
             config=config, tiles=12)
