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


def test_chains_in_luts_are_no_more_than_the_array_has():
    config = AcceleratorConfig(rows=32, lut_chains=64)
    assert config.replace(rows=16).lut_chains == 32
    assert config.replace(rows=8, lanes=8, format="fp32").lut_chains == 0
    assert config.replace(lut_chains=3).lut_chains == 3
    with pytest.raises(
        ValueError, match="^AcceleratorConfig.lut_chains must be 0 to 32, the chains of the array, "
        "0 with format fp32, not 33$",
    ):
        AcceleratorConfig(lut_chains=33)
    with pytest.raises(ValueError, match="^AcceleratorConfig.lut_chains must be 0 to 0"):
        AcceleratorConfig(format="fp32", lut_chains=1)


def test_drain_lanes_must_divide_the_array():
    message = (
        r"AcceleratorConfig.drain_lanes must be a power of two that divides rows \(12\) and lanes"
        r" \(16\), not 8"
    )
    with pytest.raises(ValueError, match=message):
        AcceleratorConfig(rows=12, drain_lanes=8)
