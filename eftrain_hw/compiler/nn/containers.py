"""Layers made of layers: Sequential and Residual."""

from dataclasses import dataclass

from .elementwise import Add
from .module import Module
from .network import Described, check_layer, checked_input_shape

__all__ = ["Residual", "Sequential"]


def _check_layer(where, layer):
    if not isinstance(layer, Module):
        from . import LAYERS

        raise TypeError(f"{where} must be one of {list(LAYERS)}, not {layer!r}")
    if layer.INPUTS != 1:
        raise TypeError(
            f"{where} must take one input, not {layer!r}; nn.Graph and nn.Residual join tensors"
        )
    check_layer(where, layer)


@dataclass(frozen=True, init=False, repr=False)
class Sequential(Described):
    """Layers one after the other, as torch.nn.Sequential; they may be Sequentials themselves.

    Parameters
    ----------
    *layers : Module
    input_shape : (int, int, int) or (int,)
        Channels, height and width of one sample; or its features. None inside another network.
    """

    layers: tuple
    input_shape: tuple = None

    def __init__(self, *layers, input_shape=None):
        if not layers:
            raise ValueError("Sequential must have at least one layer")
        for index, layer in enumerate(layers):
            _check_layer(f"layer {index}", layer)
        object.__setattr__(self, "layers", tuple(layers))
        shape = None
        if input_shape is not None:
            shape = checked_input_shape("Sequential", input_shape)
        object.__setattr__(self, "input_shape", shape)
        if shape is not None:
            self.nodes  # noqa: B018  (checks the shapes)

    def __iter__(self):
        return iter(self.layers)

    def __len__(self):
        return len(self.layers)

    def __repr__(self):
        shown = [repr(layer) for layer in self.layers]
        if self.input_shape is not None:
            shown.append(f"input_shape={self.input_shape}")
        return f"Sequential({', '.join(shown)})"

    def shapes(self):
        """Input shape and the output shape of each layer; ValueError names the layer."""
        by_name = {node.name: node.shape for node in self.nodes}
        shapes, names = [self.input_shape], ["input"]
        for index, layer in enumerate(self.layers):
            names.append(layer.expand(str(index), [names[-1]])[-1][0])
            shapes.append(by_name[names[-1]])
        return shapes

    def expand(self, name, inputs):
        primitives, current = [], list(inputs)
        prefix = f"{name}." if name else ""
        for index, layer in enumerate(self.layers):
            primitives += layer.expand(f"{prefix}{index}", current)
            current = [primitives[-1][0]]
        return primitives

    def output_shape(self, shape):
        if self.input_shape is None:
            for index, layer in enumerate(self.layers):
                try:
                    shape = layer.output_shape(shape)
                except ValueError as error:
                    raise ValueError(f"layer {index} ({type(layer).__name__}): {error}") from None
            return shape
        return super().output_shape(shape)

    def _primitives(self):
        if self.input_shape is None:
            raise ValueError("Sequential.input_shape must be given for a whole network, not None")
        return self.expand("", ["input"])

    def _output_name(self):
        return self.nodes[-1].name


@dataclass(frozen=True, repr=False)
class Residual(Module):
    """body(x) + shortcut(x), or body(x) + x.

    Parameters named "body..." and "shortcut...".

    Parameters
    ----------
    body : Module
    shortcut : Module or None
    """

    body: Module
    shortcut: Module | None = None

    def __post_init__(self):
        _check_layer("Residual.body", self.body)
        if self.shortcut is not None:
            _check_layer("Residual.shortcut", self.shortcut)

    def expand(self, name, inputs):
        body = self.body.expand(f"{name}.body", inputs)
        shortcut = [] if self.shortcut is None else self.shortcut.expand(f"{name}.shortcut", inputs)
        second = shortcut[-1][0] if shortcut else inputs[0]
        return [*body, *shortcut, (name, Add(), (body[-1][0], second))]

    def output_shape(self, shape):
        second = shape if self.shortcut is None else self.shortcut.output_shape(shape)
        return Add().output_shape(self.body.output_shape(shape), second)
