"""A training step of tensor-train layers in NumPy alone: what a processor takes for it.

Copy this file to the board and run it there (NumPy is all it needs): the step of 784-512-10 that
the accelerator carries out, in fp32, forward, loss, backward and SGD. Prints JSON: the median
seconds of a step and its multiplications. Power is for a meter to say.
"""

import argparse
import json
import time
from math import prod

import numpy as np

LAYERS = (  # in_shape, out_shape; as scripts/networks/tensor_train.py
    ((28, 28, 1, 1), (1, 2, 8, 32)),
    ((2, 8, 32), (10, 1, 1)),
)


class TTLayer:
    """y = W x, W of cores (r_(k-1), m_k, n_k, r_k); no matrix is formed.

    Parameters
    ----------
    in_shape, out_shape : tuple of int
    rank : int
    rng : numpy.random.Generator
    """

    def __init__(self, in_shape, out_shape, rank, rng, dtype=np.float32):
        d = len(in_shape)
        ranks = [1]
        for k in range(1, d):
            sizes = [prod(in_shape[a:b]) * prod(out_shape[a:b]) for a, b in ((0, k), (k, d))]
            ranks.append(min(rank, *sizes))
        ranks.append(1)
        variance = (2 / prod(in_shape) / prod(ranks)) ** (1 / d)
        self.cores = [
            (rng.standard_normal((ranks[k], out_shape[k], in_shape[k], ranks[k + 1]))
             * variance**0.5).astype(dtype)
            for k in range(d)
        ]  # fmt: skip
        self.in_shape, self.out_shape = tuple(in_shape), tuple(out_shape)
        self.reverse = self._price(True) < self._price(False)

    def _chain(self, reverse):
        """Cores in the order of contraction, as (r in, m, n, r out)."""
        if not reverse:
            return self.cores
        return [core.transpose(3, 1, 2, 0) for core in reversed(self.cores)]

    def _price(self, reverse):
        """Multiplications of a forward pass for an image."""
        total, done, rest = 0, 1, prod(self.in_shape)
        for core in self._chain(reverse):
            rest //= core.shape[2]
            total += done * rest * core.size
            done *= core.shape[1]
        return total

    @property
    def multiplications(self):
        """Of forward, input gradient and core gradients, an image."""
        return 3 * self._price(self.reverse)

    def _axes(self, x, shape, back=False):
        """Features with the factor that is contracted first in front, and the inverse."""
        if not self.reverse:
            return x
        x = x.reshape(len(x), *(shape[::-1] if back else shape))
        return x.transpose(0, *range(x.ndim - 1, 0, -1)).reshape(len(x), -1)

    def forward(self, x):
        """(N, inputs) to (N, outputs)."""
        z, self.kept = self._axes(x, self.in_shape), []
        images, done, rest = len(x), 1, x.shape[1]
        for core in self._chain(self.reverse):
            r, m, n, _ = core.shape
            rest //= n
            z = z.reshape(images, done, n, rest, r)
            self.kept.append(z)
            z = np.tensordot(z, core, ((2, 4), (2, 0)))  # image, done, rest, m, s
            z = z.transpose(0, 1, 3, 2, 4)
            done *= m
        return self._axes(z.reshape(images, -1), self.out_shape, back=True)

    def backward(self, dy, lr):
        """Gradient of the input; the cores are updated."""
        dz, cores, images = self._axes(dy, self.out_shape), self._chain(self.reverse), len(dy)
        gradients = []
        for z, core in zip(reversed(self.kept), reversed(cores), strict=True):
            _, done, _, rest, _ = z.shape
            dz = dz.reshape(images, done, core.shape[1], rest, core.shape[3])
            dg = np.tensordot(z, dz, ((0, 1, 3), (0, 1, 3)))  # n, r in, m, r out
            gradients.append(dg.transpose(1, 2, 0, 3))
            dz = np.tensordot(dz, core, ((2, 4), (1, 3)))  # image, done, rest, r in, n
            dz = dz.transpose(0, 1, 4, 2, 3)
        for core, gradient in zip(cores, reversed(gradients), strict=True):
            core -= lr * gradient  # a view of `self.cores`
        return self._axes(dz.reshape(images, -1), self.in_shape, back=True)


def step(layers, x, y, lr):
    """A training step; returns the loss."""
    hidden = layers[0].forward(x)
    logits = layers[1].forward(np.maximum(hidden, 0))
    e = np.exp(logits - logits.max(1, keepdims=True))
    p = e / e.sum(1, keepdims=True)
    d = (p - np.eye(p.shape[1], dtype=p.dtype)[y]) / len(x)
    layers[0].backward(layers[1].backward(d, lr) * (hidden > 0), lr)
    return float(-np.log(p[np.arange(len(y)), y] + 1e-30).mean())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=1, metavar="N")
    parser.add_argument("--rank", type=int, default=8, metavar="N")
    parser.add_argument("--steps", type=int, default=200, metavar="N")
    arguments = parser.parse_args()
    for name in ("batch", "rank", "steps"):
        if getattr(arguments, name) < 1:
            parser.error(f"--{name} must be 1 or more, not {getattr(arguments, name)}")
    rng = np.random.default_rng(0)
    layers = [TTLayer(*shapes, arguments.rank, rng) for shapes in LAYERS]
    x = rng.random((arguments.batch, 784), np.float32)
    y = rng.integers(0, 10, arguments.batch)
    seconds = []
    for _ in range(arguments.steps):
        start = time.perf_counter()
        loss = step(layers, x, y, 0.01)
        seconds.append(time.perf_counter() - start)
    print(json.dumps({
        "batch": arguments.batch, "rank": arguments.rank, "loss": loss,
        "seconds_per_step": float(np.median(seconds)),
        "multiplications_per_step":
            arguments.batch * sum(layer.multiplications for layer in layers),
    }))  # fmt: skip


if __name__ == "__main__":
    main()
