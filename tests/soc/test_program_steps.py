"""Layers that become vector programs, on the RTL: memory as the golden model says, every byte."""

import numpy as np
import pytest

from eftrain_hw import AcceleratorConfig, nn, optim
from eftrain_hw.networks import resnet20
from sim.models.program_networks import PROGRAM_NETWORKS
from sim.models.step_bench import StepBench

pytestmark = pytest.mark.rtl

CONFIG = AcceleratorConfig.preset("sim-small").replace(vector_programs=True)


@pytest.mark.parametrize("name", PROGRAM_NETWORKS)
def test_steps_and_inference_equal_golden(name):
    bench = StepBench(PROGRAM_NETWORKS[name](), CONFIG, 3, valid=2, seed=1)
    bench.step("infer")
    bench.step()
    bench.new_batch(seed=100)
    bench.step()


OPTIMIZERS = {
    "nesterov": optim.SGD(lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01),
    "clipped": optim.SGD(lr=0.1, momentum=0.9, weight_decay=0.01, max_grad_norm=0.1),
    "adam": optim.Adam(lr=0.1, weight_decay=0.01),
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_optimizers(optimizer):
    bench = StepBench(PROGRAM_NETWORKS["short"](), CONFIG, 3, optimizer=OPTIMIZERS[optimizer])
    for number in (1, 2):
        bench.options["number"] = number
        bench.step()


def test_gradients_of_several_batches():
    optimizer = optim.Adam(lr=0.1, accumulation=3, max_grad_norm=0.1)
    bench = StepBench(PROGRAM_NETWORKS["short"](), CONFIG, 3, optimizer=optimizer)
    for number in (1, 2):
        for batch in range(3):
            bench.new_batch(10 * number + batch)
            bench.options = {"number": number, "loss_images": 9}
            bench.options |= {"first": batch == 0, "update": batch == 2}
            bench.step()


def test_label_smoothing_changes_from_step_to_step():
    loss = nn.CrossEntropyLoss(label_smoothing=0.1)
    bench = StepBench(PROGRAM_NETWORKS["short"](), CONFIG, 3, valid=2, loss=loss)
    losses = set()
    for bench.options in ({}, {"label_smoothing": 0.7}, {"label_smoothing": 0.0}):
        bench.restore()
        bench.step()
        losses.add(bench.tensors["loss"][-16].item())
    assert len(losses) == 3


def test_clipping_changes_from_step_to_step():
    bench = StepBench(PROGRAM_NETWORKS["short"](), CONFIG, 3, optimizer=OPTIMIZERS["clipped"])
    masters = set()
    for bench.options in ({}, {"max_grad_norm": 0.01}, {"max_grad_norm": 1e9}):
        bench.restore()
        bench.step()
        masters.add(bench.tensors["4.weight.master"].tobytes())
    assert len(masters) == 3


def test_a_loss_that_is_not_finite_sets_the_status_bit():
    network = nn.Sequential(nn.Linear(3, 3), nn.Sigmoid(), input_shape=(3,))
    bench = StepBench(network, CONFIG, 3, valid=3, loss=nn.MSELoss())
    bench.step()
    assert bench.status() == {"idle", "done"}
    bench.tensors["targets"] = np.full_like(bench.tensors["targets"], 3e38)
    bench.device.write_tensor("targets", bench.tensors["targets"])
    assert bench.run().nonfinite and bench.status() == {"idle", "done", "nonfinite"}


@pytest.mark.parametrize("last", ["sigmoid", "batch-norm", "relu"])
def test_squared_error(last):
    ends = {"sigmoid": nn.Sigmoid(), "batch-norm": nn.BatchNorm2d(5), "relu": nn.ReLU()}
    network = nn.Sequential(
        nn.Conv2d(2, 8, 3), nn.ReLU(), nn.Sigmoid(), nn.Conv2d(8, 5, (1, 3), padding=(0, 1)),
        nn.AvgPool2d(1), ends[last], input_shape=(2, 5, 3),
    )  # fmt: skip
    bench = StepBench(network, CONFIG, 3, valid=2, loss=nn.MSELoss())
    bench.step("infer")
    bench.step()
    bench.new_batch(seed=100)
    bench.step()


def test_a_residual_network():
    """ResNet-20, all of its layers, on small images."""
    bench = StepBench(resnet20(10, 8), CONFIG, 2, step_limit=5_000_000)
    bench.step("infer")
    bench.step()


def test_dropout_differs_from_step_to_step():
    bench = StepBench(PROGRAM_NETWORKS["dropped"](), CONFIG, 3, valid=2)
    dropped = set()
    for number in (1, 2):
        bench.options = {"number": number, "seed": 9}
        bench.step()
        dropped.add(bench.tensors["y2"].elements.tobytes())
    assert len(dropped) == 2


def test_a_slow_memory():
    bench = StepBench(PROGRAM_NETWORKS["residual"](), CONFIG, 2, latency=90, bytes_per_cycle=3)
    bench.step()
