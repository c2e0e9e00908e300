"""The configuration's defaults."""

import pytest

from eftrain_hw import AcceleratorConfig


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ({}, 8),
        ({"rows": 12}, 4),
        ({"rows": 2, "lanes": 4}, 2),
        ({"format": "fp32"}, 4),
        ({"drain_lanes": 2}, 2),
    ],
)
def test_drains_as_much_as_divides_the_array(shape, expected):
    assert AcceleratorConfig(**shape).drain_lanes == expected
    assert AcceleratorConfig.from_dict(AcceleratorConfig(**shape).to_dict()).drain_lanes == expected


def test_drain_lanes_must_divide_the_array():
    message = (
        r"AcceleratorConfig.drain_lanes must be a power of two that divides rows \(12\) and lanes"
        r" \(16\), not 8"
    )
    with pytest.raises(ValueError, match=message):
        AcceleratorConfig(rows=12, drain_lanes=8)
