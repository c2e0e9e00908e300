"""The named networks: sizes from their papers, and each of them trains on the golden model."""

from math import prod

import numpy as np
import pytest

from eftrain_hw import AcceleratorConfig, compile_network, networks, nn, optim
from eftrain_hw.compiler.compile import prepare

PARAMETERS = {  # torchvision's counts, or those of the papers
    "alexnet": 61_100_840,
    "cifar": 82_330,
    "lenet5": 61_706,
    "mobilenet-v1": 4_231_976,
    "resnet18": 11_689_512,
    "resnet20": 272_474,
    "vgg11": 132_863_336,
    "vgg16": 138_357_544,
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_number_of_parameters(name):
    shapes = networks.NETWORKS[name]().parameters().values()
    assert sum(prod(shape) for shape in shapes) == PARAMETERS[name]


def test_batch_norm_variants():
    assert len(networks.vgg16(batch_norm=True).buffers()) == 2 * 13
    assert networks.vgg11(10, batch_norm=True, size=32, hidden=64).output_node.shape == (10,)
    network = networks.mobilenet_v1(10, width=0.25, size=64)
    assert network.parameters()["0.weight"] == (8, 3, 3, 3)
    with pytest.raises(ValueError, match="width must be greater than 0, at most 4, not 0"):
        networks.mobilenet_v1(width=0)


@pytest.mark.parametrize("name", networks.NETWORKS)
def test_lowers_to_operations(name):
    program = prepare(
        networks.NETWORKS[name](), AcceleratorConfig(), batch_size=2,
        loss=nn.CrossEntropyLoss(), optimizer=optim.Adam(),
    )  # fmt: skip
    tensors = program.tensors
    trained = {f"{parameter}.exp_avg" for parameter in program.network.trained()}
    assert trained <= set(tensors)
    for spec in tensors.values():
        if spec.view:
            base = tensors[spec.view[0]]
            assert base.address <= spec.address < base.address + base.nbytes
    starts = sorted((s.address, s.nbytes) for s in tensors.values() if s.view is None)
    assert all(a + n <= b for (a, n), (b, _) in zip(starts, starts[1:], strict=False))


@pytest.mark.parametrize("name", ["resnet20", "mobilenet-v1"])
def test_compilation_names_what_needs_vector_programs(name):
    settings = {"loss": nn.CrossEntropyLoss(), "optimizer": optim.SGD(lr=0.1)}
    with pytest.raises(ValueError, match=r"1.BatchNorm2d: BatchNorm needs vector programs: Acc"):
        compile_network(networks.NETWORKS[name](), AcceleratorConfig(), batch_size=2, **settings)


def test_fan_out_and_views_cost_nothing():
    """Gradients of a residual's ends are the sum's own; concatenation's parts are views."""
    g = nn.Graph(input_shape=(4, 5, 5))
    a = g(nn.Conv2d(4, 16, 1), g.input)
    b = g(nn.Conv2d(16, 16, 1), a)
    c = g(nn.Concat(), g(nn.Add(), a, b), a)
    network = g.output(g(nn.Linear(32 * 25, 3), g(nn.Flatten(), c)))
    program = prepare(
        network, AcceleratorConfig(), batch_size=2, loss=nn.CrossEntropyLoss(),
        optimizer=optim.SGD(lr=0.1),
    )  # fmt: skip
    views = {name: spec.view for name, spec in program.tensors.items() if spec.view}
    assert views == {
        "y0": ("y3", 1), "y2": ("y3", 0), "dy2": ("dy3", 0), "dy1": ("dy2", 0), "dy0.2": ("dy3", 1)
    }  # fmt: skip
    fanouts = [op.gradients for op in program.ops if hasattr(op, "gradients")]
    assert fanouts == [("dy0.0", "dy2", "dy0.2")]
    plane = 25 * 16
    assert program.tensors["dy1"].address == program.tensors["dy3"].address
    assert program.tensors["y0"].address == program.tensors["y3"].address + plane


def test_nothing_below_the_lowest_trained_layer():
    network = nn.freeze(networks.resnet20(), *(str(k) for k in range(20)))
    program = prepare(
        network, AcceleratorConfig(), batch_size=2, loss=nn.CrossEntropyLoss(),
        optimizer=optim.SGD(lr=0.1),
    )  # fmt: skip
    kinds = [spec.kind for spec in program.tensors.values()]
    assert kinds.count("gradient") == 1  # of the logits
    assert kinds.count("weight_gradient") == 2 and kinds.count("momentum") == 2


@pytest.mark.parametrize("format", ["bfp8", "fp32"])
def test_resnet_learns_on_the_golden_model(format):
    from eftrain_hw.formats import Blocked, format_named
    from eftrain_hw.golden.network import training_step

    config = AcceleratorConfig.preset("sim-small").replace(format=format)
    network = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(),
        nn.Residual(nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8))), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2), input_shape=(1, 6, 6),
    )  # fmt: skip
    program = prepare(
        network, config, batch_size=16, loss=nn.CrossEntropyLoss(), optimizer=optim.Adam(lr=0.02)
    )
    rng = np.random.default_rng(0)
    tensors = {}
    for name, spec in program.tensors.items():
        if spec.kind in ("master", "exp_avg", "exp_avg_sq", "running"):
            tensors[name] = np.zeros(spec.shape, np.float32)
        if spec.kind == "master" and "weight" in name:
            tensors[name] += rng.normal(0, 0.4, spec.shape) if len(spec.shape) > 2 else 1
    for name, spec in program.tensors.items():
        if spec.kind == "weight":
            tensors[name] = Blocked.encode(format_named(format), tensors[f"{name}.master"])
    labels = rng.integers(0, 2, 16)
    x = rng.normal(0, 1, (16, 1, 6, 6)) + labels[:, None, None, None] * np.linspace(-1, 1, 6)
    tensors["x"] = program.encode_input(x.astype(np.float32))
    tensors["labels"] = np.zeros(16, np.uint32) + labels.astype(np.uint32)
    losses = []
    for number in range(1, 26):
        training_step(
            program, tensors, learning_rate=0.02, momentum=0, valid_images=16, number=number
        )
        losses.append(tensors["loss"][-16])
    assert losses[-1] < 0.3 * losses[0]
