import numpy as np
import pytest

from eftrain_hw.formats import (
    FP32,
    Blocked,
    block_channels,
    blocked_to_linear,
    blocked_to_weights,
    linear_to_blocked,
    weights_to_blocked,
)
from eftrain_hw.golden import conv_forward


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (3, 5, 3, 2), (8, 4, 1, 3), (17, 31, 3, 3)])
def test_weights_go_to_their_lanes_and_back(shape):
    weights = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    blocked = weights_to_blocked(weights, 4)
    assert blocked.shape == (-(-shape[0] // 4), -(-shape[1] // 4), *shape[2:], 4, 4)
    for o, i, kr, kc in np.ndindex(*shape):
        assert blocked[o // 4, i // 4, kr, kc, i % 4, o % 4] == weights[o, i, kr, kc]
    assert np.count_nonzero(blocked) == np.count_nonzero(weights)
    np.testing.assert_array_equal(blocked_to_weights(blocked, *shape[:2]), weights)


@pytest.mark.parametrize("shape", [(1, 1, 1), (5, 2, 3), (8, 3, 3)])
def test_linear_weights_meet_their_pixels(shape):
    rng = np.random.default_rng(1)
    weights = rng.integers(-8, 8, (6, int(np.prod(shape)))).astype(np.float32)
    x = rng.integers(-8, 8, (3, *shape)).astype(np.float32)
    blocked = linear_to_blocked(weights, shape, 4)
    np.testing.assert_array_equal(blocked_to_linear(blocked, shape, 6), weights)
    format = FP32()
    maps = Blocked.encode(format, block_channels(x, 4))
    maps = maps.reshape(3, -1, 1, 1)
    y = conv_forward(maps, Blocked.encode(format, blocked), None, encode=False)
    # small integers: exact in any order
    np.testing.assert_array_equal(y.reshape(3, -1)[:, :6], x.reshape(3, -1) @ weights.T)


def test_rejects():
    with pytest.raises(ValueError, match=r"weights must be \(O, I, kh, kw\)"):
        weights_to_blocked(np.zeros((3, 3)), 4)
    with pytest.raises(ValueError, match=r"weights must be \(O, 8\)"):
        linear_to_blocked(np.zeros((3, 3)), (2, 2, 2), 4)
    blocked = np.zeros((1, 1, 1, 1, 4, 4), np.float32)
    with pytest.raises(ValueError, match="out_channels must be 1 to 4, not 5"):
        blocked_to_weights(blocked, 5, 1)
    with pytest.raises(ValueError, match="in_channels must be 1 to 4, not 0"):
        blocked_to_weights(blocked, 4, 0)
    with pytest.raises(ValueError, match=r"weights must be of a map of \(4, 2, 2\)"):
        blocked_to_linear(blocked, (4, 2, 2), 4)
