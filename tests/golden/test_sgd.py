import numpy as np
import pytest

from eftrain_hw.formats import BFP8
from eftrain_hw.golden import sgd


def test_equals_the_scalar_model(scalar, same_bits):
    rng = np.random.default_rng(0)
    w, v, g = (rng.standard_normal((3, 5, 4)).astype(np.float32) for _ in range(3))
    g[0], v[0] = 1e-38, -1.1e-38  # sums that are flushed
    w[1, 0], v[1, 0], g[1, 0] = -0.0, 0.0, -0.0
    lr, momentum = np.float32(0.05), np.float32(0.9)
    velocity = np.zeros_like(v)
    weights = np.zeros_like(w)
    for at in np.ndindex(*w.shape):
        velocity[at] = scalar.mac(float(momentum), float(v[at]), float(g[at]))
        weights[at] = scalar.mac(-float(lr), float(velocity[at]), float(w[at]))
    new_w, new_v, copy = sgd(w, v, g, lr=0.05, momentum=0.9, format=BFP8())
    same_bits(new_v, velocity)
    same_bits(new_w, weights)
    for at in np.ndindex(3, 5):
        assert scalar.encode(weights[at].tolist()) == (
            copy.elements[at].tolist(),
            int(copy.exponents[at]),
        )


def test_no_format_no_copy_and_arguments_stay():
    w, v, g = np.ones(3, np.float32), np.zeros(3, np.float32), np.ones(3, np.float32)
    new_w, new_v, copy = sgd(w, v, g, lr=0.5, momentum=0.0)
    assert copy is None
    assert new_w.tolist() == [0.5] * 3 and new_v.tolist() == [1.0] * 3
    assert w.tolist() == [1.0] * 3 and v.tolist() == [0.0] * 3


def test_rejects_unequal_shapes():
    with pytest.raises(ValueError, match="must have one shape"):
        sgd(np.zeros(3), np.zeros(3), np.zeros(4), lr=0.1, momentum=0.9)
