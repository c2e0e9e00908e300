"""Tensor-train layers train like PyTorch's autograd on the dense matrix of their cores."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from eftrain_hw import AcceleratorConfig, nn, optim  # noqa: E402

SGD = optim.SGD(lr=0.05, momentum=0.9)
LANES = 4


def linear(*arguments, **settings):
    return nn.TTLinear(*arguments, **settings)


FC = {  # layers of a network of 84 inputs; the last one has 5 outputs
    "two": [linear(84, 24, (7, 12), (6, 4), rank=3), nn.ReLU(), nn.Linear(24, 5)],
    "forward": [linear(84, 5, (3, 4, 7), (1, 1, 5), rank=(2, 6))],
    "reverse": [linear(84, 5, (3, 4, 7), (5, 1, 1), rank=(9, 4), bias=False)],
    "chained_forward": [
        linear(84, 48, (7, 3, 4), (6, 2, 4), rank=(5, 9)), nn.ReLU(),
        linear(48, 5, (6, 2, 4), (1, 1, 5), rank=(3, 7)),
    ],
    "chained_reverse": [
        linear(84, 30, (4, 3, 7), (5, 3, 2), rank=(9, 3)), nn.ReLU(),
        linear(30, 5, (5, 3, 2), (5, 1, 1), rank=(5, 2), bias=False),
    ],
    "after_linear": [
        nn.Linear(84, 32), nn.ReLU(), linear(32, 15, (8, 4), (5, 3), rank=6), nn.ReLU(),
        nn.Linear(15, 5),
    ],
    "before_linear": [
        linear(84, 40, (7, 4, 3), (2, 4, 5), rank=4), nn.ReLU(), nn.Linear(40, 5),
    ],
    "ones": [linear(84, 5, (84, 1), (1, 5), rank=2)],
}  # fmt: skip


@pytest.mark.parametrize("name", FC)
def test_linear_trains_like_torch(name, pairs):
    network = nn.Sequential(*FC[name], input_shape=(84,))
    pair = pairs.Pair(network, batch=5, loss=nn.CrossEntropyLoss(), optimizer=SGD)
    pair.check(5e-6, valid=4)


def test_conv_map_into_linear_trains_like_torch(pairs):
    network = nn.Sequential(
        nn.Conv2d(2, 6, 3), nn.ReLU(), nn.Flatten(),
        linear(6 * 4 * 3, 20, (6, 4, 3), (5, 2, 2), rank=(4, 3)), nn.ReLU(),
        nn.Linear(20, 3), input_shape=(2, 6, 5),
    )  # fmt: skip
    pair = pairs.Pair(network, batch=3, loss=nn.CrossEntropyLoss(), optimizer=SGD)
    pair.check(5e-6)


CONV = {
    "plain": nn.TTConv2d(12, 8, 3, (3, 4), (4, 2), rank=5),
    "padded": nn.TTConv2d(12, 8, 3, (3, 4), (4, 2), rank=7, padding=1, bias=False),
    "strided": nn.TTConv2d(12, 12, (3, 2), (3, 4), (4, 3), rank=4, stride=(2, 3), padding=(1, 0)),
    "three_cores": nn.TTConv2d(24, 16, 3, (3, 2, 4), (4, 2, 2), rank=(5, 6), padding=1),
    "blocks": nn.TTConv2d(24, 8, 1, (3, 8), (4, 2), rank=6),
}


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("name", CONV)
def test_convolution_trains_like_torch(name, relu, pairs):
    layer = CONV[name]
    shape = (layer.in_channels, 5, 6)
    out = layer.output_shape(shape)
    middle = [nn.ReLU(), layer, nn.ReLU()] if relu else [layer]
    network = nn.Sequential(
        nn.Conv2d(3, shape[0], 1), *middle, nn.Flatten(), nn.Linear(int(np.prod(out)), 3),
        input_shape=(3, 5, 6),
    )  # fmt: skip
    pair = pairs.Pair(network, batch=3, loss=nn.CrossEntropyLoss(), optimizer=SGD)
    assert pair.program.config.lanes == LANES
    pair.check(5e-6)


@pytest.mark.parametrize("frozen", [("0.cores.0",), ("0.cores.2", "0.bias"), ("0",)])
def test_frozen_cores_stay(frozen, pairs):
    network = nn.freeze(nn.Sequential(*FC["chained_forward"], input_shape=(84,)), *frozen)
    pair = pairs.Pair(network, batch=4, loss=nn.CrossEntropyLoss(), optimizer=SGD)
    before = {name: pair.value(name, ".master") for name in network.parameters()}
    pair.check(5e-6)
    for name, value in before.items():
        same = np.array_equal(value, pair.value(name, ".master"))
        assert same == (name not in network.trained()), name


def test_squared_error_and_adam_train_like_torch(pairs):
    network = nn.Sequential(linear(84, 24, (7, 12), (1, 24), rank=3), input_shape=(84,))
    pair = pairs.Pair(network, batch=4, loss=nn.MSELoss(), optimizer=optim.Adam(lr=0.01, eps=1e-3))
    pair.check(1e-5)


def test_bfp8_stays_near_torch(pairs):
    """Losses and weights after three steps, where only rounding differs."""
    config = AcceleratorConfig.preset("sim-small")
    network = nn.Sequential(*FC["chained_forward"], input_shape=(84,))
    pair = pairs.Pair(
        network, batch=8, loss=nn.CrossEntropyLoss(), optimizer=SGD, config=config
    )
    for number in range(1, 4):
        actual, expected = pair.step(number, 8)
        assert actual == pytest.approx(expected, rel=0.05)
    found = pair.results()
    for name, expected in pair.torch_results().items():
        error = np.linalg.norm(found[name] - expected) / np.linalg.norm(expected)
        assert error < (0.3 if name.endswith("bias") else 0.05), (name, error)
