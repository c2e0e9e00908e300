"""What a pass of a layer on the array reads, makes and adds: the same for both directions."""

from dataclasses import dataclass, replace

__all__ = [
    "ArrayPass",
    "Place",
    "backward_pass",
    "bias_pass",
    "forward_pass",
    "gradient_pass",
    "place_of",
]


@dataclass(frozen=True)
class Place:
    """Where a tensor of maps lies; it may be a part of another one.

    Members
    -------
    root : TensorSpec
        The tensor that it is a part of, or itself.
    vector : int
        Its first vector there.
    pitch : int
        Vectors from image to image.
    """

    root: object
    vector: int
    pitch: int


def place_of(tensors, name):
    """`Place` of a tensor by its name."""
    spec, block = tensors[name], 0
    plane = 1
    for size in spec.shape[2:-1]:
        plane *= size
    root = spec
    while root.view is not None:
        block += root.view[1]
        root = tensors[root.view[0]]
    return Place(root, block * plane, plane * root.shape[1])


@dataclass(frozen=True)
class ArrayPass:
    """A pass of a layer, as a pass of the convolution that its weights describe.

    A transposed layer exchanges the passes of that convolution: its FP goes from the small map to
    the large one.

    Members
    -------
    name, key : str
        As ConvOp.
    weight : str
        The tensor of the weights.
    in_shape, out_shape : (int, int, int)
        Blocks, height and width on the convolution's input and output side.
    kernel, stride, padding, dilation : (int, int)
    parts : int
    source, result : str
        Tensors that are read and made. Of a weight gradient: the tensor on the input side, and the
        one on the output side.
    bias, relu, raw : bool
        At the output.
    masked : str or None
        The tensor whose elements must be > 0 where the result is not zeroed.
    split : (int, int, int) or None
        Of a weight gradient.
    alone : bool
        As ConvOp.
    wide : (bool, bool)
        Whether low digits of the moving and of the stationary operand are read too.
    maps : int
        Of the convolution, an image; they lie as images do.
    view : StepView or None
        Where the vectors on the output side are stored; None: as the convolution makes them.
    """

    name: str
    key: str
    weight: str
    in_shape: tuple
    out_shape: tuple
    kernel: tuple
    stride: tuple
    padding: tuple
    dilation: tuple
    parts: int
    source: str
    result: str
    bias: bool = False
    relu: bool = False
    raw: bool = False
    masked: str | None = None
    split: tuple | None = None
    alone: bool = False
    wide: tuple = (False, False)
    maps: int = 1
    view: object = None

    @property
    def mask(self):
        return self.masked is not None

    @property
    def in_blocks(self):
        """Blocks of a part."""
        return self.in_shape[0] // self.parts

    @property
    def out_blocks(self):
        return self.out_shape[0] // self.parts

    @property
    def modes(self):
        """Parts of the output's blocks whose pixels lie interleaved."""
        return 1 if self.view is None else self.view.modes

    @property
    def rank_blocks(self):
        """Output blocks of each of them."""
        return self.out_blocks // self.modes

    def place(self, tensors, name):
        """`Place` of a tensor that is walked map by map."""
        place = place_of(tensors, name)
        return replace(place, pitch=place.pitch // self.maps)


def _common(op, name):
    names = ("name", "key", "kernel", "stride", "padding", "dilation", "parts", "alone", "maps")
    values = {name: getattr(op, name) for name in names}
    sides = (op.conv_out, op.conv_in) if op.transposed else (op.conv_in, op.conv_out)
    values |= dict(zip(("in_shape", "out_shape"), sides))
    if op.wide:
        values["wide"] = op.wide[name]
    return values | {"weight": f"{op.key}.{op.weight_name}", "view": op.interleaved}


def forward_pass(op):
    """FP of a layer."""
    return ArrayPass(
        **_common(op, "forward"), source=op.x, result=op.y, bias=op.bias, relu=op.relu, raw=op.raw
    )


def backward_pass(op):
    """BP of a layer."""
    masked = op.x if op.mask else None
    return ArrayPass(
        **_common(op, "backward"),
        source=f"d{op.y}",
        result=op.dx or f"d{op.x}",
        masked=masked,
    )


def gradient_pass(op):
    """WU of a layer's weights, and of its biases where they are trained and it can be done."""
    sides = {"source": op.x, "result": f"d{op.y}", "bias": op.bias and op.train_bias}
    if op.transposed:
        sides = {"source": f"d{op.y}", "result": op.x}
    return ArrayPass(**_common(op, "weight_gradient"), **sides, split=op.split)


def bias_pass(op):
    """WU of a layer's biases alone: a 1x1 convolution whose input does not matter."""
    height, width = op.out_shape[1:]
    return ArrayPass(
        name=op.name,
        key=op.key,
        weight=None,
        in_shape=(1, height, width),
        out_shape=op.out_shape,
        kernel=(1, 1),
        stride=(1, 1),
        padding=(0, 0),
        dilation=(1, 1),
        parts=1,
        source=None,
        result=f"d{op.y}",
        bias=True,
        split=op.bias_split,
        alone=op.alone,
        wide=(False, bool(op.wide) and op.wide["weight_gradient"][0 if op.transposed else 1]),
    )
