"""Operations that become vector programs; convolutions, poolings and updates are in `program`."""

from dataclasses import dataclass

__all__ = [
    "ActivationOp",
    "AddOp",
    "AvgPoolOp",
    "BatchNormOp",
    "ConcatOp",
    "DropoutOp",
    "FanoutOp",
    "MaxPoolOp",
    "SquaredErrorOp",
    "VectorOp",
]


@dataclass
class VectorOp:
    """What the operations with one input and one output share.

    Members
    -------
    name : str
        What errors and counters say, such as "1.BatchNorm2d".
    x, y : str
        Names of the input and the output tensor; the gradient of y is "d" + y.
    in_shape, out_shape : (int, int, int)
        Channel blocks, height, width.
    channels : int
        Channels that exist; see `segments`.
    segments : tuple of int
        Channels of the parts of a concatenation, each of which starts on a block of its own.
    relu, raw : bool
        A ReLU is fused at the output; the output is stored as fp32.
    mask : bool
        The input came out of a ReLU, whose mask the input gradient takes.
    input_gradient : bool
        Whether something below is trained.
    dx : str
        Name of the input gradient.
    """

    name: str
    x: str
    y: str
    in_shape: tuple
    out_shape: tuple
    segments: tuple
    relu: bool = False
    raw: bool = False
    mask: bool = False
    input_gradient: bool = True
    dx: str = None

    @property
    def channels(self):
        return sum(self.segments)


@dataclass
class BatchNormOp(VectorOp):
    """Batch normalisation.

    Members
    -------
    key : str
        Prefix of "weight.master", "bias.master" and their kin, the running statistics, and
        of "mean", "rstd", "scale", which the backward pass reads: fp32 (blocks, lanes) each.
    eps, momentum : float
    affine, track : bool
    train_weight, train_bias : bool
    """

    key: str = None
    eps: float = 1e-5
    momentum: float = 0.1
    affine: bool = True
    track: bool = True
    train_weight: bool = True
    train_bias: bool = True


@dataclass
class MaxPoolOp(VectorOp):
    """Max pooling with any stride and padding; `index` is the tensor of winners."""

    index: str = None
    kernel: tuple = None
    stride: tuple = None
    padding: tuple = None


@dataclass
class AvgPoolOp(VectorOp):
    """Mean over windows; `count_padding`: padding counts as pixels of value 0."""

    kernel: tuple = None
    stride: tuple = None
    padding: tuple = (0, 0)
    count_padding: bool = True


@dataclass
class ActivationOp(VectorOp):
    """`kind` "leaky_relu" (with `slope`) or "sigmoid"."""

    kind: str = None
    slope: float = 0.0


@dataclass
class DropoutOp(VectorOp):
    """Dropout with probability p; `index` numbers the network's dropout layers from 0."""

    p: float = 0.5
    index: int = 0


@dataclass
class AddOp:
    """Sum of two tensors.

    Members
    -------
    inputs : (str, str)
    masks : (bool, bool)
        Whether the input came out of a ReLU.
    wanted : (bool, bool)
        Whether the input's gradient is wanted.
    dx : [str, str]
        Names of the gradients: that of y itself where nothing has to be done.
    name, y, in_shape, out_shape, segments, relu, raw
        As VectorOp.
    """

    name: str
    inputs: tuple
    y: str
    in_shape: tuple
    out_shape: tuple
    segments: tuple
    masks: tuple
    wanted: tuple
    dx: list
    relu: bool = False
    raw: bool = False

    @property
    def input_gradient(self):
        return any(self.wanted)


@dataclass
class ConcatOp:
    """Tensors behind each other along the channel blocks.

    Inputs and their gradients are views of the output and its gradient, so that nothing is moved;
    where an input must be elsewhere too it is copied (and encoded anew).

    Members
    -------
    inputs : tuple of str
    blocks : tuple of int
        Channel blocks of each input.
    copied : tuple of bool
        Which inputs are no views of the output.
    masks, wanted, dx, name, y, out_shape, segments
        As AddOp.
    """

    name: str
    inputs: tuple
    y: str
    blocks: tuple
    out_shape: tuple
    segments: tuple
    copied: tuple
    masks: tuple
    wanted: tuple
    dx: list

    @property
    def input_gradient(self):
        return any(self.wanted)


@dataclass
class FanoutOp:
    """A tensor with several users: nothing forward, the sum of their gradients backward.

    Members
    -------
    x : str
    gradients : tuple of str
        In the order of the users in the network.
    dx : str
    """

    name: str
    x: str
    gradients: tuple
    dx: str
    input_gradient: bool = True


@dataclass
class SquaredErrorOp:
    """Mean squared error of fp32 outputs.

    Members
    -------
    logits, gradient : str
        The outputs and their gradient; the tensor "targets" has the shape of the outputs.
    features : int
        Outputs of one image.
    mask : bool
        The outputs came out of a ReLU.
    """

    name: str
    logits: str
    gradient: str
    features: int
    mask: bool = False

    @property
    def classes(self):
        return self.features
