"""The layer sequencer on Verilator."""

import pytest

from eftrain_hw.config import AcceleratorConfig

from .designs import SequencerDesign
from .runner import simulate

CONFIG = AcceleratorConfig(rows=4, lanes=8, drain_lanes=2, descriptor_words=1024,
                           max_burst_beats=16)


@pytest.mark.rtl
def test_sequencer():
    simulate("sequencer", lambda: SequencerDesign(CONFIG), "sim.bench_sequencer", config=CONFIG,
             descriptors=8)
