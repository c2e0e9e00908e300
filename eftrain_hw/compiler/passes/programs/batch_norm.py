"""Vector programs of batch normalisation. One channel block an iteration of the outer loop.

R0 to R3 hold a value for each channel while the maps pass; single vectors use R4 to R7 likewise.
"""

from ....vector.assembler import (
    INVERSE_IMAGES,
    T0,
    A,
    B,
    C,
    Extent,
    Instruction,
    R,
    Scalar,
    Walk,
)
from ...scalars import STEP
from .job import make_job
from .walks import Raws, loops, single

__all__ = ["batch_norm_backward", "batch_norm_forward"]

I = Instruction  # noqa: E741


def _maps(context, **maps):
    """Extent 0: all images of a channel block; what streams move by to the next block."""
    first = next(iter(maps.values()))
    counts = (first.shape[0], 1, *first.shape[2:])
    steps = {name: (m.strides[0], 0, *m.strides[2:]) for name, m in maps.items()}
    # images stay a loop of their own: they are counted
    inner, walks = loops(counts[1:], {name: walk[1:] for name, walk in steps.items()})
    counts = (counts[0], *inner[1:])
    walks = {name: Walk(maps[name].start, (steps[name][0], *walks[name][1:])) for name in maps}
    return Extent(counts, images=True, **walks), {n: m.strides[1] for n, m in maps.items()}


def _inverse_root(variance, eps, extent):
    """1 / sqrt(variance + eps) of R2's or a stream's variance, in R2; the last one may store it."""
    return (
        I("mac", a0=variance, b0=1.0, c0=eps, to=(R(2),), extent=extent),
        I("root", a0=R(2), to=(R(2),), extent=extent),
    )


def _normalise(op, beta, to, extent):
    """y = x * R0 + (beta - mean * R0), mean in R1."""
    post = "relu" if op.relu else "t1"
    return (
        I("multiply", a0=R(1), b0=R(0), b1=-1.0, c1=beta, to=(R(1),), extent=extent),
        I("mac", a0=A, b0=R(0), c0=R(1), post=post, to=(to,)),
    )


def batch_norm_forward(context, op):
    """Statistics of the batch, or the running ones in inference, and y."""
    if not context.training and op.track:
        return [_inference(context, op)]
    if op.raw:
        return [_statistics(context, op, False), _apply(context, op)]
    return [_statistics(context, op, True)]


def _inverse_count(context, x, register):
    """1 / (images * pixels) into a register; in inference all images count."""
    images = INVERSE_IMAGES
    if not context.training:
        images = 1.0 / context.batch
    elif context.accumulates:  # the register says one over the images of all batches
        images = Scalar(STEP.index("inverse_images"))
    return I("multiply", a0=images, b0=1.0 / x.pixels, to=(register,), extent=1)


def _statistics(context, op, normalise):
    x, y = context.map(op.x, op.in_shape), context.map(op.y)
    mean, rstd, scale = (context.parameter(op, n) for n in ("mean", "rstd", "scale"))
    gamma, beta, running = [], [], []
    if op.affine:
        gamma = [context.parameter(op, "weight.master")]
        beta = [context.parameter(op, "bias.master")]
    if op.track:
        running = [context.parameter(op, f"running_{n}") for n in ("mean", "var")]
    maps, outer = _maps(context, a=x, e=y) if normalise else _maps(context, a=x)
    if not context.training:
        maps = Extent(maps.counts, a=maps.a, e=maps.e)
    reads, firsts, seconds = Raws(*gamma, *running, mean), Raws(scale, *running), Raws(mean, rstd)
    ends = [{"b": reads.at(r), "w0": firsts.at(r)} for r in running] or [{}, {}]
    start = {"w0": firsts.at(scale), "w1": seconds.at(mean), "c": 0}
    if op.affine:
        start["b"] = reads.at(gamma[0])
    extents = (
        maps,
        single(**start),
        single(**ends[0], w1=seconds.at(rstd)),
        single(**ends[1]),
    )
    steps = [
        I("pass", a0=A, valid0=True, accumulate="sum", to=(R(0),), emit="last"),
        _inverse_count(context, x, R(3)),
        I("multiply", a0=R(0), b0=R(3), to=(R(1), "w1"), extent=1),  # mean
        I("mac", a0=A, b0=1.0, c0=R(1), negate_c0=True, valid0=True, accumulate="sum", b1=T0,
          to=(R(2),), emit="last"),
        I("multiply", a0=R(2), b0=R(3), to=(R(2),), extent=1),  # variance
    ]  # fmt: skip
    if op.track:
        steps += [
            _run(R(1), op.momentum, 2),
            I("mac", a0=R(3), b0=-1.0, c0=1.0, to=(R(3),), extent=1),
            I("divide", a0=R(2), b0=R(3), to=(R(3),), extent=1),  # unbiased
            _run(R(3), op.momentum, 3),
        ]
    steps += [
        *_inverse_root(R(2), op.eps, 1),
        I("divide", a0=1.0, b0=R(2), to=(R(2), "w1"), extent=2),  # rstd
        I("multiply", a0=B if op.affine else 1.0, b0=R(2), to=(R(0), "w0"), extent=1),  # scale
    ]
    if normalise:
        steps += _normalise(op, C if op.affine else 0.0, "e", 1)
    tensors = {"a": x.spec, "b": reads.spec, "e": y.spec}
    tensors |= {"w0": firsts.spec, "w1": seconds.spec}
    if beta:
        tensors["c"] = beta[0]
    outer |= dict.fromkeys(("b", "c", "w0", "w1"), 1)
    scalars = 0 if context.accumulates else None
    return make_job(steps, extents, tensors, count=op.in_shape[0], outer=outer, scalars=scalars)


def _run(value, momentum, extent):
    """running = running + momentum * (value - running)."""
    return I("mac", a0=value, b0=1.0, c0=B, negate_c0=True, b1=momentum, c1=B, to=("w0",),
             extent=extent)  # fmt: skip


def _apply(context, op):
    """y as fp32 from the statistics."""
    x, y = context.map(op.x, op.in_shape), context.map(op.y)
    mean, scale = context.parameter(op, "mean"), context.parameter(op, "scale")
    maps, outer = _maps(context, a=x, w0=y)
    known = Raws(mean, scale)
    extents = (maps, single(b=known.at(mean), c=0), single(b=known.at(scale)))
    steps = (
        I("pass", a0=B, to=(R(1),), extent=1),
        I("pass", a0=B, to=(R(0),), extent=2),
        *_normalise(op, C if op.affine else 0.0, "w0", 1),
    )
    tensors = {"a": x.spec, "b": known.spec, "w0": y.spec}
    if op.affine:
        tensors["c"] = context.parameter(op, "bias.master")
    outer |= {"b": 1, "c": 1}
    return make_job(steps, extents, tensors, count=op.in_shape[0], outer=outer)


def _inference(context, op):
    x, y = context.map(op.x, op.in_shape), context.map(op.y)
    mean, variance = (context.parameter(op, f"running_{n}") for n in ("mean", "var"))
    to = "w0" if op.raw else "e"
    maps, outer = _maps(context, a=x, **{to: y})
    affine = ["weight.master", "bias.master"] if op.affine else []
    affine = [context.parameter(op, name) for name in affine]
    reads, others = Raws(variance, *affine[:1]), Raws(mean, *affine[1:])
    first = single(b=reads.at(variance), c=others.at(mean))
    second = single()
    if op.affine:
        second = single(b=reads.at(affine[0]), c=others.at(affine[1]))
    steps = (
        *_inverse_root(B, op.eps, 1),
        I("divide", a0=1.0, b0=R(2), to=(R(2),), extent=1),
        I("pass", a0=-0.0, c1=C, to=(R(1),), extent=1),
        I("multiply", a0=B if op.affine else 1.0, b0=R(2), to=(R(0),), extent=2),
        *_normalise(op, C if op.affine else 0.0, to, 2),
    )
    tensors = {"a": x.spec, "b": reads.spec, "c": others.spec, to: y.spec}
    outer |= {"b": 1, "c": 1}
    return make_job(steps, (maps, first, second), tensors, count=op.in_shape[0], outer=outer)


def batch_norm_backward(context, op):
    """Gradients of the scale, the shift and the input."""
    trained = op.train_weight or op.train_bias
    x, dy = context.map(op.x, op.in_shape), context.map(f"d{op.y}")
    streams, to = {"a": x, "b": dy}, "e"
    if op.input_gradient:
        dx = context.dx(op)
        to, streams_to = context.out(op, dx)
        streams[to] = streams_to
    maps, outer = _maps(context, **streams)
    known = [context.parameter(op, name) for name in ("mean", "rstd", "scale")]
    reads = Raws(*known)
    starts = [{"c": reads.at(spec)} for spec in known]
    tensors = {name: m.spec for name, m in streams.items()} | {"c": reads.spec}
    if trained:
        made = [context.parameter(op, f"{name}.gradient") for name in ("weight", "bias")]
        writes = Raws(*made)
        for start, spec in zip(starts, made):
            start["w1"] = writes.at(spec)
        tensors["w1"] = writes.spec
    steps = [
        _load(0, 1),  # mean
        I("pass", a0=B, valid0=True, accumulate="sum", to=(R(1),), emit="last"),
        I("mac", a0=A, b0=1.0, c0=R(0), negate_c0=True, valid0=True, accumulate="sum", b1=B,
          to=(R(2),), emit="last"),
        _load(5, 2),  # rstd
    ]  # fmt: skip
    if trained:
        steps += [
            I("multiply", a0=R(2), b0=R(5), to=("w1",), extent=1),
            I("pass", a0=R(1), to=("w1",), extent=2),
        ]
    if op.input_gradient:
        steps += [
            _inverse_count(context, x, R(4)),
            I("multiply", a0=R(2), b0=R(4), b1=-1.0, to=(R(6),), extent=1),
            I("multiply", a0=R(5), b0=R(6), b1=R(5), to=(R(2),), extent=1),  # k
            I("multiply", a0=R(1), b0=R(4), b1=-1.0, to=(R(1),), extent=1),
            I("multiply", a0=R(0), b0=R(2), b1=-1.0, c1=R(1), to=(R(1),), extent=1),
            _load(0, 3),  # scale
            I("multiply", a0=R(0), b0=R(1), to=(R(1),), extent=1),  # t
            I("mac", a0=A, b0=R(2), c0=B, b1=R(0), c1=R(1), valid1=True, to=(to,)),
        ]
    extents = (maps, *(single(**start) for start in starts))
    outer |= {"c": 1, "w1": 1}
    scalars = 0 if context.accumulates else None
    job = make_job(steps, extents, tensors, count=op.in_shape[0], outer=outer, scalars=scalars)
    return [job, *(context.mask_jobs(op, dx) if op.input_gradient else [])]


def _load(register, extent):
    """A vector of C: -0 + c is c, sign of zero included."""
    return I("pass", a0=-0.0, c1=C, to=(R(register),), extent=extent)
