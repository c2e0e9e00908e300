"""Training steps in bfp16, and with it in some passes, leave the golden model's memory."""

import pytest

from eftrain_hw import nn, optim
from sim.models.conv_networks import CONV_NETWORKS
from sim.models.small_networks import SMALL_NETWORKS
from sim.models.step_bench import CONFIGS, SMALL, StepBench

pytestmark = pytest.mark.rtl

BFP16 = {
    "4x4": SMALL.replace(bfp16=True),  # vectors share a bus word
    "8x8-one-port": SMALL.replace(rows=8, lanes=8, ports=1, bfp16=True),
}
CASES = [(name, config, "bfp16") for name in SMALL_NETWORKS for config in BFP16]
CASES += [
    (name, "4x4", {kind: "bfp16"})
    for name in ("strided", "pooled")
    for kind in ("forward", "backward", "weight_gradient")
]


def wide(bench):
    """Tensors with two planes."""
    return {name for name, spec in bench.program.tensors.items() if spec.digits == 2}


@pytest.mark.parametrize("name, config, format", CASES, ids=str)
def test_steps_equal_golden(name, config, format):
    bench = StepBench(SMALL_NETWORKS[name](), BFP16[config], 3, format=format)
    bench.step("infer")
    bench.step()
    assert wide(bench)
    bench.new_batch(seed=100)
    bench.step()


@pytest.mark.parametrize("name", ["grouped", "upsampled", "partly_frozen"])
def test_every_kind_of_convolution(name):
    bench = StepBench(CONV_NETWORKS[name](), BFP16["4x4"], 3, format="bfp16")
    bench.step("infer")
    bench.step()
    assert wide(bench)


def test_layers_choose_for_themselves():
    network = nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(6, 5, 3, padding=1, format="bfp16"),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(5 * 6 * 5, 4, format={"forward": "bfp8", "backward": "bfp16"}),
        input_shape=(3, 6, 5),
    )
    bench = StepBench(network, BFP16["4x4"], 3, format={"weight_gradient": "bfp16"})
    weights = {name for name in wide(bench) if name.endswith("weight")}
    assert weights == {"2.weight", "5.weight"}
    bench.step()
    eight = StepBench(network, BFP16["4x4"], 3)
    assert wide(eight) == {"y0", "2.weight", "dy2", "5.weight", "dy5"}
    eight.step()


def test_a_program_in_bfp8_is_the_same_with_and_without_the_option():
    steps = {}
    for config in (BFP16["4x4"], CONFIGS["4x4"]):
        bench = StepBench(SMALL_NETWORKS["strided"](), config, 3)
        bench.step()
        steps[config] = bench.tensors["0.weight"].elements.tobytes()
    assert len(set(steps.values())) == 1


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_beside_vector_programs(optimizer):
    """Their tensors are in bfp8; they update copies that have low digits."""
    network = nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(6, 5, 3, padding=1, bias=False),
        nn.BatchNorm2d(5),
        nn.ReLU(),
        nn.Conv2d(5, 7, 3, stride=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(7, 4),
        input_shape=(3, 6, 5),
    )
    optimizers = {
        "adam": optim.Adam(lr=0.01),
        "sgd": optim.SGD(lr=0.1, weight_decay=0.01, max_grad_norm=1.0),
    }
    config = BFP16["4x4"].replace(vector_programs=True)
    bench = StepBench(network, config, 3, format="bfp16", optimizer=optimizers[optimizer])
    bench.step("infer")
    assert wide(bench).isdisjoint({"y2", "y3", "dy2", "dy3"})
    assert {"x", "y0", "2.weight", "y5", "dy5", "5.weight", "y7"} <= wide(bench)
    bench.step()
    bench.new_batch(seed=100)
    bench.step()
