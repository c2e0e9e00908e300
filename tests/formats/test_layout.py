"""The blocked channel layout and the formats by name."""

import numpy as np
import pytest

from eftrain_hw.formats import BFP8, FP32, block_channels, format_named, unblock_channels


@pytest.mark.parametrize("lanes", [4, 8])
@pytest.mark.parametrize("channels", [1, 3, 4, 8, 17])
def test_channel_places(channels, lanes):
    rng = np.random.default_rng(channels)
    array = rng.standard_normal((2, channels, 3, 5)).astype(np.float32)
    blocked = block_channels(array, lanes)
    blocks = -(-channels // lanes)
    assert blocked.shape == (2, blocks, 3, 5, lanes)
    assert blocked.dtype == np.float32 and blocked.flags.c_contiguous
    for channel in range(blocks * lanes):
        expected = array[:, channel] if channel < channels else np.zeros((2, 3, 5))
        np.testing.assert_array_equal(blocked[:, channel // lanes, ..., channel % lanes], expected)
    np.testing.assert_array_equal(unblock_channels(blocked, channels), array)


@pytest.mark.parametrize("channels", [0, 9])
def test_unblock_rejects_channels(channels):
    blocked = np.zeros((1, 2, 1, 1, 4), np.float32)
    with pytest.raises(ValueError, match=f"^channels must be 1 to 8, not {channels}$"):
        unblock_channels(blocked, channels)


def test_format_names():
    assert isinstance(format_named("bfp8"), BFP8) and isinstance(format_named("fp32"), FP32)
    with pytest.raises(ValueError) as caught:
        format_named("bf16")
    assert str(caught.value) == "format must be one of ('bfp8', 'bfp16', 'fp32'), not 'bf16'"
