"""PyTorch modules become networks that compute the same, and take their weights back."""

import re

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch.nn import functional as F  # noqa: E402

from eftrain_hw import AcceleratorConfig, nn, optim  # noqa: E402
from eftrain_hw.compiler.compile import prepare  # noqa: E402
from eftrain_hw.compiler.importers import from_torch  # noqa: E402
from eftrain_hw.compiler.state import device_state, network_state  # noqa: E402
from eftrain_hw.golden.network import forward_pass  # noqa: E402


class Block(torch.nn.Module):
    def __init__(self, channels, outputs, stride=1):
        super().__init__()
        self.conv1 = torch.nn.Conv2d(channels, outputs, 3, stride, 1, bias=False)
        self.bn1 = torch.nn.BatchNorm2d(outputs, momentum=0.2)
        self.relu = torch.nn.ReLU(inplace=True)
        self.conv2 = torch.nn.Conv2d(outputs, outputs, 3, padding="same", groups=2)
        self.down = None
        if stride != 1:
            self.down = torch.nn.Sequential(torch.nn.Conv2d(channels, outputs, 1, stride))

    def forward(self, x):
        y = self.conv2(self.relu(self.bn1(self.conv1(x))))
        y += x if self.down is None else self.down(x)
        return self.relu(y)


class Everything(torch.nn.Module):
    """Modules, functions and methods."""

    def __init__(self):
        super().__init__()
        self.stem = torch.nn.Sequential(
            torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.LeakyReLU(0.2), torch.nn.Identity()
        )
        self.layer1 = torch.nn.Sequential(Block(8, 8), Block(8, 6, 2))
        self.up = torch.nn.ConvTranspose2d(6, 4, 3, 2, 1, 1)
        self.drop = torch.nn.Dropout(0.4)
        self.pool = torch.nn.AdaptiveAvgPool2d((4, 2))
        self.fc = torch.nn.Linear(14 * 8, 5)

    def forward(self, x):
        x = self.layer1(self.stem(x))
        y = F.max_pool2d(torch.sigmoid(self.up(x)), 3, stride=2, padding=1)
        z = F.avg_pool2d(F.relu(y), (3, 3), 1, 1, count_include_pad=False)
        x = torch.cat([x, y, F.leaky_relu(y.add(z))], dim=1)
        x = F.dropout(self.pool(x), 0.1, self.training)
        x = x.view(x.size(0), -1)
        return self.fc(self.drop(x))


def outputs(imported, x, state=None):
    """Inference by the golden model."""
    network = imported.network
    config = AcceleratorConfig.preset("sim-small").replace(format="fp32")
    program = prepare(
        network, config, batch_size=len(x), loss=nn.CrossEntropyLoss(), optimizer=optim.SGD(lr=1)
    )
    tensors = device_state(program, imported.state if state is None else state)
    for name, value in network_state(program, tensors).items():
        np.testing.assert_array_equal(value, (imported.state if state is None else state)[name])
    tensors["x"] = program.encode_input(x)
    forward_pass(program, tensors)
    return tensors[program.logits].reshape(len(x), -1)[:, : program.classes]


def scrambled(module, seed=0):
    """The module with parameters and statistics that are not the initial ones."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if tensor.dtype.is_floating_point:
                noise = torch.rand(tensor.shape, generator=generator)
                tensor += 0.2 * (noise if "var" in name else noise - 0.5)
    return module.eval()


def test_network_computes_the_same():
    module = scrambled(Everything())
    x = np.random.default_rng(1).standard_normal((3, 3, 16, 8)).astype(np.float32)
    imported = from_torch(module, (3, 16, 8))
    with torch.no_grad():
        expected = module(torch.tensor(x)).numpy()
    np.testing.assert_allclose(outputs(imported, x), expected, rtol=1e-5, atol=1e-5)
    wanted = {name for name, t in module.state_dict().items() if t.dtype.is_floating_point}
    assert set(imported.state) == wanted
    norms = [n.layer for n in imported.network.nodes if isinstance(n.layer, nn.BatchNorm2d)]
    assert [norm.momentum for norm in norms] == [0.2, 0.2]


def test_weights_go_back():
    module = scrambled(Everything())
    imported = from_torch(module, (3, 16, 8))
    changed = {name: value * 1.5 + 0.01 for name, value in imported.state.items()}
    exported = imported.export(changed)
    for name, tensor in exported.state_dict().items():
        if name in changed:
            np.testing.assert_array_equal(tensor.numpy(), changed[name])
    x = np.random.default_rng(2).standard_normal((2, 3, 16, 8)).astype(np.float32)
    with torch.no_grad():
        expected = exported(torch.tensor(x)).numpy()
        assert np.abs(expected - module(torch.tensor(x)).numpy()).max() > 0.1
    actual = outputs(imported, x, changed)
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-4)
    with pytest.raises(ValueError, match=r"state\['fc.bias'\] must have shape \(5,\), not \(4,\)"):
        imported.export({"fc.bias": np.zeros(4)})
    with pytest.raises(ValueError, match="state must have names of the network only, not 'x'"):
        imported.export({"x": np.zeros(4)})


def test_frozen_parameters_stay_frozen():
    module = torch.nn.Sequential(
        torch.nn.Conv2d(1, 2, 3), torch.nn.Flatten(), torch.nn.Linear(8, 2)
    )
    module[0].weight.requires_grad = False
    assert from_torch(module, (1, 4, 4)).network.trained() == ("0.bias", "2.weight", "2.bias")


def test_names_of_modules_stay():
    """Also where a function's name is the same, and a module without weights is called twice."""

    class Module(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.relu, self.act = torch.nn.Conv2d(2, 2, 1), torch.nn.ReLU()
            self._add = torch.nn.Linear(8, 2)

        def forward(self, x):
            y = self.act(self.relu(F.relu(x)))
            return self._add(torch.flatten(self.act(y + x), 1))

    network = from_torch(Module(), (2, 2, 2)).network
    assert list(network.parameters()) == ["relu.weight", "relu.bias", "_add.weight", "_add.bias"]
    assert [n.name for n in network.nodes] == [
        "relu_", "relu", "act", "add", "act_", "flatten", "_add"
    ]  # fmt: skip


def function(body):
    class Module(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = torch.nn.Conv2d(2, 2, 1)

        def forward(self, x):
            return body(self, x)

    return Module()


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (torch.nn.Sequential(torch.nn.ReLU6()), "node '0' (ReLU6) is not supported; supported are"),
        (
            torch.nn.Sequential(torch.nn.Conv2d(2, 2, 1, padding_mode="circular")),
            "node '0' (Conv2d) is not supported: padding_mode 'circular'; supported are zeros",
        ),
        (torch.nn.Sequential(torch.nn.Conv2d(2, 2, 3, stride=5)), "node '0': Conv2d.stride must"),
        (torch.nn.Sequential(torch.nn.Conv2d(3, 2, 1)), "node '0': layer 0 (Conv2d): input must"),
        (
            torch.nn.Sequential(torch.nn.MaxPool2d(3, 2, ceil_mode=True)),
            "node '0': MaxPool2d.ceil_mode must be False, not True",
        ),
        (
            torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(4)),
            "node '0': output_size must divide the map of 6x6, not (4, 4)",
        ),
        (
            function(lambda self, x: self.conv(self.conv(x))),
            "node 'conv' (Conv2d) must not be called twice",
        ),
        (function(lambda self, x: torch.softmax(x, 1)), "node 'softmax' (softmax) is not support"),
        (function(lambda self, x: x + 1), "node 'add' (add) is not supported: of something"),
        (
            function(lambda self, x: x.view(2, -1)),
            "node 'view' (view) is not supported: to (2, -1)",
        ),
        (
            function(lambda self, x: torch.cat([x, x], dim=2)),
            "node 'cat' (cat) is not supported: along axis 2",
        ),
        (
            function(lambda self, x: self.conv(x) + torch.nn.functional.max_pool2d(x, 2)),
            "node 'add': layer add (Add): inputs must have one shape, not (2, 6, 6) and (2, 3, 3)",
        ),
        (
            function(lambda self, x: x if x.sum() > 0 else -x),
            "torch.fx can't trace the module: symbolically traced variables",
        ),
    ],
)
def test_unsupported_nodes_are_named(module, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        from_torch(module, (2, 6, 6))


def test_two_inputs_are_refused():
    class Module(torch.nn.Module):
        def forward(self, x, mask):
            return x + mask

    with pytest.raises(ValueError, match="node 'mask': the module must take one input, not two"):
        from_torch(Module(), (2, 6, 6))
