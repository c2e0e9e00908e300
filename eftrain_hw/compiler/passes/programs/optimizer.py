"""Vector programs of what optimizers do with gradients, 64 parameters at a time.

R3 holds the factor of clipped gradients while the parameters are updated.
"""

from math import prod

from ....vector.assembler import (
    MINUS_LEARNING_RATE,
    MOMENTUM,
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
from .blocks import blockwise
from .job import make_job
from .walks import Raws, loops, single

__all__ = ["accumulate_jobs", "clip_jobs", "update_jobs"]

I = Instruction  # noqa: E741


def _vectors(spec):
    return prod(spec.shape[:-1])


def _all(spec, **streams):
    """An extent over all vectors of a tensor, from a start in each stream."""
    # a tensor of many vectors is walked as the loops that it has
    counts = spec.shape[:-1]
    steps = [prod(counts[k + 1 :]) for k in range(len(counts))]
    counts, walks = loops(counts, {"all": steps})
    return Extent(counts, **{n: Walk(start, walks["all"]) for n, start in streams.items()})


def accumulate_jobs(context, name, first):
    """The gradient of this batch is added to those before it, or takes their place."""
    gradient, total = (context.tensors[f"{name}.{n}"] for n in ("gradient", "accumulated"))
    step = I("pass", a0=A, to=("w0",)) if first else I("pass", a0=A, c1=C, to=("w0",))
    tensors = {"a": gradient, "c": total, "w0": total}
    return [make_job((step,), (_all(gradient, a=0, c=0, w0=0),), tensors)]


def clip_jobs(context, names):
    """The factor of all gradients together, into R3."""
    jobs = []
    for number, name in enumerate(names):
        gradient = context.gradient(name)
        steps = (
            I("pass", a0=A, accumulate="sum", b1=A, emit="last", to=(R(0),)),
            I("pass", a0=R(0), accumulate="sum", across=True, emit="last", to=(R(1),), extent=1),
            I("pass", a0=R(1, scalar=True), c1=R(3) if number else 0.0, to=(R(3),), extent=1),
        )
        jobs.append(make_job(steps, (_all(gradient, a=0), single()), {"a": gradient}))
    steps = (
        I("root", a0=R(3), c1=1e-6, to=(R(0),)),
        I("divide", a0=Scalar(STEP.index("max_grad_norm")), b0=R(0), to=(R(0),)),
        I("choose", b0=R(0), c0=1.0, invert=True, to=(R(3),)),  # not greater than 1
    )
    return [*jobs, make_job(steps, (single(),), {}, scalars=0)]


def _prepare(optimizer):
    """R4 = the gradient, of A, as the optimizer sees it; the weights in C."""
    steps = [I("pass", a0=A, to=(R(4),))]
    if optimizer.max_grad_norm is not None:
        steps = [I("multiply", a0=A, b0=R(3), to=(R(4),))]
    if optimizer.weight_decay:
        steps += [
            I("pass", a0=-0.0, c1=C, to=(R(5),)),
            I("mac", a0=optimizer.weight_decay, b0=R(5), c0=R(4), to=(R(4),)),
        ]
    return steps


def _momentum(optimizer):
    """SGD: the velocity in B and W1."""
    steps = _prepare(optimizer)
    if optimizer.nesterov:
        return [
            *steps,
            I("mac", a0=MOMENTUM, b0=B, c0=R(4), b1=MOMENTUM, c1=R(4), to=(R(6), "w1")),
            I("multiply", a0=R(6), b0=MINUS_LEARNING_RATE, c1=C, to=("e", "w0")),
        ]
    step = I("mac", a0=MOMENTUM, b0=B, c0=R(4), b1=MINUS_LEARNING_RATE, c1=C, to=("e", "w0", "w1"))
    return [*steps, step]


def _adam(optimizer):
    """Adam: averages of g and g squared by extents 1 and 2."""
    scalars = {name: Scalar(STEP.index(name)) for name in ("root_scale", "minus_step_size")}
    weights = [1 - beta for beta in optimizer.betas]
    return [
        *_prepare(optimizer),
        I("mac", a0=R(4), b0=1.0, c0=B, negate_c0=True, b1=weights[0], c1=B, to=(R(5), "w0"),
          extent=1),
        I("mac", a0=R(4), b0=R(4), c0=B, negate_c0=True, b1=weights[1], c1=B, to=(R(6), "w0"),
          extent=2),
        I("root", a0=R(6), b1=scalars["root_scale"], c1=optimizer.eps, to=(R(6),)),
        I("divide", a0=R(5), b0=R(6), b1=scalars["minus_step_size"], c1=C, to=("e", "w0")),
    ]  # fmt: skip


def update_jobs(context, name, *, gradient=None, result=None):
    """New values of a parameter and its state, and its compute copy.

    Parameters
    ----------
    context : Context
    name : str
    gradient : TensorSpec or None
        What the optimizer sees; None: the parameter's.
    result : (TensorSpec, int) or None
        Where the new values go, from which vector on; None: where the old ones are, and their
        compute copy is made.
    """
    optimizer, lanes = context.optimizer, context.config.lanes
    master, copy = context.tensors[f"{name}.master"], context.tensors.get(name)
    state = [context.tensors[f"{name}.{each}"] for each in optimizer.STATE]
    gradient = gradient or context.gradient(name)
    place, start = result or (master, 0)
    if result is not None:
        copy = None
    adam = "exp_avg" in optimizer.STATE
    steps = _adam(optimizer) if adam else _momentum(optimizer)
    if copy is None:
        steps = [
            I(**{**vars(step), "to": tuple(to for to in step.to if to != "e")}) for step in steps
        ]
    reads, writes = Raws(*state), Raws(place, *(state if adam else ()))
    tensors = {"a": gradient, "b": reads.spec, "c": master, "w0": writes.spec, "w1": state[0]}
    if copy is not None:
        tensors["e"] = copy

    def make(first, size, count, part):
        def extent(**starts):
            walks = {n: Walk(at + first, (0, 0, 0, 1)) for n, at in starts.items()}
            return Extent((1, 1, 1, size), **walks)

        extents = [extent(a=0, b=0, c=0, e=0, w0=writes.at(place) + start, w1=0)]
        if adam:
            extents += [extent(b=reads.at(spec), w0=writes.at(spec)) for spec in state]
        outer = dict.fromkeys(tensors, size)
        scalars = 0 if adam else None
        return make_job(steps, extents, tensors, count=count, outer=outer, scalars=scalars)

    return blockwise(_vectors(master), lanes, make)
