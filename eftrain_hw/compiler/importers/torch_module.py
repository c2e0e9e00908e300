"""PyTorch modules through torch.fx."""

import copy
from dataclasses import dataclass
from typing import Any

from .. import nn
from .common import Imported, ImportRefused, Values, mean_over, unsupported
from .torch_functions import FUNCTIONS, ONE_INPUT, divides, kind_of

__all__ = ["TorchImport", "from_torch"]

MODULES = (
    "AdaptiveAvgPool2d", "AvgPool2d", "BatchNorm2d", "Conv2d", "ConvTranspose2d", "Dropout",
    "Flatten", "Identity", "LeakyReLU", "Linear", "MaxPool2d", "ReLU", "Sigmoid",
)  # fmt: skip
_ATTRIBUTES = {
    "AvgPool2d": ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad"),
    "BatchNorm2d": ("num_features", "eps", "momentum", "affine", "track_running_stats"),
    "Conv2d": ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation",
               "groups"),
    "ConvTranspose2d": ("in_channels", "out_channels", "kernel_size", "stride", "padding",
                        "output_padding", "groups", "dilation"),
    "Dropout": ("p",),
    "LeakyReLU": ("negative_slope",),
    "Linear": ("in_features", "out_features"),
    "MaxPool2d": ("kernel_size", "stride", "padding", "ceil_mode"),
}  # fmt: skip


@dataclass
class TorchImport(Imported):
    """A network from a PyTorch module.

    Members
    -------
    module : torch.nn.Module
    """

    module: Any = None

    def export(self, state):
        """A copy of the module with the given parameters and running statistics.

        Parameters
        ----------
        state : dict
            float32 arrays by the names of the network, which are the module's.
        """
        import torch

        module = copy.deepcopy(self.module)
        tensors = {name: torch.tensor(value) for name, value in self._checked(state).items()}
        own = module.state_dict()
        with torch.no_grad():
            for name, tensor in tensors.items():
                own[name].copy_(tensor)
        return module


def from_torch(module, input_shape):
    """A PyTorch module as a network, with its weights.

    Layers keep their names, so that the module's state dict is the network's; parameters whose
    requires_grad is False are frozen.

    Parameters
    ----------
    module : torch.nn.Module
        torch.fx must be able to trace it.
    input_shape : tuple
        Without the batch.

    Returns
    -------
    TorchImport
        `network`, `state` and `export(state)`.

    Raises
    ------
    ImportRefused
        (a ValueError) naming the node, and what is supported.
    """
    import torch
    import torch.fx

    if not isinstance(module, torch.nn.Module):
        raise TypeError(f"from_torch: module must be a torch.nn.Module, not {module!r}")
    try:
        graph = torch.fx.symbolic_trace(module).graph
    except Exception as error:  # tracing runs the user's code: anything may come out of it
        raise ImportRefused(f"torch.fx can't trace the module: {error}") from None
    walk = _Walk(module, input_shape)
    for node in graph.nodes:
        walk.visit(node)
    return TorchImport(walk.network(), walk.values.state, module)


class _Walk:
    """Follows a traced graph node by node."""

    def __init__(self, module, input_shape):
        self.module = module
        self.modules = dict(module.named_modules())
        self.values = Values(input_shape, reserved=self.modules)
        self.called, self.result = set(), None

    def network(self):
        if self.result is None:
            raise ImportRefused("the module must return a tensor that its layers make")
        return self.values.graph.output(self.result)

    def visit(self, node):
        of = self.values.of
        if node.op == "placeholder":
            if of:
                raise ImportRefused(f"node {node.name!r}: the module must take one input, not two")
            of[node] = self.values.graph.input
        elif node.op == "output":
            self.result = of.get(node.args[0])
        elif node.op == "call_module":
            of[node] = self.call_module(node)
        elif node.op in ("call_function", "call_method"):
            of[node] = self.call_function(node)
        else:
            raise unsupported(node.name, node.op, list(MODULES + FUNCTIONS))

    def inputs(self, node, given):
        values = [self.values.of.get(item) for item in given]
        if any(value is None for value in values):
            raise unsupported(
                node.name, kind_of(node), list(FUNCTIONS), "of something not a tensor"
            )
        return values

    def call_module(self, node):
        module, kind = self.modules[node.target], type(self.modules[node.target]).__name__
        if kind not in MODULES:
            raise unsupported(node.target, kind, list(MODULES + FUNCTIONS))
        first = node.target not in self.called
        if not first and dict(module.named_parameters()):
            raise ImportRefused(f"node {node.target!r} ({kind}) must not be called twice")
        self.called.add(node.target)
        (value,) = self.inputs(node, node.args[:1])
        if kind == "AdaptiveAvgPool2d":
            size = module.output_size
            size = (size, size) if isinstance(size, int) else size
            return mean_over(self.values, node.target, value, size)[0]
        layer = self.layer(node, module, kind, value)
        name = node.target if first else self.values.unique(node.target)
        result, name = self.values.apply_as(name, node.target, layer, value)
        arrays = {**dict(module.named_parameters()), **dict(module.named_buffers())}
        arrays.pop("num_batches_tracked", None)
        self.values.keep(
            name, **{own: tensor.detach().cpu().numpy() for own, tensor in arrays.items()}
        )
        return result

    def layer(self, node, module, kind, value):
        if getattr(module, "padding_mode", "zeros") != "zeros":
            raise unsupported(node.target, kind, "zeros", f"padding_mode {module.padding_mode!r}")
        if kind == "MaxPool2d" and (module.dilation != 1 or module.return_indices):
            raise unsupported(node.target, kind, list(MODULES), "dilation or return_indices")
        if kind == "AvgPool2d" and module.divisor_override:
            raise unsupported(node.target, kind, list(MODULES), "divisor_override")
        if kind == "Flatten" and (module.start_dim, module.end_dim) != (1, -1):
            raise unsupported(node.target, kind, list(MODULES), "from another axis than 1")
        settings = {name: getattr(module, name) for name in _ATTRIBUTES.get(kind, ())}
        parameters = dict(module.named_parameters())
        if kind in ("Conv2d", "ConvTranspose2d", "Linear"):
            settings["bias"] = "bias" in parameters
        if parameters:
            trained = tuple(own for own, p in parameters.items() if p.requires_grad)
            settings["requires_grad"] = len(trained) == len(parameters) or trained or False
        if settings.get("ceil_mode"):
            settings["ceil_mode"] = not divides(value.shape[1:], module)
        try:
            return getattr(nn, kind)(**settings)
        except (TypeError, ValueError) as error:
            raise ImportRefused(f"node {node.target!r}: {error}") from None

    def call_function(self, node):
        kind = kind_of(node)
        if kind == "size" or (kind == "getattr" and node.args[1] == "shape"):
            return "size"
        if kind == "getitem" and self.values.of.get(node.args[0]) == "size":
            return "size"
        if kind in ("add", "iadd", "add_") and not node.kwargs:
            first, second = self.inputs(node, node.args)
            return self.values.apply(node.name, nn.Add(), first, second)[0]
        if kind in ("cat", "concat"):
            axis = node.kwargs.get("dim", node.args[1] if len(node.args) > 1 else 0)
            if axis not in (1, -3):
                raise unsupported(node.name, kind, list(FUNCTIONS), f"along axis {axis}")
            parts = self.inputs(node, node.args[0])
            return self.values.apply(node.name, nn.Concat(), *parts)[0]
        if kind not in ONE_INPUT:
            raise unsupported(node.name, kind, list(MODULES + FUNCTIONS))
        (value,) = self.inputs(node, node.args[:1])
        return ONE_INPUT[kind](self, node, value)

    def apply(self, node, layer, value):
        return self.values.apply(node.name, layer, value)[0]
