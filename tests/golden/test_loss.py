import numpy as np
import pytest

from eftrain_hw.formats import BFP8, FP32
from eftrain_hw.golden import cross_entropy


def problem(images, blocks, lanes, classes, spread, seed=0):
    rng = np.random.default_rng(seed)
    logits = (rng.standard_normal((images, blocks, 1, 1, lanes)) * spread).astype(np.float32)
    return logits, rng.integers(0, classes, images)


@pytest.mark.parametrize(
    "images,blocks,lanes,classes,valid,spread",
    [(3, 1, 4, 3, 3, 1), (5, 3, 4, 10, 4, 30), (2, 2, 8, 16, 1, 1e-3), (4, 1, 4, 1, 4, 1e30)],
)
def test_equals_the_scalar_model(images, blocks, lanes, classes, valid, spread, scalar, same_bits):
    logits, labels = problem(images, blocks, lanes, classes, spread)
    inv_n = np.float32(1 / valid)
    losses, loss, gradient = cross_entropy(
        logits, labels, classes=classes, valid=valid, inv_n=inv_n, format=FP32()
    )
    expected = np.zeros((images, blocks * lanes), np.float32)
    expected_losses = np.zeros(images, np.float32)
    total = 0.0
    for n in range(valid):
        z = logits[n].reshape(-1)[:classes].tolist()
        one, row = scalar.cross_entropy_image(z, int(labels[n]), float(inv_n))
        expected_losses[n], expected[n, :classes] = one, row
        total = scalar.add(total, one)
    same_bits(losses, expected_losses)
    same_bits(np.float32(loss), np.float32(scalar.multiply(total, float(inv_n))))
    same_bits(gradient.elements, expected.reshape(logits.shape))
    # the format only rounds that gradient
    _, _, rounded = cross_entropy(
        logits, labels, classes=classes, valid=valid, inv_n=inv_n, format=BFP8()
    )
    for vector, elements, exponent in zip(
        expected.reshape(-1, lanes).tolist(),
        rounded.elements.reshape(-1, lanes).tolist(),
        rounded.exponents.reshape(-1).tolist(),
        strict=True,
    ):
        assert scalar.encode(vector) == (elements, exponent)


def test_gradient_of_an_image_sums_to_nothing():
    logits, labels = problem(64, 1, 16, 10, 5)
    losses, loss, gradient = cross_entropy(
        logits, labels, classes=10, valid=64, inv_n=1 / 64, format=FP32()
    )
    # ten roundings of values up to 1/64
    assert np.abs(gradient.elements.astype(np.float64).sum(axis=-1)).max() < 10 * 2.0**-30
    assert (gradient.elements[..., 10:] == 0).all()
    assert (losses >= 0).all()
    assert loss == pytest.approx(losses.mean(dtype=np.float64), rel=1e-5)


def test_huge_logits_stay_finite():
    logits = np.float32([3e38, -3e38, 0, 0]).reshape(1, 1, 1, 1, 4)
    losses, loss, gradient = cross_entropy(
        logits, np.array([0]), classes=3, valid=1, inv_n=1.0, format=FP32()
    )
    assert loss == 0 and losses[0] == 0
    assert (gradient.elements == 0).all()


def test_no_valid_image_gives_nothing():
    logits, labels = problem(2, 1, 4, 3, 1)
    losses, loss, gradient = cross_entropy(
        logits, labels, classes=3, valid=0, inv_n=1.0, format=BFP8()
    )
    assert not losses.any() and loss == 0
    assert not gradient.elements.any() and not gradient.exponents.any()


@pytest.mark.parametrize(
    "change,message",
    [
        ({"classes": 5}, "classes must be 1 to 4, not 5"),
        ({"valid": 3}, "valid must be 0 to 2, not 3"),
        ({"labels": np.array([0, 4])}, "labels must be 0 to 2"),
        ({"labels": np.array([0])}, "labels must have shape"),
        ({"logits": np.zeros((2, 4), np.float32)}, "logits must be"),
    ],
)
def test_rejects(change, message):
    logits, labels = problem(2, 1, 4, 3, 1)
    options = {"classes": 3, "valid": 2, "inv_n": 0.5, "format": FP32()}
    arguments = {"logits": logits, "labels": labels} | {
        key: value for key, value in change.items() if key not in options
    }
    options |= {key: value for key, value in change.items() if key in options}
    with pytest.raises(ValueError, match=message):
        cross_entropy(*arguments.values(), **options)
