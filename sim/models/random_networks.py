"""Networks drawn at random: every kind of layer, odd sizes, branches that join again."""

import numpy as np

from eftrain_hw import nn

__all__ = ["random_network"]


class _Builder:
    """Adds random layers to a graph; `free`: also where training amplifies every rounding."""

    def __init__(self, rng, shape, batch, free):
        self.rng, self.batch, self.free = rng, batch, free
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
        if self.normed and not self.free:
            return
        # with a few values PyTorch itself is at its noise
        if self.batch * np.prod(self.value.shape[1:]) <= (1 if self.free else 4):
            return
        self.normed = True
        settings = {"momentum": self.pick(0.1, 0.5)}
        if self.free:
            settings |= {"affine": self.pick(True, True, False)}
            settings |= {"track_running_stats": self.pick(True, True, False)}
        self.add(nn.BatchNorm2d(self.value.shape[0], **settings))

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

    def skip(self):
        """Down, up again, and beside what was there before."""
        start, size = self.value, self.value.shape[1:]
        if min(size) < 2 or max(size) > 17:
            return
        self.add(self.pick(nn.MaxPool2d(2), nn.AvgPool2d(2), nn.MaxPool2d(3, 2, 1)))
        self.add(nn.Conv2d(start.shape[0], int(self.rng.integers(1, 12)), 3, padding=1))
        self.activation()
        rest = [n - 2 * small for n, small in zip(size, self.value.shape[1:], strict=True)]
        padding = tuple(max(0, -r) for r in rest)
        extra = tuple(max(0, r) for r in rest)
        channels = (self.value.shape[0], int(self.rng.integers(1, 9)))
        kernel = tuple(2 + p for p in padding)
        self.add(nn.ConvTranspose2d(*channels, kernel, 2, padding, extra))
        if self.value.shape[1:] != size:
            return
        if self.rng.integers(2):
            self.add(nn.ReLU())
        ends = (self.value, start) if self.rng.integers(2) else (start, self.value)
        self.add(nn.Concat(), *ends)
        self.holes = True

    def branches(self):
        start = self.value
        parts = [start] if self.rng.integers(2) else []
        for _ in range(int(self.rng.integers(2, 4)) - len(parts)):
            outputs = int(self.rng.integers(1, 7))
            self.add(nn.Conv2d(start.shape[0], outputs, 1), start)
            if self.free and self.rng.integers(4) == 0:
                self.norm()
            if self.rng.integers(2):
                self.add(nn.ReLU())
            if self.free and self.rng.integers(4) == 0:
                self.add(self.pick(nn.MaxPool2d(1), nn.MaxPool2d(3, 1, 1), nn.AvgPool2d(3, 1, 1)))
            parts.append(self.value)
        self.add(nn.Concat(), *parts)
        self.holes = True

    def finish(self, outputs):
        if self.rng.integers(2) and (self.free or not self.normed):
            self.add(nn.AdaptiveAvgPool2d(1))
        self.add(nn.Flatten())
        self.add(nn.Linear(self.value.shape[0], outputs))
        return self.graph.output(self.value)


def random_network(seed, height, width, batch, *, free=False):
    """A network of any layers.

    Parameters
    ----------
    seed : int
    height, width : int
        Of the images.
    batch : int
        Images of a batch: batch normalisation needs several values.
    free : bool
        More kinds of layers, in any order: for comparisons bit by bit. Otherwise two roundings of
        the same network stay near to each other.
    """
    rng = np.random.default_rng(seed)
    build = _Builder(rng, (int(rng.choice((1, 3, 5))), height, width), batch, free)
    build.convolution(stride=1)
    for _ in range(int(rng.integers(2, 6))):
        kinds = [build.convolution, build.transposed, build.pool, build.disjoint, build.activation,
                 build.residual, build.branches, build.norm, build.norm]  # fmt: skip
        if free:
            kinds += [build.skip, build.skip]
        build.pick(*kinds)()
    return build.finish(int(rng.integers(2, 7)))
