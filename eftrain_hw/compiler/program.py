"""What the compiler hands to a device: operations, tensors and linked layer programs."""

import hashlib
import json
import re
from dataclasses import dataclass, field

import numpy as np

from ..config import AcceleratorConfig
from ..formats import Blocked, block_channels, format_named
from .array_op import ArrayOp
from .fold import fold_input
from .nn import Network
from .tensors import LINE_BYTES, TensorSpec

__all__ = [
    "LINE_BYTES",
    "ConvOp",
    "LossOp",
    "PoolOp",
    "Program",
    "TensorSpec",
    "UpdateOp",
    "trained_of",
]

_FORMAT = re.compile(r", format=(?:'\w+'|\((?:\('\w+', '\w+'\)[, ]*)+\))")  # of a layer


@dataclass(kw_only=True)
class ConvOp(ArrayOp):
    """A convolution, or a Linear layer as a 1x1 convolution on a 1x1 map.

    Its tensors are "0.weight", "0.weight.master", "0.weight.momentum", "0.weight.gradient" and
    "0.bias.master" with its kin, "0" being the key.

    Members
    -------
    bias : bool
    bias_split : (int, int, int)
        As `split`, in the gradient of the biases; another one where the layer is transposed.
    weight_shape : tuple
        PyTorch's shape.
    flattened : (int, int, int) or None
        Channels, height and width of the map that a Linear layer sees flattened.
    channel_last : bool
        The flattened map's features are numbered with the channel innermost.
    folded : dict or None
        kernel, stride and padding of a first layer whose taps are folded into the lanes: it is a
        1x1 convolution here, and the host folds the input (`compiler.fold`).
    dilation : (int, int)
    groups : int
    parts : int
        Blocks of input and output channels in that many equal parts, each of which is a
        convolution of its own; within a part, weights between groups are zero and stay so
        (tensor "weight.mask").
    transposed : bool
        The passes are exchanged: forward is the input gradient of the convolution that kernel,
        stride, padding and the weights describe.
    segments : tuple of int or None
        Channels of the parts of a concatenated input, each starting on a block of its own.
    train_bias : bool
    formats : dict or None
        Format of each pass by its name in `nn.formats.PASSES`; None: the configuration's.
    y_format, dx_format : str or None
        In which the results are stored; None: as the configuration has it.
    """

    bias: bool
    weight_shape: tuple
    bias_split: tuple = None
    flattened: tuple = None
    folded: dict = None
    dilation: tuple = (1, 1)
    groups: int = 1
    parts: int = 1
    transposed: bool = False
    segments: tuple = None
    train_bias: bool = True
    channel_last: bool = False
    formats: dict = None
    wide: dict = None
    y_format: str = None
    dx_format: str = None


@dataclass
class PoolOp:
    """Max pooling, kernel = stride; a ReLU on either side is fused.

    Members as ConvOp; `index` is the tensor of winners; `wide`, `wide_gradient` whether it carries
    low digits along, forward and backward; None: where there are any.
    """

    name: str
    x: str
    y: str
    index: str
    in_shape: tuple
    out_shape: tuple
    kernel: tuple
    relu: bool = False
    input_gradient: bool = True
    dx: str = None
    wide: bool = None
    wide_gradient: bool = None


@dataclass
class LossOp:
    """Softmax cross-entropy of fp32 logits."""

    name: str
    logits: str
    gradient: str
    classes: int
    label_smoothing: float = 0.0


@dataclass
class UpdateOp:
    """SGD of one layer's parameters `key`.`names`."""

    name: str
    key: str
    names: tuple


def trained_of(op):
    """Names of an operation's parameters that are trained."""
    if hasattr(op, "trained_names"):
        return op.trained_names
    wanted = {
        "weight": getattr(op, "train_weight", False),
        "bias": getattr(op, "bias", True) and getattr(op, "train_bias", False),
    }
    return tuple(name for name, trained in wanted.items() if trained)


@dataclass
class Program:
    """A compiled network.

    Members
    -------
    network, loss, optimizer :
        What was compiled.
    batch_size : int
    ops : list
        ConvOp and PoolOp in forward order, then LossOp.
    tensors : dict
        TensorSpec by name; "x" is the input, "labels", "loss", and the logits' name is `logits`.
    descriptors : dict
        "train" and "infer": lists of sequencer descriptors, addresses relative to 0.
    addresses : dict
        Byte offset of each program.
    constants : dict
        Arrays of tensors that never change, by name: vector programs and what they read.
    tags : dict
        Descriptor tag to a name such as "0.Conv2d forward".
    precision : Precision or None
    prior : RankPrior or None
    bonds : list of Bond
        Where its ranks meet; empty without a prior.
    memory_bytes : int
        DRAM that everything takes, from offset 0.
    schedule : list
        The compiler's tile choices and cycle estimates, one for each descriptor of "train".
    """

    config: AcceleratorConfig
    network: object
    loss: object
    optimizer: object
    batch_size: int
    ops: list
    tensors: dict
    logits: str
    descriptors: dict = field(default_factory=dict)
    addresses: dict = field(default_factory=dict)
    constants: dict = field(default_factory=dict)
    tags: dict = field(default_factory=dict)
    memory_bytes: int = 0
    schedule: list = field(default_factory=list)
    precision: object = None
    prior: object = None
    bonds: list = field(default_factory=list)

    @property
    def classes(self):
        """Outputs of the network."""
        return self.ops[-1].classes

    def encode_input(self, x):
        """float32 images (N, *input_shape) as the tensor "x"; up to batch_size, the rest is 0."""
        spec = self.tensors["x"]
        batch = np.zeros((self.batch_size, *self.network.input_shape), np.float32)
        batch[: len(x)] = x
        maps = batch.reshape(*batch.shape, *(1,) * (4 - batch.ndim))
        layout = getattr(self.ops[0], "input_layout", None)
        if layout:
            channels, pixels, channel_last = layout
            shape = (pixels, channels) if channel_last else (channels, pixels)
            maps = batch.reshape(len(batch), *shape)
            maps = (maps.swapaxes(1, 2) if channel_last else maps)[..., None]
        folded = getattr(self.ops[0], "folded", None)
        if folded:
            maps = fold_input(maps, **folded)
        return Blocked.encode(format_named(spec.format), block_channels(maps, self.config.lanes))

    def encode_targets(self, y):
        """float32 targets (N, *output shape) as the tensor "targets" of MSELoss, the rest 0."""
        spec = self.tensors["targets"]
        shape = self.network.output_node.shape
        batch = np.zeros((self.batch_size, *shape, *(1,) * (3 - len(shape))), np.float32)
        batch[: len(y)] = np.reshape(y, (len(y), *batch.shape[1:]))
        return block_channels(batch, self.config.lanes).reshape(spec.shape)

    def words(self, name, base=0):
        """The words of a program for a memory that starts at byte address `base` (line aligned)."""
        if base % LINE_BYTES:
            raise ValueError(f"memory base must be a multiple of {LINE_BYTES}, not {base:#x}")
        from ..sequencer.program_format import packed, padded

        made = [each.words(base_line=base // LINE_BYTES) for each in self.descriptors[name]]
        if not self.config.packed_programs:
            return np.array(sum(map(padded, made), []), np.uint32)
        words = packed(made, self.config.bus_bytes)
        room = len(words)
        if f"program.{name}" in self.tensors:
            room = self.tensors[f"program.{name}"].shape[0]
        if len(words) > room:
            raise ValueError(
                f"the packed program {name!r} takes {4 * len(words)} bytes at memory base"
                f" {base:#x}; at 0 it takes {4 * room}, and there is no more room"
            )
        return np.array(words + [0] * (room - len(words)), np.uint32)

    def entry(self, name, base=0):
        """What the register `program_address` takes for a program in a memory that starts at
        `base`: its address, and how many lines its first descriptor has where 6 bits hold that."""
        if self.config.packed_programs:
            return base + self.addresses[name]
        lines = -(-4 * len(self.descriptors[name][0].words()) // LINE_BYTES)
        return base + self.addresses[name] + (lines if lines < LINE_BYTES else 0)

    @property
    def fingerprint(self):
        """Hash of the network's layers and parameter shapes: what a checkpoint must match."""
        layers = [repr(layer) for layer in self.network]
        if isinstance(self.network, Network):
            layers = [repr(self.network)]
        layers = [_FORMAT.sub("", layer) for layer in layers]  # parameters are the same in all
        text = json.dumps(layers + [list(self.network.input_shape)])
        return hashlib.sha256(text.encode()).hexdigest()[:16]
