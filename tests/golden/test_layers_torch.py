"""Every layer kind, alone between two others, trains like PyTorch's."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from eftrain_hw import nn, optim  # noqa: E402

LAYERS = {
    "groups": nn.Conv2d(6, 12, 3, padding=1, groups=3),
    "depthwise": nn.Conv2d(6, 6, 3, padding=1, groups=6),
    "depthwise_multiplier": nn.Conv2d(6, 12, 3, stride=2, groups=6, bias=False),
    "groups_of_blocks": nn.Conv2d(6, 8, 1, groups=2),
    "dilation": nn.Conv2d(6, 5, 3, padding=2, dilation=2),
    "dilation_stride": nn.Conv2d(6, 5, (3, 2), stride=(2, 3), padding=(3, 1), dilation=(2, 3)),
    "same": nn.Conv2d(6, 5, (3, 5), padding="same"),
    "transposed": nn.ConvTranspose2d(6, 5, 3, stride=2, padding=1, output_padding=1),
    "transposed_groups": nn.ConvTranspose2d(6, 9, (2, 3), stride=(1, 3), groups=3),
    "transposed_holes": nn.ConvTranspose2d(6, 5, 2, stride=3, dilation=2),
    "max_overlap": nn.MaxPool2d(3, stride=2, padding=1),
    "max_rectangle": nn.MaxPool2d((2, 5), stride=(3, 1), padding=(1, 2)),
    "max_gaps": nn.MaxPool2d(2, stride=3),
    "average": nn.AvgPool2d(2),
    "average_overlap": nn.AvgPool2d(3, stride=2, padding=1),
    "average_without_padding": nn.AvgPool2d((3, 5), (2, 1), (1, 2), count_include_pad=False),
    "norm": nn.BatchNorm2d(6),
    "norm_plain": nn.BatchNorm2d(6, affine=False, momentum=0.3, eps=1e-2),
    "norm_untracked": nn.BatchNorm2d(6, track_running_stats=False),
    "leaky": nn.LeakyReLU(0.2),
    "sigmoid": nn.Sigmoid(),
    "dropout": nn.Dropout(0.3),
    "identity": nn.Identity(),
}


def between(layer, relu_before=False, relu_after=False):
    """The layer between a convolution and an output, so that its input gradient counts."""
    first = nn.Conv2d(3, 6, 3, padding=1)
    shape = layer.output_shape((6, 7, 9))
    layers = [first, *([nn.ReLU()] if relu_before else []), layer]
    layers += [nn.ReLU()] if relu_after else []
    end = [nn.Flatten(), nn.Linear(int(np.prod(shape)), 4)]
    return nn.Sequential(*layers, *end, input_shape=(3, 7, 9))


@pytest.mark.parametrize("relus", ["none", "before", "after", "both"])
@pytest.mark.parametrize("name", LAYERS)
def test_layer_trains_like_torch(name, relus, pairs):
    network = between(LAYERS[name], relus in ("before", "both"), relus in ("after", "both"))
    pair = pairs.Pair(
        network, batch=5, loss=nn.CrossEntropyLoss(), optimizer=optim.SGD(lr=0.05, momentum=0.9)
    )
    pair.check(3e-6, valid=4)


OPTIMIZERS = {
    "decay": optim.SGD(lr=0.1, momentum=0.5, weight_decay=0.05),
    "nesterov": optim.SGD(lr=0.1, momentum=0.8, nesterov=True, weight_decay=0.01),
    "clipped": optim.SGD(lr=0.5, momentum=0.9, max_grad_norm=0.5),
    "not_clipped": optim.SGD(lr=0.01, max_grad_norm=1e3),
    "adam": optim.Adam(lr=0.01, eps=1e-3),
    "adam_decay": optim.Adam(lr=0.01, betas=(0.7, 0.9), eps=1e-2, weight_decay=0.1),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizer_trains_like_torch(name, pairs):
    network = between(nn.Conv2d(6, 12, 3, groups=3))
    pairs.Pair(
        network, batch=3, loss=nn.CrossEntropyLoss(label_smoothing=0.1), optimizer=OPTIMIZERS[name]
    ).check(1e-5, steps=4)


def test_adam_alone(pairs):
    rng = np.random.default_rng(3)
    weights = rng.standard_normal((7, 4)).astype(np.float32)
    gradients = [(rng.standard_normal((7, 4)) * 10.0**k).astype(np.float32) for k in (0, -3, 1, -6)]
    settings = optim.Adam(lr=0.02)
    leaf = torch.tensor(weights, dtype=torch.float64, requires_grad=True)
    reference = torch.optim.Adam([leaf], lr=0.02)
    for gradient in gradients:
        leaf.grad = torch.tensor(gradient, dtype=torch.float64)
        reference.step()
    actual = pairs.adam_steps(weights, gradients, settings)
    np.testing.assert_allclose(actual, leaf.detach().numpy(), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    "end",
    [
        (nn.Conv2d(6, 5, 1),),
        (nn.ConvTranspose2d(6, 5, 2, stride=2), nn.Sigmoid()),
        (nn.Conv2d(6, 5, 1), nn.ReLU()),
        (nn.BatchNorm2d(6), nn.LeakyReLU()),
        (nn.Conv2d(6, 5, 1), nn.BatchNorm2d(5)),
        (nn.AvgPool2d(3),),
        (nn.Flatten(), nn.Linear(378, 9)),
    ],
)
def test_squared_error_trains_like_torch(end, pairs):
    network = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), *end, input_shape=(3, 7, 9))
    pairs.Pair(network, batch=4, loss=nn.MSELoss(), optimizer=optim.SGD(lr=0.1)).check(
        3e-6, valid=3
    )


@pytest.mark.parametrize("frozen", [("0",), ("1",), ("0", "1"), ("1.weight",), ("3.bias", "0")])
def test_frozen_parameters_stay(frozen, pairs):
    network = nn.freeze(between(nn.BatchNorm2d(6), relu_after=False), *frozen)
    pair = pairs.Pair(network, batch=4, loss=nn.CrossEntropyLoss(), optimizer=optim.SGD(lr=0.1))
    before = {name: pair.value(name, ".master") for name in network.parameters()}
    pair.check(3e-6)
    for name, value in before.items():
        same = np.array_equal(value, pair.value(name, ".master"))
        assert same == (name not in network.trained()), name


@pytest.mark.parametrize("optimizer", [optim.SGD(lr=0.1, momentum=0.9, accumulation=3),
                                       optim.Adam(lr=0.01, eps=1e-2, accumulation=3,
                                                  max_grad_norm=0.2)])  # fmt: skip
def test_gradients_are_added_up_over_batches(optimizer, pairs):
    """Batches of 4, 4 and 2 images give the update of their 10 images' mean loss."""
    network = between(nn.BatchNorm2d(6), relu_before=True)
    pair = pairs.Pair(network, batch=4, loss=nn.CrossEntropyLoss(), optimizer=optimizer)
    sizes = (4, 4, 2)
    for number in range(1, 4):
        pair.optimizer.zero_grad()
        for at, valid in enumerate(sizes):
            x, y = pair.batch_of(valid)
            pair.torch.train()
            loss = pair.torch_loss(torch.tensor(x, dtype=torch.float64), torch.tensor(y))
            (loss * valid / sum(sizes)).backward()
            before = pair.results()
            actual = pair.golden_step(
                number, valid, loss_images=sum(sizes), first=at == 0, update=at == 2
            )
            assert actual == pytest.approx(loss.item() * valid / sum(sizes), rel=1e-5)
            weights = [name for name in before if "running" not in name]
            kept = all(np.array_equal(before[n], pair.results()[n]) for n in weights)
            assert kept == (at < 2)
        if optimizer.max_grad_norm is not None:
            torch.nn.utils.clip_grad_norm_(pair.torch.parameters(), optimizer.max_grad_norm)
        pair.optimizer.step()
    actual = pair.results()
    for name, expected in pair.torch_results().items():
        pairs.run.close(name, actual[name], expected, 1e-5, 1.0)
