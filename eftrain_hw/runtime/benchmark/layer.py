"""A layer on its own: its sizes, its operation, and the programs of its passes."""

from dataclasses import dataclass, replace
from math import prod

from ...compiler import nn, passes
from ...compiler.compile import allocate, place
from ...compiler.lower import lower
from ...compiler.program import Program, TensorSpec

__all__ = ["KINDS", "PASSES", "Layer", "LayerError", "layer_program"]

KINDS = ("conv", "linear")
PASSES = {"fp": "forward", "bp": "backward", "wu": "weight gradient"}
MAX_WINDOW = 15  # of a pooling
_NAME = "layer"


class LayerError(ValueError):
    """A field of a `Layer` is wrong.

    Members
    -------
    field, rule : str
        The field, and what it must be and is not.
    """

    def __init__(self, field, rule):
        self.field, self.rule = field, rule
        super().__init__(f"Layer.{field} {rule}")


@dataclass(frozen=True, kw_only=True)
class Layer:
    """Sizes of a convolution or a fully connected layer in the middle of a network.

    Parameters
    ----------
    kind : str
        "conv" or "linear"; a linear layer has neither map nor kernel.
    in_channels, out_channels : int
        Features of a linear layer.
    height, width : int
        Of the input map.
    kernel, stride, padding : int
        The same in both directions.
    batch : int
    relu : bool
        The output goes through a ReLU, and the input came out of one: BP reads its mask.
    first : bool
        The layer reads the images: there is no BP, and the kernel's taps are folded into the lanes
        where that fills them better.
    """

    kind: str = "conv"
    in_channels: int
    out_channels: int
    height: int = 1
    width: int = 1
    kernel: int = 1
    stride: int = 1
    padding: int = 0
    batch: int = 16
    relu: bool = True
    first: bool = False

    def __post_init__(self):
        if self.kind not in KINDS:
            raise LayerError("kind", f"must be one of {', '.join(KINDS)}, not {self.kind!r}")
        for field, least, most in (
            ("in_channels", 1, 65535),
            ("out_channels", 1, 65535),
            ("height", 1, 65535),
            ("width", 1, 65535),
            ("kernel", 1, nn.MAX_KERNEL),
            ("stride", 1, nn.MAX_STRIDE),
            ("padding", 0, nn.MAX_KERNEL - 1),
            ("batch", 1, 4096),
        ):
            value = getattr(self, field)
            if not isinstance(value, int) or isinstance(value, bool):
                raise LayerError(field, f"must be an integer, not {value!r}")
            if not least <= value <= most:
                raise LayerError(field, f"must be {least} to {most}, not {value!r}")
        if self.kind == "linear":
            for field in ("height", "width", "kernel", "stride"):
                value = getattr(self, field)
                if value != 1:
                    raise LayerError(field, f"must be 1 in a linear layer, not {value}")
        if self.padding >= self.kernel:
            raise LayerError(
                "padding", f"must be less than the kernel ({self.kernel}), not {self.padding}"
            )
        smallest = min(self.height, self.width) + 2 * self.padding
        if self.kernel > smallest:
            raise LayerError(
                "kernel", f"must be at most the padded input's side ({smallest}), not {self.kernel}"
            )

    @property
    def out_size(self):
        """Height and width of the output map."""
        return tuple(
            (size + 2 * self.padding - self.kernel) // self.stride + 1
            for size in (self.height, self.width)
        )

    @property
    def weight_shape(self):
        """PyTorch's."""
        if self.kind == "linear":
            return self.out_channels, self.in_channels
        return self.out_channels, self.in_channels, self.kernel, self.kernel

    @property
    def macs(self):
        """Multiply-accumulates of any one of the passes, padding of the map included."""
        return self.batch * prod(self.weight_shape) * prod(self.out_size)

    @property
    def passes(self):
        """The passes that a network needs of this layer."""
        return tuple(name for name in PASSES if name != "bp" or not self.first)

    def __str__(self):
        if self.kind == "linear":
            return f"linear {self.in_channels} -> {self.out_channels}"
        stride = f" / {self.stride}" if self.stride > 1 else ""
        shape = f"{self.height}x{self.width}"
        side = f"{self.kernel}x{self.kernel}"
        return f"{side}{stride}, {self.in_channels} -> {self.out_channels}, {shape}"


def _network(layer):
    """The smallest network with the layer in its place."""
    relu = [nn.ReLU()] if layer.relu else []
    channels, outputs = layer.in_channels, layer.out_channels
    if layer.kind == "linear":
        before = [nn.Linear(channels, channels), *relu]
        layers = [nn.Linear(channels, outputs), *relu]
        shape = (channels,)
    else:
        before = [nn.Conv2d(channels, channels, 1), *relu]
        sizes = layer.kernel, layer.stride, layer.padding
        layers = [nn.Conv2d(channels, outputs, *sizes), *relu]
        shape = (channels, layer.height, layer.width)
        height, width = layer.out_size
        while height * width > 1:
            window = min(height, MAX_WINDOW), min(width, MAX_WINDOW)
            layers.append(nn.MaxPool2d(window))
            height, width = height // window[0], width // window[1]
    before = [] if layer.first else before
    end = [nn.Flatten(), nn.Linear(outputs, 1)]
    return nn.Sequential(*before, *layers, *end, input_shape=shape), len(before)


def _lowered(layer, config):
    """The layer's operation and tensors, as the compiler makes them, with names of their own."""
    network, index = _network(layer)
    ops, tensors = lower(network, config, layer.batch)
    op = next(op for op in ops if op.name.startswith(f"{index}."))
    names = {op.x: "x", op.y: "y", f"d{op.x}": "dx", f"d{op.y}": "dy"}
    names |= {name: name.replace(op.key, _NAME, 1) for name in tensors
              if name.startswith(f"{op.key}.")}  # fmt: skip
    named = {new: replace(tensors[old], name=new) for old, new in names.items() if old in tensors}
    unused = [name for name in named if name.endswith("momentum")]
    for name in [*unused, f"{_NAME}.weight.master"]:
        del named[name]
    return replace(op, name=_NAME, key=_NAME, x="x", y="y"), named


def layer_program(layer, config):
    """The layer's passes, each a program of its own.

    Returns
    -------
    Program
        Its `ops` hold the layer alone, its `descriptors` one entry for each of `layer.passes`.

    Raises
    ------
    ValueError
        A tile of the layer does not fit into the configuration's buffers.
    """
    op, tensors = _lowered(layer, config)
    end = allocate(tensors.values())
    program = Program(config, None, None, None, layer.batch, [op], tensors, logits=None)

    def forward(config, op, batch, tensors, tag):
        tiling = passes.forward_tiling(config, op, batch, tensors)
        make = passes.forward_descriptor
        return make(config, op, tensors, tiling, (), None, tag), tiling

    make = {  # nobody else makes what they read, and no pooling follows
        "fp": forward,
        "bp": lambda *common, tag: passes.backward_descriptor(*common, (), tag),
        "wu": lambda *common, tag: passes.weight_gradient_descriptor(*common, (), tag),
    }
    for tag, name in enumerate(layer.passes):
        descriptor, tiling = make[name](config, op, layer.batch, tensors, tag=tag)
        descriptor.last = True
        program.tags[tag] = f"{_NAME} {PASSES[name]}"
        program.schedule.append((program.tags[tag], tiling))
        program.descriptors[name] = [descriptor]
        words = TensorSpec(f"program.{name}", "program", "words", program.words(name).shape,
                           config.format)  # fmt: skip
        end = place(words, end)
        program.addresses[name] = words.address
    program.memory_bytes = end
    return program
