"""What all operations on the array are: a convolution in three passes."""

from dataclasses import dataclass

__all__ = ["ArrayOp"]


@dataclass(kw_only=True)
class ArrayOp:
    """A convolution, forward, backward and in the gradient of its weights.

    Members
    -------
    name : str
        What errors and counters say, such as "0.Conv2d".
    x, y : str
        Names of the input and output tensors; gradients are "d" + those.
    key : str
        Prefix of the parameters, such as "0".
    in_shape, out_shape : (int, int, int)
        Of the stored tensors: channel blocks, height, width.
    kernel, stride, padding : (int, int)
    relu, raw : bool
        Fused at the output; `raw`: the output is stored as fp32 (logits).
    mask : bool
        The input came out of a ReLU, whose mask the input gradient takes.
    input_gradient : bool
        False for the first layer.
    split : (int, int, int)
        Images, row ranges and column ranges over the lanes in the gradient of the weights.
    alone : bool
        Its passes are programs of their own, with nothing beside them on the bus.
    train_weight : bool
    dx : str or None
        Name of the input gradient; None: "d" + x.
    weight_name : str
        The weights are the parameter `key`.`weight_name`.
    conv_in, conv_out : (int, int, int)
        What the convolution takes a map of input and output for.
    maps : int
        Such maps an image.
    interleaved : StepView or None
        Where the vectors of the output are stored; None: as the convolution makes them.
    wide : dict or None
        By pass: whether the (moving, stationary) operand has low digits that the pass reads; None:
        none has.
    """

    name: str
    x: str
    y: str
    key: str
    in_shape: tuple
    out_shape: tuple
    kernel: tuple
    stride: tuple
    padding: tuple
    relu: bool = False
    raw: bool = False
    mask: bool = False
    input_gradient: bool = True
    split: tuple = None
    alone: bool = False
    train_weight: bool = True
    dx: str = None

    weight_name = "weight"
    maps = 1
    interleaved = None
    wide = None

    @property
    def conv_in(self):
        return self.in_shape

    @property
    def conv_out(self):
        return self.out_shape
