"""What the compiler works on: the primitive layers of a network in order, with names and shapes."""

from dataclasses import dataclass
from functools import cached_property

from .module import Module

__all__ = [
    "INPUT",
    "Described",
    "Network",
    "Node",
    "check_layer",
    "checked_input_shape",
    "order_nodes",
    "shape_of",
]

INPUT = "input"
"""Name of a network's input among the inputs of its nodes."""


@dataclass(frozen=True)
class Node:
    """A primitive layer in a network.

    Members
    -------
    name : str
        Prefix of its parameters, such as "0" or "layer1.0.conv1".
    layer : Module
    inputs : tuple of str
        Names of other nodes, or "input".
    shape : tuple
        Of its output, without the batch.
    """

    name: str
    layer: Module
    inputs: tuple
    shape: tuple = None

    @property
    def title(self):
        """What errors call it."""
        return f"layer {self.name} ({type(self.layer).__name__})"


def checked_input_shape(owner, value):
    """An input shape as a tuple of 1 or 3 sizes."""
    shape = (value,) if isinstance(value, int) else tuple(value)
    if len(shape) not in (1, 3) or any(
        not isinstance(size, int) or isinstance(size, bool) or not 1 <= size <= 65535
        for size in shape
    ):
        raise ValueError(
            f"{owner}.input_shape must be (channels, height, width) or (features,), not {value!r}"
        )
    return shape


def check_layer(where, layer):
    """TypeError or ValueError unless `layer` can be a part of a network."""
    if not isinstance(layer, Module):
        raise TypeError(f"{where} must be a layer of nn, not {layer!r}")
    if getattr(layer, "input_shape", None) is not None:
        raise ValueError(f"{where} must be given without an input_shape, which the network has")


def shape_of(node, shapes):
    """The output shape of a node; ValueError names it."""
    given = len(node.inputs)
    wanted = node.layer.INPUTS
    if (wanted is None and given < 2) or (wanted is not None and given != wanted):
        allowed = {None: "two inputs or more", 1: "one input"}.get(wanted, f"{wanted} inputs")
        raise ValueError(f"{node.title}: takes {allowed}, not {given}")
    try:
        return tuple(node.layer.output_shape(*(shapes[name] for name in node.inputs)))
    except ValueError as error:
        raise ValueError(f"{node.title}: {error}") from None


def order_nodes(nodes):
    """Nodes with every input before its users, otherwise in the order given.

    Raises
    ------
    ValueError
        A name that is used twice or that is no node, or a cycle; names the nodes.
    """
    by_name = {}
    for node in nodes:
        if node.name in by_name or node.name == INPUT:
            raise ValueError(f"{node.title}: the name must not be used twice")
        by_name[node.name] = node
    for node in nodes:
        for name in node.inputs:
            if name != INPUT and name not in by_name:
                raise ValueError(
                    f"{node.title}: its input must be a node or {INPUT!r}, the network's only"
                    f" input, not {name!r}"
                )
    ordered, done, waiting = [], {INPUT}, list(nodes)
    while waiting:
        ready = next((node for node in waiting if done.issuperset(node.inputs)), None)
        if ready is None:
            cycle = " -> ".join(_cycle(by_name, waiting, done))
            raise ValueError(f"layers must not depend on themselves: {cycle}")
        waiting.remove(ready)
        ordered.append(ready)
        done.add(ready.name)
    return ordered


def _cycle(by_name, waiting, done):
    path, node = [], waiting[0]
    while node.name not in path:
        path.append(node.name)
        node = by_name[next(name for name in node.inputs if name not in done)]
    return [node.name, *reversed(path[path.index(node.name) :])]


class Described(Module):
    """A whole network: subclasses say what `_layers` and `input_shape` are."""

    @cached_property
    def nodes(self):
        """Primitive layers as Nodes, every one after its inputs; ValueError names a bad one."""
        shapes = {INPUT: self.input_shape}
        nodes = []
        for name, layer, inputs in order_nodes_of(self._primitives()):
            node = Node(name, layer, inputs)
            shapes[name] = shape_of(node, shapes)
            nodes.append(Node(name, layer, inputs, shapes[name]))
        return tuple(nodes)

    @property
    def output_node(self):
        """The node whose output is the network's."""
        return next(node for node in self.nodes if node.name == self._output_name())

    def users(self, name):
        """Nodes that take a node's output (or the network's "input"), in order, one a use."""
        return [node for node in self.nodes for given in node.inputs if given == name]

    def output_shape(self, shape):
        if tuple(shape) != self.input_shape:
            raise ValueError(f"input must be {self.input_shape}, not {tuple(shape)}")
        return self.output_node.shape

    def parameters(self):
        """Every parameter's PyTorch name ("0.weight") and shape."""
        return {
            f"{node.name}.{name}": shape
            for node in self.nodes
            for name, shape in node.layer.parameters().items()
        }

    def buffers(self):
        """Every running statistic's PyTorch name ("1.running_mean") and shape."""
        return {
            f"{node.name}.{name}": shape
            for node in self.nodes
            for name, shape in node.layer.buffers().items()
        }

    def trained(self):
        """Names of the parameters that training changes."""
        return tuple(f"{node.name}.{name}" for node in self.nodes for name in node.layer.trained())


def order_nodes_of(primitives):
    """(name, layer, inputs) triples in an order that can be run."""
    nodes = order_nodes([Node(*primitive) for primitive in primitives])
    return [(node.name, node.layer, node.inputs) for node in nodes]


class Network(Described):
    """A network of named layers in any shape without cycles.

    `nn.Graph` and the importers make it; a Sequential with an `input_shape` is one too.

    Parameters
    ----------
    layers : iterable of (str, Module, tuple of str)
        Name, layer and names of its inputs ("input" is the network's); composite layers such as
        Sequential are allowed. In any order.
    input_shape : (int, int, int) or (int,)
    output : str
        Name of the layer whose output is the network's.

    Raises
    ------
    TypeError, ValueError
        Naming the layer: not a layer, an unknown input, a cycle, an unused output, a bad shape.
    """

    def __init__(self, layers, *, input_shape, output):
        self.layers = tuple((name, layer, tuple(inputs)) for name, layer, inputs in layers)
        self.input_shape = checked_input_shape("Network", input_shape)
        self.output = output
        for name, layer, _ in self.layers:
            check_layer(f"layer {name}", layer)
        if output not in [name for name, _, _ in self.layers]:
            raise ValueError(f"Network.output must be the name of a layer, not {output!r}")
        used = {name for node in self.nodes for name in node.inputs}
        for node in self.nodes:
            if node.name not in used and node.name != self._output_name():
                raise ValueError(f"{node.title}: its output must be used")
        if self._output_name() in used:
            raise ValueError(f"{self.output_node.title}: the network's output must not be used")

    def __repr__(self):
        return f"Network({list(self.layers)!r}, input_shape={self.input_shape}, {self.output!r})"

    def __eq__(self, other):
        return isinstance(other, Network) and repr(self) == repr(other)

    def __hash__(self):
        return hash(repr(self))

    def __iter__(self):
        return iter(layer for _, layer, _ in self.layers)

    def __len__(self):
        return len(self.layers)

    def _primitives(self):
        outputs, primitives = {INPUT: INPUT}, []
        order = order_nodes([Node(*item) for item in self.layers])
        for node in order:
            parts = node.layer.expand(node.name, [outputs[name] for name in node.inputs])
            primitives += parts
            outputs[node.name] = parts[-1][0]
        self._outputs = outputs
        return primitives

    def _output_name(self):
        self.nodes  # noqa: B018  (fills the names of composite layers' outputs)
        return self._outputs[self.output]
