"""A described network as a PyTorch module, and both trained side by side."""

from dataclasses import fields

import numpy as np
import torch

from eftrain_hw import AcceleratorConfig, nn
from eftrain_hw.compiler.compile import prepare
from eftrain_hw.compiler.parameters import (
    channel_positions,
    parameter_from_device,
    parameter_to_device,
    weight_mask,
)
from eftrain_hw.formats import Blocked, block_channels, format_named, unblock_channels
from eftrain_hw.golden.activation import dropout, layer_seed
from eftrain_hw.golden.network import forward_pass, training_step
from eftrain_hw.golden.update import adam

torch.set_num_threads(1)  # small tensors: more threads only wait for each other
CONFIG = AcceleratorConfig.preset("sim-small").replace(lanes=4, format="fp32")
SEED = 77


class TorchNetwork(torch.nn.Module):
    """Runs the nodes of a described network with PyTorch's layers, in float64."""

    def __init__(self, network):
        super().__init__()
        self.nodes = network.nodes
        self.output = network.output_node.name
        self.dropouts, self.batch, self.step = {}, None, 1
        for node in self.nodes:
            kind = type(node.layer).__name__
            if kind in ("Add", "Concat", "Dropout"):
                continue
            names = [f.name for f in fields(node.layer) if f.name != "requires_grad"]
            module = getattr(torch.nn, kind)(**{n: getattr(node.layer, n) for n in names})
            for name, parameter in module.named_parameters():
                parameter.requires_grad = name in node.layer.trained()
            self.add_module(node.name.replace(".", "_"), module)
        self.double()

    def parameter(self, name):
        node, _, own = name.rpartition(".")
        return getattr(getattr(self, node.replace(".", "_")), own)

    def forward(self, x):
        values = {"input": x}
        for node in self.nodes:
            inputs = [values[name] for name in node.inputs]
            if isinstance(node.layer, nn.Add):
                y = inputs[0] + inputs[1]
            elif isinstance(node.layer, nn.Concat):
                y = torch.cat(inputs, dim=1)
            elif isinstance(node.layer, nn.Dropout):
                y = self._dropout(node, inputs[0])
            else:
                y = getattr(self, node.name.replace(".", "_"))(*inputs)
            values[node.name] = y
        return values[self.output]

    def _dropout(self, node, x):
        """With the golden model's own choice of elements, which goes by their place in memory."""
        if not self.training or not node.layer.p:
            return x
        op = self.dropouts[node.name]
        shape = (x.shape[0] if self.batch is None else self.batch, *op.in_shape, CONFIG.lanes)
        ones = Blocked.encode(format_named("fp32"), np.ones(shape, np.float32))
        seed = layer_seed(SEED, self.step, op.index)
        kept = dropout(ones, p=op.p, seed=seed).decode() != 0
        kept = unblock_channels(kept, op.in_shape[0] * CONFIG.lanes)
        kept = kept[: len(x), channel_positions(op.segments, CONFIG.lanes)]
        return x * torch.tensor(kept.reshape(x.shape) / (1 - op.p)).to(x.dtype)


class Pair:
    """The golden model and PyTorch with the same parameters.

    Parameters
    ----------
    network, loss, optimizer
        As `compile_network` takes them.
    batch : int
    """

    def __init__(self, network, *, batch, loss, optimizer, seed=0, config=CONFIG):
        self.network, self.loss, self.batch = network, loss, batch
        self.program = prepare(
            network, config, batch_size=batch, loss=loss, optimizer=optimizer
        )
        self.torch = TorchNetwork(network)
        self.torch.dropouts = {
            op.name.rpartition(".")[0]: op for op in self.program.ops if hasattr(op, "p")
        }
        self.torch.batch = batch
        self.rng = np.random.default_rng(seed)
        self.ops = {op.key: op for op in self.program.ops if hasattr(op, "key")}
        self.optimizer = self._optimizer(optimizer)
        self.tensors = {}
        format = format_named(config.format)
        for name, spec in self.program.tensors.items():
            if spec.kind in ("master", "momentum", "exp_avg", "exp_avg_sq"):
                self.tensors[name] = np.zeros(spec.shape, np.float32)
        for name, shape in {**network.parameters(), **network.buffers()}.items():
            values = self._initial(name, shape)
            with torch.no_grad():
                self.torch.parameter(name).copy_(torch.tensor(values))
            op, own = self._op(name)
            device = parameter_to_device(op, own, values, config.lanes)
            if name in network.buffers():
                self.tensors[name] = device
                continue
            self.tensors[f"{name}.master"] = device
            if name in self.program.tensors:
                self.tensors[name] = Blocked.encode(format, device)
            if f"{name}.mask" in self.program.tensors:
                self.tensors[f"{name}.mask"] = weight_mask(op, config.lanes)

    def _initial(self, name, shape):
        if name.endswith("running_mean"):
            return np.zeros(shape, np.float32)
        if name.endswith("running_var"):
            return np.ones(shape, np.float32)
        scale = (2 / max(1, np.prod(shape[1:]))) ** 0.5 if len(shape) > 1 else 0.3
        start = 1.0 if len(shape) == 1 and name.endswith("weight") else 0.0
        return (start + scale * self.rng.standard_normal(shape)).astype(np.float32)

    def _optimizer(self, optimizer):
        trained = [p for p in self.torch.parameters() if p.requires_grad]
        names = ("lr", "weight_decay", "momentum", "nesterov", "betas", "eps")
        settings = {n: getattr(optimizer, n) for n in names if hasattr(optimizer, n)}
        return getattr(torch.optim, type(optimizer).__name__)(trained, **settings)

    def _op(self, name):
        key, _, own = name.rpartition(".")
        return self.ops[key], own

    def value(self, name, suffix):
        """A parameter's tensor in PyTorch's shape."""
        return parameter_from_device(*self._op(name), self.tensors[f"{name}{suffix}"])

    def batch_of(self, valid):
        """Random images and targets, the latter as PyTorch and as the golden model take them."""
        x = self.rng.standard_normal((valid, *self.network.input_shape)).astype(np.float32)
        shape = self.network.output_shape(self.network.input_shape)
        self.tensors["x"] = self.program.encode_input(x)
        if isinstance(self.loss, nn.MSELoss):
            y = self.rng.standard_normal((valid, *shape)).astype(np.float32)
            maps = np.zeros((self.batch, *shape, *(1,) * (3 - len(shape))), np.float32)
            maps[:valid] = y.reshape(valid, *maps.shape[1:])
            self.tensors["targets"] = block_channels(maps, self.program.config.lanes)
        else:
            y = self.rng.integers(0, shape[0], valid)
            labels = np.zeros(self.program.tensors["labels"].shape, np.uint32)
            labels[:valid] = y
            self.tensors["labels"] = labels
        return torch.tensor(x, dtype=torch.float64), torch.tensor(y)

    def torch_loss(self, x, y):
        if isinstance(self.loss, nn.MSELoss):
            return torch.nn.functional.mse_loss(self.torch(x), y.double())
        y = y.reshape(-1)
        return torch.nn.functional.cross_entropy(
            self.torch(x).flatten(1), y, label_smoothing=self.loss.label_smoothing
        )

    def step(self, number, valid):
        """One training step of both; returns (golden's loss, PyTorch's)."""
        optimizer = self.program.optimizer
        x, y = self.batch_of(valid)
        self.torch.train()
        self.torch.step = number
        self.optimizer.zero_grad()
        loss = self.torch_loss(x, y)
        loss.backward()
        self.gradients = {
            name: self.torch.parameter(name).grad.numpy().copy() for name in self.network.trained()
        }
        if optimizer.max_grad_norm is not None:
            torch.nn.utils.clip_grad_norm_(self.torch.parameters(), optimizer.max_grad_norm)
        self.optimizer.step()
        training_step(
            self.program,
            self.tensors,
            learning_rate=optimizer.lr,
            momentum=getattr(optimizer, "momentum", 0.0),
            valid_images=valid,
            number=number,
            seed=SEED,
        )
        return float(self.tensors["loss"][-16]), loss.item()

    def _terms(self, name):
        """What a bias gradient is the sum of: 0 in truth where batch normalisation follows."""
        op, own = self._op(name)
        if own != "bias":
            return 0.0
        magnitude = np.abs(self.tensors[f"d{op.y}"].decode()).sum(axis=(0, 2, 3))
        return np.sqrt(np.square(magnitude).sum())

    def outputs(self, x):
        """Inference of both on as many images as the batch has."""
        self.tensors["x"] = self.program.encode_input(x)
        forward_pass(self.program, self.tensors)
        self.torch.eval()
        with torch.no_grad():
            expected = self.torch(torch.tensor(x, dtype=torch.float64)).numpy()
        outputs = self.tensors[self.program.logits]
        shape = expected.shape
        return unblock_channels(outputs, shape[1]).reshape(shape), expected

    def check(self, tolerance, steps=3, valid=None):
        """Train both and compare losses, gradients, parameters, statistics and outputs."""
        valid = valid or self.batch
        for number in range(1, steps + 1):
            actual, expected = self.step(number, valid)
            assert abs(actual - expected) <= tolerance * max(1.0, abs(expected)), number
            whole = np.sqrt(sum(np.square(g).sum() for g in self.gradients.values()))
            for name, gradient in self.gradients.items():
                found = self.value(name, ".gradient")
                if f"{name}.mask" in self.tensors:  # only the update takes the mask
                    found = found.reshape(gradient.shape)
                terms = self._terms(name)
                _close(f"gradient {name}, step {number}", found, gradient, tolerance, whole, terms)
        for name in self.network.parameters():
            expected = self.torch.parameter(name).detach().numpy()
            _close(name, self.value(name, ".master"), expected, tolerance, 1.0)
        for name in self.network.buffers():
            expected = self.torch.parameter(name).numpy()
            _close(name, self.value(name, ""), expected, tolerance, 1.0)
        x = self.rng.standard_normal((self.batch, *self.network.input_shape)).astype(np.float32)
        _close("outputs", *self.outputs(x), tolerance, 1.0)


def _close(what, actual, expected, tolerance, scale, terms=0.0):
    """The whole error is small beside the whole tensor (or `scale`, where that is near 0), or
    beside the rounding of sums of magnitude `terms`, which may cancel."""
    assert actual.shape == expected.shape, what
    assert np.isfinite(actual).all(), what
    error = np.sqrt(np.square(actual - expected).sum())
    size = np.sqrt(np.square(expected).sum()) + 0.1 * max(scale, 1e-6)
    size += terms * 2.0**-21 / tolerance
    assert error <= tolerance * size, f"{what}: {error / size:.2e} > {tolerance:.0e}"


def adam_steps(weights, gradients, settings):
    """Golden Adam on given gradients; returns the weights."""
    w, m, v = weights, np.zeros_like(weights), np.zeros_like(weights)
    for number, gradient in enumerate(gradients, 1):
        scalars = settings.scalars(number)
        w, m, v, _ = adam(w, m, v, gradient, eps=settings.eps, **scalars)
    return w
