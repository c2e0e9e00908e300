"""A layer on its own: its sizes, its operation, and the programs of its passes."""

from dataclasses import dataclass, replace
from math import prod

from ...compiler import nn, passes
from ...compiler.compile import allocate, place
from ...compiler.lower import lower
from ...compiler.nn.formats import pass_formats
from ...compiler.passes.split import best_split
from ...compiler.program import Program, TensorSpec

__all__ = ["KINDS", "PASSES", "Layer", "LayerError", "layer_program"]

KINDS = ("conv", "linear")
PASSES = {"fp": "forward", "bp": "backward", "wu": "weight gradient"}
MAX_WINDOW = 15  # of a pooling
MAX_DILATION = 64
_NAME = "layer"
_PAIRS = ("kernel", "stride", "padding", "dilation")


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
    kernel, stride, padding, dilation : int or (int, int)
        One number for both directions, or (vertical, horizontal).
    groups : int
    transposed : bool
        nn.ConvTranspose2d instead of nn.Conv2d.
    batch : int
    relu : bool
        The output goes through a ReLU, and the input came out of one: BP reads its mask.
    first : bool
        The layer reads the images: there is no BP, and the kernel's taps are folded into the lanes
        where that fills them better.
    raw : bool
        The outputs are stored as fp32, as a network's last ones are, without ReLU.
    format : str, dict or None
        Of the passes of this layer and of those around it, as `compile_network` takes it.
    """

    kind: str = "conv"
    in_channels: int
    out_channels: int
    height: int = 1
    width: int = 1
    kernel: int | tuple = 1
    stride: int | tuple = 1
    padding: int | tuple = 0
    dilation: int | tuple = 1
    groups: int = 1
    transposed: bool = False
    batch: int = 16
    relu: bool = True
    first: bool = False
    raw: bool = False
    format: str | dict | None = None

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
            ("padding", 0, None),
            ("dilation", 1, MAX_DILATION),
            ("groups", 1, 65535),
            ("batch", 1, 4096),
        ):
            for value in self._numbers(field):
                if most is None and value < least:
                    raise LayerError(field, f"must be {least} or more, not {value!r}")
                if most is not None and not least <= value <= most:
                    raise LayerError(field, f"must be {least} to {most}, not {value!r}")
        if self.kind == "linear":
            for field in ("height", "width", "kernel", "stride", "dilation", "groups"):
                value = getattr(self, field)
                if value not in (1, (1, 1)):
                    raise LayerError(field, f"must be 1 in a linear layer, not {value}")
            if self.transposed:
                raise LayerError("transposed", "must be False in a linear layer")
        if self.in_channels % self.groups or self.out_channels % self.groups:
            raise LayerError(
                "groups",
                f"must divide in_channels ({self.in_channels}) and out_channels"
                f" ({self.out_channels}), not {self.groups}",
            )
        try:
            pass_formats("", self.format)
        except (TypeError, ValueError) as error:
            raise LayerError("format", str(error).strip()) from None
        self._check_window()

    def _numbers(self, field):
        """A field's integers, one or two."""
        value = getattr(self, field)
        values = value if isinstance(value, tuple) and field in _PAIRS else (value,)
        whole = all(isinstance(v, int) and not isinstance(v, bool) for v in values)
        if not whole or (values is value and len(values) != 2):
            raise LayerError(field, f"must be an integer, not {value!r}")
        return values

    def _check_window(self):
        kernels, paddings = self._both("kernel"), self._both("padding")
        for kernel, padding, span in zip(kernels, paddings, self._spans, strict=True):
            if padding >= span:
                what = "kernel" if span == kernel else "dilated kernel"
                raise LayerError("padding", f"must be less than the {what} ({span}), not {padding}")
        sizes = zip((self.height, self.width), paddings, self._spans, strict=True)
        for side, span in ((size + 2 * padding, span) for size, padding, span in sizes):
            if span > side and not self.transposed:
                side = f"the padded input's side ({side})"
                raise LayerError("kernel", f"must be at most {side}, not {span}")
        if min(self.out_size) < 1:
            raise LayerError("padding", f"must leave a pixel of the output, not {self.padding}")

    def _both(self, field):
        value = getattr(self, field)
        return value if isinstance(value, tuple) else (value, value)

    @property
    def _spans(self):
        """Height and width of the dilated kernel."""
        return tuple(d * (k - 1) + 1 for k, d in zip(self._both("kernel"), self._both("dilation")))

    @property
    def out_size(self):
        """Height and width of the output map."""
        axes = zip((self.height, self.width), self._both("stride"), self._both("padding"),
                   self._spans, strict=True)  # fmt: skip
        if self.transposed:
            return tuple((size - 1) * s - 2 * p + span for size, s, p, span in axes)
        return tuple((size + 2 * p - span) // s + 1 for size, s, p, span in axes)

    @property
    def weight_shape(self):
        """PyTorch's."""
        if self.kind == "linear":
            return self.out_channels, self.in_channels
        channels = self.out_channels, self.in_channels
        outer, inner = channels[::-1] if self.transposed else channels
        return outer, inner // self.groups, *self._both("kernel")

    @property
    def macs(self):
        """Multiply-accumulates of any one of the passes, padding of the map included."""
        pixels = (self.height, self.width) if self.transposed else self.out_size
        return self.batch * prod(self.weight_shape) * prod(pixels)

    @property
    def passes(self):
        """The passes that a network needs of this layer."""
        return tuple(name for name in PASSES if name != "bp" or not self.first)

    def module(self):
        """The layer as a network's."""
        channels = self.in_channels, self.out_channels
        if self.kind == "linear":
            return nn.Linear(*channels)
        make = nn.ConvTranspose2d if self.transposed else nn.Conv2d
        return make(
            *channels,
            self.kernel,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            groups=self.groups,
        )

    def __str__(self):
        if self.kind == "linear":
            return f"linear {self.in_channels} -> {self.out_channels}"
        kernel = "x".join(str(size) for size in self._both("kernel"))
        text = f"{kernel} transposed" if self.transposed else kernel
        for name, sign in (("stride", "/"), ("dilation", "dilated")):
            first, second = self._both(name)
            if (first, second) != (1, 1):
                text += f" {sign} {first}" if first == second else f" {sign} {first}x{second}"
        groups = f", {self.groups} groups" if self.groups > 1 else ""
        shape = f"{self.height}x{self.width}"
        return f"{text}, {self.in_channels} -> {self.out_channels}{groups}, {shape}"


def _network(layer):
    """The smallest network with the layer in its place."""
    relu = [nn.ReLU()] if layer.relu else []
    channels, outputs = layer.in_channels, layer.out_channels
    layers = [layer.module(), *([] if layer.raw else relu)]
    if layer.kind == "linear":
        before = [nn.Linear(channels, channels), *relu]
        shape = (channels,)
    else:
        before = [nn.Conv2d(channels, channels, 1), *relu]
        shape = (channels, layer.height, layer.width)
        height, width = layer.out_size
        while height * width > 1:
            window = min(height, MAX_WINDOW), min(width, MAX_WINDOW)
            layers.append(nn.MaxPool2d(window))
            height, width = height // window[0], width // window[1]
    before = [] if layer.first else before
    end = [nn.Flatten(), nn.Linear(outputs, 1)]
    return nn.Sequential(*before, *layers, *end, input_shape=shape), len(before)


def _lowered(layer, config, alone):
    """The layer's operation and tensors, as the compiler makes them, with names of their own."""
    network, index = _network(layer)
    formats = pass_formats("Layer.format", layer.format)
    ops, tensors = lower(network, config, layer.batch, formats=formats, quick=True)
    op = next(op for op in ops if op.name.startswith(f"{index}."))
    names = {op.x: "x", op.y: "y", f"d{op.x}": "dx", f"d{op.y}": "dy"}
    names |= {name: name.replace(op.key, _NAME, 1) for name in tensors
              if name.startswith(f"{op.key}.")}  # fmt: skip
    named = {new: replace(tensors[old], name=new) for old, new in names.items() if old in tensors}
    unused = [name for name in named if name.endswith("momentum")]
    for name in [*unused, f"{_NAME}.weight.master"]:
        del named[name]
    if layer.raw:
        named["y"] = replace(named["y"], storage="fp32")
    op = replace(op, name=_NAME, key=_NAME, x="x", y="y", raw=layer.raw, alone=alone)
    if not op.transposed:
        split = best_split(config, op, layer.batch)
        op = replace(op, split=split, bias_split=split)
    return op, named


def layer_program(layer, config, *, alone=True):
    """The layer's passes, each a program of its own.

    Parameters
    ----------
    layer : Layer
    config : AcceleratorConfig
    alone : bool
        Tiles for a bus on which nothing else is; else those of a training step.

    Returns
    -------
    Program
        Its `ops` hold the layer alone, its `descriptors` one entry for each of `layer.passes`.

    Raises
    ------
    ValueError
        A tile of the layer does not fit into the configuration's buffers.
    """
    op, tensors = _lowered(layer, config, alone)
    end = allocate(tensors.values())
    program = Program(config, None, None, None, layer.batch, [op], tensors, logits=None)

    def forward(config, op, batch, tensors, tag):
        tiling = passes.forward_tiling(config, op, batch, tensors)
        make = passes.forward_descriptor
        return make(config, op, tensors, tiling, (), None, tag), tiling

    def biases(*common, tag):
        return passes.bias_gradient_descriptor(*common, (), tag)

    make = {  # nobody else makes what they read, and no pooling follows
        "fp": forward,
        "bp": lambda *common, tag: passes.backward_descriptor(*common, (), tag),
        "wu": lambda *common, tag: passes.weight_gradient_descriptor(*common, (), tag),
    }
    for name in layer.passes:
        steps = [(PASSES[name], make[name])]
        if name == "wu" and op.transposed:
            steps.append(("bias gradient", biases))
        program.descriptors[name] = []
        for title, emit in steps:
            tag = len(program.tags)
            descriptor, tiling = emit(config, op, layer.batch, tensors, tag=tag)
            program.tags[tag] = f"{_NAME} {title}"
            program.schedule.append((program.tags[tag], tiling))
            program.descriptors[name].append(descriptor)
        descriptor.last = True
        words = TensorSpec(f"program.{name}", "program", "words", program.words(name).shape,
                           config.format)  # fmt: skip
        end = place(words, end)
        program.addresses[name] = words.address
    program.memory_bytes = end
    return program
