"""What lowering carries from layer to layer."""

from dataclasses import dataclass, replace

from ..tensors import TensorSpec

__all__ = ["State", "Value"]


@dataclass(frozen=True)
class Value:
    """A node's output while the network is lowered.

    Members
    -------
    tensor : str
    shape : (int, int, int)
        Channels, height and width of the map, also where Flatten hides it.
    segments : tuple of int
        Channels of the parts of a concatenation, each of which starts on a block of its own.
    flat : bool
        Whether the network sees (features,).
    relu : bool
        It came out of a ReLU whose mask its users' gradients take.
    op : object
        What makes it; None for the input.
    trained : bool
        Whether a gradient is wanted: something that makes it is trained.
    channel_last : bool
        Features are numbered with the channel innermost, not outermost as Flatten has it.
    """

    tensor: str
    shape: tuple
    segments: tuple
    flat: bool = False
    relu: bool = False
    op: object = None
    trained: bool = False
    channel_last: bool = False

    def replace(self, **changes):
        return replace(self, **changes)


class State:
    """Operations and tensors so far; helpers that add to them.

    Members
    -------
    ops : list
    tensors : dict
        TensorSpec by name.
    makers : dict
        Operation by the name of the tensor it makes.
    users : dict
        By tensor: (operation, which of its inputs), in the order of the network.
    precision : Precision or None
    formats : None, str or tuple
        Formats of the passes of layers that leave them open.
    orders : dict
        By the name of a TTLinear's node: whether its cores are contracted from the last one on.
    quick : bool
        Estimates choose instead of the model.
    """

    def __init__(
        self, network, config, batch_size, optimizer, orders, precision=None, formats=None,
        quick=False,
    ):  # fmt: skip
        self.network, self.config, self.batch = network, config, batch_size
        self.optimizer = optimizer
        self.ops, self.tensors, self.makers, self.users = [], {}, {}, {}
        self.orders, self.precision, self.formats = orders, precision, formats
        self.quick = quick
        self.dropouts = 0

    def blocks(self, value):
        """Channel blocks of a number of channels, or of segments."""
        segments = (value,) if isinstance(value, int) else value
        return sum(-(-channels // self.config.lanes) for channels in segments)

    def map_of(self, value):
        """(channel blocks, height, width) of a value."""
        return (self.blocks(value.segments), *value.shape[1:])

    def add_tensor(self, name, kind, storage, shape, view=None):
        spec = TensorSpec(name, kind, storage, tuple(shape), self.format_of(kind))
        spec.view = view
        self.tensors[name] = spec

    def format_of(self, kind):
        """Format name of tensors of a kind."""
        plural = f"{kind.removeprefix('weight_')}s"
        if self.precision is None or plural not in ("activations", "gradients"):
            return self.config.format
        return self.precision.format_of(plural)

    def add_map(self, name, kind, shape, storage="blocked"):
        """A tensor of (blocks, height, width) for each image."""
        self.add_tensor(name, kind, storage, (self.batch, *shape, self.config.lanes))

    def add_parameters(self, node, shapes, copies=(), *, together=True):
        """Master values, optimizer state and gradients; compute copies of those in `copies`.

        Parameters
        ----------
        node : nn.Node
        shapes : dict
            Device shape of each parameter.
        together : bool
            The layer's gradients are made together, also those of frozen parameters.
        """
        trained = node.layer.trained()
        states = self.optimizer.STATE
        suffixes = [("master", "master"), *((state, state) for state in states)]
        suffixes.append(("gradient", "weight_gradient"))
        if self.optimizer.accumulation > 1:
            suffixes.append(("accumulated", "weight_gradient"))
        for suffix, kind in suffixes:
            for name, shape in shapes.items():
                wanted = trained if suffix == "gradient" and together else name in trained
                if suffix == "master" or wanted:
                    self.add_tensor(f"{node.name}.{name}.{suffix}", kind, "fp32", shape)
        for name in copies:
            self.add_tensor(f"{node.name}.{name}", "weight", "blocked", shapes[name])

    def produce(self, node, op, shape, segments, *, flat=False, inputs=()):
        """Register an operation and its output tensor `op.y`; returns the output's Value.

        Parameters
        ----------
        inputs : sequence of Value
            What `op` reads, in the order of its inputs.
        """
        self.add_map(op.y, "activation", (self.blocks(segments), *shape[1:]))
        self.ops.append(op)
        self.makers[op.y] = op
        for index, value in enumerate(inputs):
            self.users.setdefault(value.tensor, []).append((op, index))
        trained = bool(node.layer.trained()) or any(value.trained for value in inputs)
        return Value(op.y, shape, segments, flat, False, op, trained)
