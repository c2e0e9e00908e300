"""Random networks of every layer: the RTL's training step is the golden model's.

A few examples; more of them, and more formats, with
EXAMPLES=500 FORMATS=bfp8,bfp16,fp32 pytest tests/soc/test_random_programs.py.
"""

import os
from math import prod

import numpy as np
import pytest
from hypothesis import HealthCheck, event, given, reject, settings
from hypothesis import strategies as st

from eftrain_hw import AcceleratorConfig, nn, optim
from sim.models.random_networks import random_network
from sim.models.step_bench import StepBench

pytestmark = pytest.mark.rtl

SIZES = (1, 3, 17, 31)
MOST_ELEMENTS = 40_000  # of a tensor: an element takes a cycle
SMALL = AcceleratorConfig.preset("sim-small").replace(vector_programs=True)
CONFIGS = {
    "bfp8": (SMALL, None),
    "bfp16": (SMALL.replace(bfp16=True), "bfp16"),
    "fp32": (SMALL.replace(format="fp32"), None),
}  # with the format of the passes
OPTIMIZERS = (
    optim.SGD(lr=0.1),
    optim.SGD(lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01),
    optim.SGD(lr=0.1, momentum=0.9, max_grad_norm=0.1),
    optim.Adam(lr=0.1, weight_decay=0.01),
)
FORMATS = os.environ.get("FORMATS", "bfp8").split(",")  # each is compiled once


def drawn(seed, height, width, batch):
    """(network, loss, optimizer)."""
    network = random_network(seed, height, width, batch, free=True)
    rng = np.random.default_rng([seed, 1])
    names = list(network.parameters())
    if rng.integers(3) == 0 and len(names) > 2:
        network = nn.freeze(network, *rng.choice(names[:-1], 2, replace=False))
    smoothing = 0.1 * int(rng.integers(2))
    loss = nn.MSELoss() if rng.integers(3) == 0 else nn.CrossEntropyLoss(smoothing)
    return network, loss, OPTIMIZERS[rng.integers(len(OPTIMIZERS))]


@settings(
    max_examples=int(os.environ.get("EXAMPLES", 8)),
    suppress_health_check=list(HealthCheck),
)
@given(
    seed=st.integers(0, 2**32 - 1),
    height=st.sampled_from(SIZES),
    width=st.sampled_from(SIZES),
    batch=st.integers(1, 9),
    missing=st.integers(0, 2),
    format=st.sampled_from(FORMATS),
)
def test_training_step_equals_golden(seed, height, width, batch, missing, format):
    network, loss, optimizer = drawn(seed, height, width, batch)
    largest = max(prod((max(8, node.shape[0]), *node.shape[1:])) for node in network.nodes)
    if largest * batch > MOST_ELEMENTS:
        reject()
    valid = max(1, batch - missing)
    norms = [node for node in network.nodes if isinstance(node.layer, nn.BatchNorm2d)]
    if valid * min((prod(node.shape[1:]) for node in norms), default=2) == 1:
        valid = batch  # of a single value nothing can be said
    config, passes = CONFIGS[format]
    settings = {"seed": batch, "loss": loss, "optimizer": optimizer, "step_limit": 20_000_000}
    try:
        bench = StepBench(network, config, batch, valid=valid, format=passes, **settings)
    except ValueError as error:
        assert "can't hold one tile" in str(error)
        reject()
    event(f"{len(network.nodes)} layers")
    for number in (1, 2):
        bench.options = {"number": number, "seed": 7}
        bench.step()
        bench.new_batch(seed=number)
    bench.device.close()
