"""A described network as a PyTorch module, and both trained side by side."""

import importlib.util
from dataclasses import fields
from operator import attrgetter
from pathlib import Path

import numpy as np
import torch

from eftrain_hw import nn
from eftrain_hw.compiler.parameters import channel_positions
from eftrain_hw.formats import Blocked, format_named, unblock_channels
from eftrain_hw.golden.activation import dropout, layer_seed
from eftrain_hw.golden.update import adam

_spec = importlib.util.spec_from_file_location(
    "golden_network_run", Path(__file__).with_name("network_run.py")
)
run = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(run)
CONFIG, SEED = run.CONFIG, run.SEED

torch.set_num_threads(1)  # small tensors: more threads only wait for each other


class TTLinear(torch.nn.Module):
    """The dense weight from the cores, and PyTorch's layer with it."""

    def __init__(self, layer):
        super().__init__()
        shapes = layer.core_shapes()
        self.layer = layer
        self.cores = torch.nn.ParameterList(torch.zeros(shape) for shape in shapes)
        outputs = layer.parameters().get("bias")
        self.bias = torch.nn.Parameter(torch.zeros(outputs)) if outputs else None

    def matrix(self):
        """Outputs by inputs by kernel."""
        total = torch.ones(1, 1, 1, 1, dtype=torch.float64)
        for core in self.cores:
            core = core.reshape(*core.shape[:4], -1)
            total = torch.einsum("abkr,rmnsl->ambnkls", total, core)
            outs, ins = total.shape[0] * total.shape[1], total.shape[2] * total.shape[3]
            total = total.reshape(outs, ins, -1, total.shape[-1])
        return total[..., 0]

    def forward(self, x):
        return torch.nn.functional.linear(x, self.matrix()[..., 0], self.bias)


class TTConv2d(TTLinear):
    """The same with a kernel in the last core; the first factor of the outputs is innermost."""

    def forward(self, x):
        weight = self.matrix()
        first, shape = self.layer.out_shape[0], (*weight.shape[:2], *self.layer.kernel_size)
        weight = weight.reshape(first, -1, *weight.shape[1:]).transpose(0, 1).reshape(shape)
        settings = {"stride": self.layer.stride, "padding": self.layer.padding}
        return torch.nn.functional.conv2d(x, weight, self.bias, **settings)


TENSOR_TRAINS = {"TTLinear": TTLinear, "TTConv2d": TTConv2d}


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
            ours = ("requires_grad", "format")
            names = [f.name for f in fields(node.layer) if f.name not in ours]
            if kind in TENSOR_TRAINS:
                module = TENSOR_TRAINS[kind](node.layer)
            else:
                module = getattr(torch.nn, kind)(**{n: getattr(node.layer, n) for n in names})
            for name, parameter in module.named_parameters():
                parameter.requires_grad = name in node.layer.trained()
            self.add_module(node.name.replace(".", "_"), module)
        self.double()

    def parameter(self, name):
        return attrgetter(self._torch_name(name))(self)

    def _torch_name(self, name):
        node = max((n.name for n in self.nodes if name.startswith(f"{n.name}.")), key=len)
        return node.replace(".", "_") + name[len(node) :]

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


class Pair(run.Run):
    """The golden model and PyTorch with the same parameters."""

    def __init__(self, network, **settings):
        super().__init__(network, **settings)
        self.torch = TorchNetwork(network)
        self.torch.dropouts = {
            op.name.rpartition(".")[0]: op for op in self.program.ops if hasattr(op, "p")
        }
        self.torch.batch = self.batch
        self.optimizer = self._optimizer(self.program.optimizer)
        with torch.no_grad():
            for name, values in self.initial.items():
                self.torch.parameter(name).copy_(torch.tensor(values))

    def _optimizer(self, optimizer):
        trained = [p for p in self.torch.parameters() if p.requires_grad]
        names = ("lr", "weight_decay", "momentum", "nesterov", "betas", "eps")
        settings = {n: getattr(optimizer, n) for n in names if hasattr(optimizer, n)}
        return getattr(torch.optim, type(optimizer).__name__)(trained, **settings)

    def torch_step(self, number, x, y):
        """One step of PyTorch's; returns its loss."""
        self.torch.train()
        self.torch.step = number
        self.optimizer.zero_grad()
        loss = self.torch_loss(torch.tensor(x, dtype=torch.float64), torch.tensor(y))
        loss.backward()
        self.gradients = {
            name: self.torch.parameter(name).grad.numpy().copy() for name in self.network.trained()
        }
        norm = self.program.optimizer.max_grad_norm
        if norm is not None:
            torch.nn.utils.clip_grad_norm_(self.torch.parameters(), norm)
        self.optimizer.step()
        return loss.item()

    def step(self, number, valid):
        """One training step of both; returns (golden's loss, PyTorch's)."""
        expected = self.torch_step(number, *self.batch_of(valid))
        return self.golden_step(number, valid), expected

    def torch_results(self):
        """Parameters and statistics by name."""
        names = [*self.network.parameters(), *self.network.buffers()]
        return {name: self.torch.parameter(name).detach().numpy() for name in names}

    def _terms(self, name):
        """What a bias gradient is the sum of: 0 in truth where batch normalisation follows."""
        op, own = self.operation(name)
        if own != "bias":
            return 0.0
        magnitude = np.abs(self.tensors[f"d{op.y}"].decode()).sum(axis=(0, 2, 3))
        return np.sqrt(np.square(magnitude).sum())

    def torch_loss(self, x, y):
        if isinstance(self.loss, nn.MSELoss):
            return torch.nn.functional.mse_loss(self.torch(x), y.double())
        y = y.reshape(-1)
        return torch.nn.functional.cross_entropy(
            self.torch(x).flatten(1), y, label_smoothing=self.loss.label_smoothing
        )

    def torch_outputs(self, x):
        """Inference."""
        self.torch.eval()
        with torch.no_grad():
            return self.torch(torch.tensor(x, dtype=torch.float64)).numpy()

    def check(self, tolerance, steps=3, valid=None):
        """Train both and compare losses, gradients, parameters, statistics and outputs."""
        valid = valid or self.batch
        for number in range(1, steps + 1):
            actual, expected = self.step(number, valid)
            assert abs(actual - expected) <= tolerance * max(1.0, abs(expected)), number
            whole = np.sqrt(sum(np.square(g).sum() for g in self.gradients.values()))
            for name, gradient in self.gradients.items():
                found, terms = self.value(name, ".gradient"), self._terms(name)
                title = f"gradient {name}, step {number}"
                run.close(title, found, gradient, tolerance, whole, terms)
        actual = self.results()
        for name, expected in self.torch_results().items():
            run.close(name, actual[name], expected, tolerance, 1.0)
        x = self.rng.standard_normal((self.batch, *self.network.input_shape)).astype(np.float32)
        run.close("outputs", self.golden_outputs(x), self.torch_outputs(x), tolerance, 1.0)


def adam_steps(weights, gradients, settings):
    """Golden Adam on given gradients; returns the weights."""
    w, m, v = weights, np.zeros_like(weights), np.zeros_like(weights)
    for number, gradient in enumerate(gradients, 1):
        scalars = settings.scalars(number)
        w, m, v, _ = adam(w, m, v, gradient, eps=settings.eps, **scalars)
    return w
