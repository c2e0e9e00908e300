"""Networks drawn at random, in fp32, train like PyTorch's autograd says."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from eftrain_hw import nn, optim

SIZES = (1, 3, 17, 31)


class _Builder:
    """Adds random layers to a graph."""

    def __init__(self, rng, shape):
        self.rng = rng
        self.graph = nn.Graph(shape)
        self.value = self.graph.input
        self.holes = False  # whether channels lie as a concatenation left them
        self.normed = False

    def pick(self, *choices):
        return choices[self.rng.integers(len(choices))]

    def add(self, layer, *inputs):
        self.value = self.graph(layer, *(inputs or (self.value,)))
        return self.value

    def convolution(self, **fixed):
        channels, *size = self.value.shape
        kernel = tuple(int(self.rng.integers(1, min(4, n) + 1)) for n in size)
        padding = tuple(int(self.rng.integers(0, k)) for k in kernel)
        groups = self.pick(1, 1, *(g for g in (2, 3, channels) if channels % g == 0))
        outputs = groups * int(self.rng.integers(1, 1 + max(1, 9 // groups)))
        stride = (self.pick(1, 1, 2, 3), self.pick(1, 2))
        dilation = tuple(
            self.pick(1, 2) if n + 2 * p > 2 * (k - 1) else 1
            for n, k, p in zip(size, kernel, padding, strict=True)
        )
        bias = bool(self.rng.integers(2))
        settings = {"groups": groups, "stride": stride, "dilation": dilation, "padding": padding}
        settings = {**settings, "bias": bias, **fixed}
        self.add(nn.Conv2d(channels, outputs, kernel, **settings))
        self.holes = False

    def transposed(self):
        channels, *size = self.value.shape
        if max(size) > 9:
            return
        stride = self.pick(1, 2, 3)
        padding = 1 if min(size) > 1 else 0
        extra = int(self.rng.integers(stride))
        self.add(nn.ConvTranspose2d(channels, 5, (3, 2), stride, (padding, 0), extra))
        self.holes = False

    def norm(self):
        """Once: behind another one, or under a mean, true gradients are 0 and rounding is all."""
        if self.normed:
            return
        self.normed = True
        self.add(nn.BatchNorm2d(self.value.shape[0], momentum=self.pick(0.1, 0.5)))

    def pool(self):
        size = self.value.shape[1:]
        kernel = tuple(int(self.rng.integers(1, min(4, n) + 1)) for n in size)
        padding = tuple(int(self.rng.integers(k // 2 + 1)) for k in kernel)
        stride = (self.pick(1, 2), self.pick(1, 2, 3))
        if self.rng.integers(2):
            self.add(nn.MaxPool2d(kernel, stride, padding))
        else:
            self.add(nn.AvgPool2d(kernel, stride, padding, False, bool(self.rng.integers(2))))

    def disjoint(self):
        self.add(nn.MaxPool2d(tuple(self.pick(1, min(2, n)) for n in self.value.shape[1:])))

    def activation(self):
        self.add(self.pick(nn.ReLU(), nn.ReLU(), nn.LeakyReLU(0.1), nn.Sigmoid(), nn.Dropout(0.25)))

    def residual(self):
        if self.holes:
            self.convolution()
        start, channels = self.value, self.value.shape[0]
        self.add(nn.Conv2d(channels, channels, 3, padding=1))
        self.activation()
        ends = (self.value, start) if self.rng.integers(2) else (start, self.value)
        self.add(nn.Add(), *ends)
        if self.rng.integers(2):
            self.add(nn.ReLU())

    def branches(self):
        start = self.value
        parts = [start] if self.rng.integers(2) else []
        for _ in range(int(self.rng.integers(2, 4)) - len(parts)):
            outputs = int(self.rng.integers(1, 7))
            self.add(nn.Conv2d(start.shape[0], outputs, 1), start)
            if self.rng.integers(2):
                self.add(nn.ReLU())
            parts.append(self.value)
        self.add(nn.Concat(), *parts)
        self.holes = True

    def finish(self, outputs):
        if self.rng.integers(2) and not self.normed:
            self.add(nn.AdaptiveAvgPool2d(1))
        self.add(nn.Flatten())
        self.add(nn.Linear(self.value.shape[0], outputs))
        return self.graph.output(self.value)


def random_network(seed, height, width, batch):
    rng = np.random.default_rng(seed)
    build = _Builder(rng, (int(rng.choice((1, 3, 5))), height, width))
    build.convolution(stride=1)
    for _ in range(int(rng.integers(2, 6))):
        channels, *size = build.value.shape
        kinds = [build.convolution, build.transposed, build.pool, build.disjoint, build.activation,
                 build.residual, build.branches]  # fmt: skip
        if batch * np.prod(size) > 4:  # with fewer values PyTorch itself is at its noise
            kinds += [build.norm, build.norm]
        build.pick(*kinds)()
    return build.finish(int(rng.integers(2, 7)))


@given(
    seed=st.integers(0, 2**32 - 1),
    height=st.sampled_from(SIZES),
    width=st.sampled_from(SIZES),
    batch=st.integers(1, 9),
    missing=st.integers(0, 2),
)
@settings(max_examples=60)
@example(seed=1, height=17, width=31, batch=9, missing=1)
@example(seed=5, height=1, width=1, batch=9, missing=0)
def test_random_network_trains_like_torch(seed, height, width, batch, missing, pairs):
    network = random_network(seed, height, width, batch)
    rng = np.random.default_rng([seed, 1])
    names = list(network.parameters())
    if rng.integers(3) == 0 and len(names) > 2:
        network = nn.freeze(network, *rng.choice(names[:-1], 2, replace=False))
    loss = nn.MSELoss() if rng.integers(3) == 0 else nn.CrossEntropyLoss(0.1 * rng.integers(2))
    pair = pairs.Pair(
        network, batch=batch, loss=loss, optimizer=optim.SGD(lr=0.002, momentum=0.9), seed=seed
    )
    valid = max(1, batch - missing)
    single = valid * min(np.prod(n.shape[1:]) for n in network.nodes if len(n.shape) == 3) == 1
    if single and any(isinstance(node.layer, nn.BatchNorm2d) for node in network.nodes):
        valid = batch
    pair.check(2e-5, valid=valid)


def test_bfp8_follows_fp32(pairs):
    """The same network in bfp8 goes the same way, within what eight bits can tell."""
    network = random_network(12, 17, 17, 8)
    results = {}
    for format in ("fp32", "bfp8"):
        pair = pairs.Pair(
            network, batch=8, loss=nn.CrossEntropyLoss(), optimizer=optim.SGD(lr=0.01),
            config=pairs.CONFIG.replace(format=format), seed=4,
        )  # fmt: skip
        results[format] = [pair.step(number, 8) for number in range(1, 5)]
    for (actual, expected), _ in zip(results["bfp8"], results["fp32"], strict=True):
        assert actual == pytest.approx(expected, rel=0.1)
