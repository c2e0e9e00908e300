# amaranth: UnusedElaboratable=no

import pytest

from eftrain_hw.array.accumulator import Accumulator
from eftrain_hw.array.moving_walker import MovingWalker
from eftrain_hw.array.pe_array import PEArray
from eftrain_hw.array.row_pair import RowPair
from eftrain_hw.array.stationary_walker import StationaryWalker
from eftrain_hw.config import AcceleratorConfig

CONFIG = AcceleratorConfig(rows=2, lanes=4, drain_lanes=2)


@pytest.mark.parametrize(
    "make, error, message",
    [
        (
            lambda: Accumulator(depth="8"),
            TypeError,
            "Accumulator depth must be an int, not '8'",
        ),
        (
            lambda: Accumulator(depth=12),
            ValueError,
            "Accumulator depth must be a power of two, not 12",
        ),
        (
            lambda: RowPair(None),
            TypeError,
            "RowPair config must be an AcceleratorConfig, not None",
        ),
        (
            lambda: RowPair(CONFIG, primitives=7),
            ValueError,
            "RowPair primitives must be one of ('portable', 'xilinx7'), not 7",
        ),
        (
            lambda: PEArray(3),
            TypeError,
            "PEArray config must be an AcceleratorConfig, not 3",
        ),
        (
            lambda: PEArray(CONFIG, primitives="lut"),
            ValueError,
            "PEArray primitives must be one of ('portable', 'xilinx7'), not 'lut'",
        ),
        (
            lambda: StationaryWalker({}),
            TypeError,
            "StationaryWalker config must be an AcceleratorConfig, not {}",
        ),
        (
            lambda: MovingWalker(1, spacing=11, publish_delay=3),
            TypeError,
            "MovingWalker config must be an AcceleratorConfig, not 1",
        ),
        (
            lambda: MovingWalker(CONFIG, spacing=1.5, publish_delay=3),
            TypeError,
            "MovingWalker spacing must be an int, not 1.5",
        ),
        (
            lambda: MovingWalker(CONFIG, spacing=11, publish_delay=0),
            ValueError,
            "MovingWalker publish_delay must be at least 1, not 0",
        ),
    ],
)
def test_rejected_parameter(make, error, message):
    with pytest.raises(error) as raised:
        make()
    assert str(raised.value) == message
