"""A described network on the golden model with random parameters and data, by NumPy alone."""

import numpy as np

from eftrain_hw import AcceleratorConfig, nn, optim
from eftrain_hw.compiler.compile import prepare
from eftrain_hw.compiler.parameters import parameter_from_device
from eftrain_hw.compiler.state import device_state, operation_of
from eftrain_hw.formats import unblock_channels
from eftrain_hw.golden.network import forward_pass, training_step

CONFIG = AcceleratorConfig.preset("sim-small").replace(lanes=4, format="fp32")
SEED = 77


class Run:
    """The golden model with the same parameters and data whatever the machine.

    Parameters
    ----------
    network, loss, optimizer
        As `compile_network` takes them.
    batch : int
    """

    def __init__(self, network, *, batch, loss, optimizer, seed=0, config=CONFIG):
        self.network, self.loss, self.batch = network, loss, batch
        self.program = prepare(network, config, batch_size=batch, loss=loss, optimizer=optimizer)
        self.rng = np.random.default_rng(seed)
        shapes = {**network.parameters(), **network.buffers()}
        self.initial = {name: self._initial(name, shape) for name, shape in shapes.items()}
        self.tensors = device_state(self.program, self.initial)

    def _initial(self, name, shape):
        if name.endswith("running_mean"):
            return np.zeros(shape, np.float32)
        if name.endswith("running_var"):
            return np.ones(shape, np.float32)
        scale = (2 / max(1, np.prod(shape[1:]))) ** 0.5 if len(shape) > 1 else 0.3
        start = 1.0 if len(shape) == 1 and name.endswith("weight") else 0.0
        return (start + scale * self.rng.standard_normal(shape)).astype(np.float32)

    def operation(self, name):
        """(operation, name within it) of a parameter."""
        return operation_of(self.program, name)

    def value(self, name, suffix):
        """A parameter's tensor in PyTorch's shape."""
        return parameter_from_device(*self.operation(name), self.tensors[f"{name}{suffix}"])

    def batch_of(self, valid):
        """Random images and targets, put where the golden model takes them."""
        x = self.rng.standard_normal((valid, *self.network.input_shape)).astype(np.float32)
        shape = self.network.output_shape(self.network.input_shape)
        self.tensors["x"] = self.program.encode_input(x)
        if isinstance(self.loss, nn.MSELoss):
            y = self.rng.standard_normal((valid, *shape)).astype(np.float32)
            self.tensors["targets"] = self.program.encode_targets(y)
        else:
            y = self.rng.integers(0, shape[0], valid)
            labels = np.zeros(self.program.tensors["labels"].shape, np.uint32)
            labels[:valid] = y
            self.tensors["labels"] = labels
        return x, y

    def golden_step(self, number, valid, **settings):
        """Train on what `batch_of` has drawn; returns the loss. `settings`: others of Step."""
        optimizer = self.program.optimizer
        training_step(
            self.program,
            self.tensors,
            learning_rate=optimizer.lr,
            momentum=getattr(optimizer, "momentum", 0.0),
            valid_images=valid,
            number=number,
            seed=SEED,
            **settings,
        )
        return float(self.tensors["loss"][-16])

    def golden_outputs(self, x):
        """Inference on as many images as the batch has."""
        self.tensors["x"] = self.program.encode_input(x)
        forward_pass(self.program, self.tensors)
        outputs = self.tensors[self.program.logits]
        shape = self.network.output_node.shape
        return unblock_channels(outputs, shape[0]).reshape(len(x), *shape)

    def results(self):
        """Parameters and statistics by name."""
        found = {name: self.value(name, ".master") for name in self.network.parameters()}
        return found | {name: self.value(name, "") for name in self.network.buffers()}


def _mixed():
    """Residual, concatenation with holes, groups, dilation, overlapping pools, dropout."""
    g = nn.Graph((3, 11, 9))
    y = g(nn.Conv2d(3, 6, 3, padding=1, bias=False), g.input, name="stem")
    y = g(nn.Sequential(nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(3, 2, 1)), y, name="norm")
    z = g(nn.Conv2d(6, 6, 3, padding=2, dilation=2, groups=3), y, name="branch")
    y = g(nn.ReLU(), g(nn.Add(), z, y))
    z = g(nn.Sequential(nn.Conv2d(6, 3, 1), nn.LeakyReLU(0.1)), y, name="side")
    y = g(nn.Dropout(0.2), g(nn.Concat(), y, z, y))
    y = g(nn.AvgPool2d((2, 3), padding=(1, 0), count_include_pad=False), y)
    return g.output(g(nn.Linear(60, 5), g(nn.Flatten(), y), name="head"))


def _autoencoder():
    """Strided and transposed convolutions, a sigmoid at the end."""
    return nn.Sequential(
        nn.Conv2d(2, 8, 3, stride=2, padding=1),
        nn.Sigmoid(),
        nn.Conv2d(8, 8, 3, padding=1, groups=8),
        nn.BatchNorm2d(8, affine=False),
        nn.ConvTranspose2d(8, 2, 3, stride=2, padding=1, output_padding=1),
        nn.Sigmoid(),
        input_shape=(2, 8, 6),
    )


STORED = {
    "mixed_sgd": lambda: Run(
        _mixed(),
        batch=5,
        loss=nn.CrossEntropyLoss(label_smoothing=0.1),
        optimizer=optim.SGD(lr=0.05, momentum=0.9, nesterov=True, weight_decay=0.01),
    ),
    "mixed_adam": lambda: Run(
        nn.freeze(_mixed(), "branch", "norm.0.bias"),
        batch=5,
        loss=nn.CrossEntropyLoss(),
        optimizer=optim.Adam(lr=0.01, eps=1e-3, max_grad_norm=1.0),
    ),
    "autoencoder": lambda: Run(
        _autoencoder(), batch=4, loss=nn.MSELoss(), optimizer=optim.SGD(lr=0.5, momentum=0.5)
    ),
}
"""Runs whose results by PyTorch are stored: three steps, one image of each batch missing."""
STEPS = 3


def close(what, actual, expected, tolerance, scale, terms=0.0):
    """Assert that the whole error is small beside the whole tensor (or `scale`, where that is near
    0), or beside the rounding of sums of magnitude `terms`, which may cancel."""
    assert actual.shape == expected.shape, what
    assert np.isfinite(actual).all(), what
    error = np.sqrt(np.square(actual - expected).sum())
    size = np.sqrt(np.square(expected).sum()) + 0.1 * max(scale, 1e-6)
    size += terms * 2.0**-21 / tolerance
    assert error <= tolerance * size, f"{what}: {error / size:.2e} > {tolerance:.0e}"
