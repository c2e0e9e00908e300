"""Vector programs of biases that belong to features, which lie on pixels and channels."""

from ....vector.assembler import A, C, Extent, Instruction, Walk
from .context import elementwise
from .job import make_job
from .walks import Map

__all__ = ["feature_bias_backward", "feature_bias_forward"]


def feature_bias_forward(context, op):
    """y = x + b, the same b for all images, and for all pixels where there is one a channel."""
    x, bias = context.map(op.x), context.parameter(op, "bias.master")
    pixels = op.shape[1]
    # b is one image, or one pixel of it
    steps = x.strides[1:] if pixels > 1 else (1, 0, 0)
    values = Map(bias, 0, x.shape, (0, *steps))
    to, post = "w0" if op.raw else "e", "relu" if op.relu else "t1"
    step = Instruction("pass", a0=A, c1=C, post=post, to=(to,))
    return elementwise(step, a=x, c=values, **{to: context.map(op.y)})


def feature_bias_backward(context, op):
    """db = +0 + dy + dy + ... over images, and over pixels where b has none; dx is dy itself."""
    if not op.train_bias:
        return []
    dy, gradient = context.map(f"d{op.y}"), context.parameter(op, "bias.gradient")
    blocks, pixels, _ = op.shape
    images, image = dy.shape[0], dy.strides[0]
    counts, reduce = (1, blocks, pixels, images), "i0"
    on, to = (0, pixels, 1, image), (0, pixels, 1, 0)
    if pixels == 1:
        counts, reduce = (1, blocks, images, dy.pixels), "i1"
        on, to = (0, dy.strides[1], image, 1), (0, 1, 0, 0)
    step = Instruction("pass", a0=A, accumulate="sum", reduce=reduce, emit="last", to=("w0",))
    extent = Extent(counts, a=Walk(dy.start, on), w0=Walk(0, to))
    return [make_job((step,), (extent,), {"a": dy.spec, "w0": gradient})]
