"""Vector programs of the squared error."""

from math import prod

from ....vector.assembler import INVERSE_IMAGES, A, B, Extent, Instruction, R, Walk
from .context import elementwise
from .job import make_job
from .walks import loops, map_of, single, straight

__all__ = ["squared_error_jobs"]

I = Instruction  # noqa: E741


def squared_error_jobs(context, op):
    """Differences in the scratch; then each image's loss, their mean, and the gradient."""
    outputs = context.map(op.logits)
    scratch, gradient = context.scratch(outputs), context.map(op.gradient)
    targets = map_of(context.tensors, "targets", outputs.shape)
    return [
        _differences(outputs, targets, scratch),
        *_losses(context, op, scratch),
        *_gradient(op, outputs, scratch, gradient),
    ]


def _differences(outputs, targets, scratch):
    """d = y - t of the valid images, +0 of the others."""
    maps = {"a": outputs, "b": targets, "w0": scratch}
    inner, walks = loops(outputs.shape[1:], {name: m.strides[1:] for name, m in maps.items()})
    walks = {n: Walk(maps[n].start, (maps[n].strides[0], *walks[n][1:])) for n in maps}
    extent = Extent((outputs.shape[0], *inner[1:]), images=True, **walks)
    step = I("mac", a0=A, b0=1.0, c0=B, negate_c0=True, valid1=True, to=("w0",))
    return make_job((step,), (extent,), {name: m.spec for name, m in maps.items()})


def _losses(context, op, scratch):
    """A vector of each image's loss, then the mean's; R3 adds them up."""
    losses, lanes = context.tensors["loss"], context.config.lanes
    images, vectors = scratch.shape[0], prod(scratch.shape[1:])
    counts, walks = loops(scratch.shape[1:], {"a": scratch.strides[1:]})
    every = Extent(counts, a=Walk(scratch.start, walks["a"]))
    steps = (
        I("pass", a0=A, accumulate="sum", b1=A, emit="last", to=(R(0),)),
        I("pass", a0=R(0), accumulate="sum", across=True, emit="last", to=(R(1),), extent=1),
        I("multiply", a0=R(1, scalar=True), b0=1.0 / op.features, to=(R(2), "w0"), extent=1),
        I("pass", a0=R(2), c1=R(3), to=(R(3),), extent=1),
    )
    zero = make_job((I("pass", a0=0.0, to=(R(3),)),), (single(),), {})
    outer = {"a": vectors, "w0": 1}
    tensors = {"a": scratch.spec, "w0": losses}
    each = make_job(steps, (every, single()), tensors, count=images, outer=outer)
    rest = losses.shape[0] // lanes - images
    extent = Extent((1, 1, 1, rest), w0=Walk(images, (0, 0, 0, 1)))
    mean = I("multiply", a0=R(3), b0=INVERSE_IMAGES, to=("w0",))
    return [zero, each, make_job((mean,), (extent,), {"w0": losses})]


def _gradient(op, outputs, scratch, gradient):
    """d * (2 / outputs of all images), +0 where y came out of a ReLU and is not greater than 0."""
    to, out = ("w0", scratch) if op.mask else ("e", gradient)
    steps = (
        I("multiply", a0=INVERSE_IMAGES, b0=2.0 / op.features, to=(R(0),), extent=1),
        I("multiply", a0=A, b0=R(0), to=(to,)),
    )
    extents = (straight(a=scratch, **{to: out}), single())
    jobs = [make_job(steps, extents, {"a": scratch.spec, to: out.spec})]
    if op.mask:
        step = I("gate", a0=A, b0=B, c0=0.0, to=("e",))
        jobs += elementwise(step, a=scratch, b=outputs, e=gradient)
    return jobs
