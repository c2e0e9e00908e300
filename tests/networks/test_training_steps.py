"""A training step of every reference network, made small, on the RTL: each bit as the golden model.

The networks as they are: `eftrain bench --network NAME --batch 2`, minutes to hours.
"""

import pytest

from eftrain_hw import AcceleratorConfig
from eftrain_hw.networks import NETWORKS
from eftrain_hw.runtime.benchmark import bench_network

pytestmark = pytest.mark.rtl

CONFIG = AcceleratorConfig.preset("sim-small").replace(vector_programs=True)
REDUCED = {  # images of a batch, and what is smaller
    "alexnet": (1, {"width": 1 / 32, "size": 63, "classes": 9}),
    "alexnet-cifar": (2, {"width": 1 / 32}),
    "cifar": (2, {"width": 0.25}),
    "digits": (9, {}),
    "lenet5": (1, {}),
    "mobilenet-v1": (2, {"width": 0.125, "size": 32, "classes": 9}),
    "resnet18": (2, {"width": 1 / 16, "size": 32, "classes": 9}),
    "resnet20": (2, {"width": 0.5, "size": 8}),
    "vgg11": (2, {"width": 1 / 32, "size": 32, "classes": 9}),
    "vgg11-bn": (2, {"width": 1 / 32, "size": 32, "classes": 9}),
    "vgg16": (2, {"width": 1 / 32, "size": 32, "classes": 9}),
    "vgg16-bn": (1, {"width": 1 / 64, "size": 32, "classes": 9}),
}


def test_every_network_is_here():
    assert set(REDUCED) == set(NETWORKS)


@pytest.mark.parametrize("name", REDUCED)
def test_a_training_step(name):
    batch, settings = REDUCED[name]
    report, _ = bench_network(NETWORKS[name](**settings), CONFIG, batch=batch)
    assert report["bit_exact"]
