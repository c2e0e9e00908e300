"""Networks drawn at random, in fp32, train like PyTorch's autograd says."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from eftrain_hw import nn, optim
from sim.models.random_networks import random_network

SIZES = (1, 3, 17, 31)


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
