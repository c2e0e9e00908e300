"""The weight reuse buffer on Verilator."""

import pytest

from eftrain_hw.config import AcceleratorConfig

from .designs import WeightReuseDesign
from .runner import simulate

CONFIG = AcceleratorConfig(rows=4, lanes=8, drain_lanes=2, stationary_words=64, bias_depth=64)


@pytest.mark.rtl
def test_weight_reuse():
    simulate("weight_reuse", lambda: WeightReuseDesign(CONFIG), "sim.bench_weight_reuse",
             config=CONFIG, slots=12)
