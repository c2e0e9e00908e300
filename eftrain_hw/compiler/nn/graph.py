"""Networks in which tensors are used more than once, in a few lines."""

import re
from dataclasses import dataclass

from .network import INPUT, Network, Node, check_layer, checked_input_shape, shape_of

__all__ = ["Graph", "Value"]


@dataclass(frozen=True)
class Value:
    """A tensor of a graph: what a call of the graph returns, and what it takes.

    Members
    -------
    name : str
        Of the layer that makes it, or "input".
    shape : tuple
        Without the batch.
    """

    graph: "Graph"
    name: str
    shape: tuple

    def __repr__(self):
        return f"Value({self.name!r}, shape={self.shape})"


class Graph:
    """Describes a network layer by layer:

        g = nn.Graph(input_shape=(3, 32, 32))
        y = g(nn.Conv2d(3, 3, 3, padding=1), g.input)
        y = g(nn.Add(), y, g.input)
        network = g.output(g(nn.Linear(3072, 10), g(nn.Flatten(), y)))

    Each call makes a layer with parameters of its own.

    Parameters
    ----------
    input_shape : (int, int, int) or (int,)
        Of the only input, without the batch.

    Members
    -------
    input : Value
    """

    def __init__(self, input_shape):
        shape = checked_input_shape("Graph", input_shape)
        self.input = Value(self, INPUT, shape)
        self._layers = []

    def __call__(self, layer, *inputs, name=None):
        """The output of a layer applied to values of this graph.

        Parameters
        ----------
        layer : Module
        *inputs : Value
        name : str or None
            Prefix of its parameters; None: how many layers there were before.

        Raises
        ------
        TypeError, ValueError
            Naming the layer, what was given and what is allowed.
        """
        name = str(len(self._layers)) if name is None else name
        if not isinstance(name, str) or not re.fullmatch(r"\w+(\.\w+)*", name) or name == INPUT:
            raise ValueError(
                "a layer's name must be letters, digits, underscores and dots between them, and"
                f" not {INPUT!r}: {name!r}"
            )
        check_layer(f"layer {name}", layer)
        title = f"layer {name} ({type(layer).__name__})"
        if name in [known for known, _, _ in self._layers]:
            raise ValueError(f"{title}: the name must not be used twice")
        for value in inputs:
            if not isinstance(value, Value):
                raise TypeError(f"{title}: inputs must be values of the graph, not {value!r}")
            if value.graph is not self:
                raise ValueError(f"{title}: inputs must be values of this graph, not another's")
        node = Node(name, layer, tuple(range(len(inputs))))
        shape = shape_of(node, [value.shape for value in inputs])
        self._layers.append((name, layer, tuple(value.name for value in inputs)))
        return Value(self, name, shape)

    def output(self, value):
        """The network that makes `value`; ValueError where the output of a layer is not used."""
        if not isinstance(value, Value) or value.graph is not self:
            raise TypeError(f"Graph.output: value must be one of this graph, not {value!r}")
        return Network(self._layers, input_shape=self.input.shape, output=value.name)
