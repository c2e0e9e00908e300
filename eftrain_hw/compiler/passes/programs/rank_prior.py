"""Vector programs of the rank prior: variances and masks of ranks, and what updates take of them.

A rank lies on the lanes o of one core, where a vector of factors serves, and on the lanes i of the
next one, where each vector of the core has a factor of its own, the same in all lanes: both kinds
are in the tensor "prior".
"""

from dataclasses import dataclass
from math import prod

import numpy as np

from ....vector.assembler import A, B, C, Extent, Instruction, R, Walk
from ...tensors import TensorSpec
from .context import SCRATCH
from .job import make_job
from .optimizer import update_jobs
from .walks import Raws, loops, single

__all__ = ["PRIOR", "prior_spec", "prior_update_jobs", "variance_jobs"]

PRIOR = "prior"
"""Name of the tensor."""

I = Instruction  # noqa: E741


@dataclass(frozen=True)
class _Layout:
    """Where a bond's vectors lie in the tensor: for lanes o one a block, for lanes i one a rank.

    `sums` and `kept` are between one job and the next.
    """

    start: int
    blocks: int
    lanes: int

    @property
    def ranks(self):
        return self.blocks * self.lanes

    @property
    def end(self):
        return self.start + 4 * self.blocks + 3 * self.ranks

    def _at(self, blocks, ranks):
        return self.start + blocks * self.blocks + ranks * self.ranks

    factors_out = property(lambda self: self._at(0, 0))
    mask_out = property(lambda self: self._at(1, 0))
    sums = property(lambda self: self._at(2, 0))
    kept = property(lambda self: self._at(3, 0))
    factors_in = property(lambda self: self._at(4, 0))
    mask_in = property(lambda self: self._at(4, 1))
    variances_in = property(lambda self: self._at(4, 2))


def _layouts(bonds, lanes):
    """_Layout by the bond's name of its mask."""
    found, end = {}, 0
    for bond in bonds:
        found[bond.mask] = _Layout(end, bond.blocks, lanes)
        end = found[bond.mask].end
    return found, end


def prior_spec(program):
    """TensorSpec of the tensor "prior", or None."""
    if not program.bonds:
        return None
    lanes = program.config.lanes
    _, end = _layouts(program.bonds, lanes)
    return TensorSpec(PRIOR, PRIOR, "fp32", (end, lanes), program.config.format)


def _extent(counts, **walks):
    """Extent of up to four loops; walks: (start, steps)."""
    counts, steps = loops(counts, {name: steps for name, (_, steps) in walks.items()})
    return Extent(counts, **{n: Walk(start, steps[n]) for n, (start, _) in walks.items()})


def _line(count, **starts):
    """Extent of `count` vectors behind each other in every stream."""
    return _extent((1, count), **{name: (start, (0, 1)) for name, start in starts.items()})


# -- variances and masks


def variance_jobs(context, bond, prior):
    """New variances, which ranks are kept, and the factors and masks that updates take."""
    tensors, lanes = context.tensors, context.config.lanes
    layout = _layouts(context.bonds, lanes)[0][bond.mask]
    store, variance = tensors[PRIOR], tensors[bond.variance]
    mask, blocks, ranks = tensors[bond.mask], layout.blocks, layout.ranks
    one_hot = context.constants.add_vectors(np.eye(lanes, dtype=np.float32))
    jobs = [_out_squares(context, bond, layout)]
    for block in range(blocks):
        jobs.append(_rank_variances(context, bond, prior, layout, block, one_hot))
    # the variance of rank i from vector i to lane i
    step = I("multiply", a0=A, b0=B, accumulate="sum", emit="last", to=("w0",))
    extent = _extent((1, lanes), a=(layout.variances_in, (0, 1)), b=(0, (0, 1)), w0=(0, (0, 0)))
    outer = {"a": lanes, "w0": 1}
    streams = {"a": store, "b": one_hot, "w0": variance}
    jobs.append(make_job((step,), (extent,), streams, count=blocks, outer=outer))
    jobs += _kept(layout, prior, store, variance, mask)
    for block in range(blocks):  # the mask of rank i to all lanes of vector i
        steps = (
            I("multiply", a0=A, b0=B, accumulate="sum", across=True, emit="last", to=(R(1),)),
            I("pass", a0=R(1, scalar=True), to=("w0",)),
        )
        extent = single(a=0, b=layout.kept + block, w0=layout.mask_in + block * lanes)
        outer, streams = {"a": 1, "w0": 1}, {"a": one_hot, "b": store, "w0": store}
        jobs.append(make_job(steps, (extent,), streams, count=lanes, outer=outer))
    copy = I("pass", a0=A, to=("w0", "w1"))
    extent = _line(blocks, a=layout.kept, w0=layout.mask_out, w1=0)
    jobs.append(make_job((copy,), (extent,), {"a": store, "w0": store, "w1": mask}))
    divide = I("divide", a0=prior.strength, b0=A, to=("w0",))
    for source, start, count, to in (
        (variance, 0, blocks, layout.factors_out),
        (store, layout.variances_in, ranks, layout.factors_in),
    ):
        extent = _line(count, a=start, w0=to)
        jobs.append(make_job((divide,), (extent,), {"a": source, "w0": store}))
    return jobs


def _out_squares(context, bond, layout):
    """Squares of the slices on the lanes o, summed up: one block an iteration."""
    core = context.tensors[f"{bond.output}.master"]
    vectors, blocks = prod(core.shape[1:-1]), layout.blocks
    step = I("pass", a0=A, b1=A, accumulate="sum", emit="last", to=("w0",))
    counts = (core.shape[0] // blocks, *core.shape[1:-1])
    inner = [prod(core.shape[k + 1 : -1]) for k in range(1, len(core.shape) - 1)]
    counts, walks = loops(counts, {"a": (blocks * vectors, *inner)})
    extent = Extent(counts, a=Walk(0, walks["a"]), w0=Walk(layout.sums))
    streams, outer = {"a": core, "w0": context.tensors[PRIOR]}, {"a": vectors, "w0": 1}
    return make_job((step,), (extent,), streams, count=blocks, outer=outer)


def _rank_variances(context, bond, prior, layout, block, one_hot):
    """Variances of the ranks of a block, one an iteration, each into all lanes of a vector."""
    core, store = context.tensors[f"{bond.input}.master"], context.tensors[PRIOR]
    taps, lanes = prod(core.shape[2:-2]), layout.lanes
    reads = Raws(core, one_hot)
    first = reads.at(core) + block * taps * lanes
    pixels = _extent(
        (core.shape[0], taps), a=(first, (layout.blocks * taps * lanes, lanes))
    )
    row = single(
        a=reads.at(one_hot), b=layout.sums + block, w0=layout.variances_in + block * lanes
    )
    scale = 1 / (bond.count + 2 * (prior.shape + 1))
    across = {"accumulate": "sum", "across": True, "emit": "last"}
    steps = (
        I("pass", a0=A, b1=A, to=(R(1),), **across),
        I("multiply", a0=A, b0=B, to=(R(2),), extent=1, **across),
        I("mac", a0=R(2, scalar=True), b0=1.0, c0=R(1, scalar=True), c1=2 * prior.scale,
          to=(R(3),), extent=1),
        I("multiply", a0=R(3), b0=scale, to=("w0",), extent=1),
    )  # fmt: skip
    streams, outer = {"a": reads.spec, "b": store, "w0": store}, {"a": 1, "w0": 1}
    return make_job(steps, (pixels, row), streams, count=lanes, outer=outer)


def _kept(layout, prior, store, variance, mask):
    """Which ranks are kept, 1 or 0: R2 is the least variance, a share of the largest."""
    steps = (
        I("multiply", a0=A, b0=B, accumulate="maximum", across=True, emit="last", to=(R(1),)),
        I("multiply", a0=R(1, scalar=True), b0=prior.threshold, to=(R(2),), extent=1),
    )
    streams = {"a": variance, "b": mask}
    yield make_job(steps, (_line(layout.blocks, a=0, b=0), single()), streams)
    steps = (
        I("pass", a0=A, to=(R(0),)),
        I("gate", a0=B, b0=R(2), c0=R(0), invert=True, to=("w0",)),
    )
    streams, outer = streams | {"w0": store}, dict.fromkeys(("a", "b", "w0"), 1)
    extent = single(a=0, b=0, w0=layout.kept)
    yield make_job(steps, (extent,), streams, count=layout.blocks, outer=outer)


# -- updates


def prior_update_jobs(context, name):
    """The update of a core: the prior's gradient before the optimizer, the ranks' masks after it.

    Vectors of the scratch: the gradient that the optimizer sees, then the new values.
    """
    core, scratch = context.tensors[f"{name}.master"], context.tensors[SCRATCH]
    layouts, _ = _layouts(context.bonds, context.config.lanes)
    ends = [
        (side, layouts[bond.mask])
        for side in ("out", "in")
        for bond in context.bonds
        if name == (bond.output if side == "out" else bond.input)
    ]
    size, jobs = prod(core.shape[:-1]), []
    gradient = (context.gradient(name), 0)
    add = I("multiply", a0=A, b0=B, c1=C, to=("w0",))
    for number, (side, layout) in enumerate(ends):
        left = len(ends) - 1 - number
        to = (scratch, size * left)
        factors = layout.factors_out if side == "out" else layout.factors_in
        streams = {"a": (core, 0), "c": gradient, "w0": to}
        jobs.append(_with_ranks(context, add, core, side, layout, factors, streams))
        gradient = to
    jobs += update_jobs(context, name, gradient=scratch, result=(scratch, size))
    multiply, values = I("multiply", a0=A, b0=B, to=("w0",)), (scratch, size)
    for number, (side, layout) in enumerate(ends):
        masks = layout.mask_out if side == "out" else layout.mask_in
        step, streams = multiply, {"a": values, "w0": (scratch, 0)}
        if number == len(ends) - 1:
            step = I("multiply", a0=A, b0=B, to=("e", "w0"))
            streams |= {"w0": (core, 0), "e": (context.tensors[name], 0)}
        jobs.append(_with_ranks(context, step, core, side, layout, masks, streams))
        values = (scratch, 0)
    return jobs


def _with_ranks(context, step, core, side, layout, start, streams):
    """A job over all vectors of a core, B being what belongs to its ranks.

    `streams`: (TensorSpec, first vector) of the others, which lie like the core.
    """
    outs, ins, *rest = core.shape[:-1]
    if side == "out":
        counts = (outs // layout.blocks, layout.blocks, prod((ins, *rest)))
        ranks = (0, 1, 0)
    else:
        counts = (outs, ins, prod(rest[:-1]), rest[-1])
        ranks = (0, layout.lanes, 0, 1)
    steps = [prod(counts[k + 1 :]) for k in range(len(counts))]
    walks = {name: (first, steps) for name, (_, first) in streams.items()}
    extent = _extent(counts, b=(start, ranks), **walks)
    specs = {name: spec for name, (spec, _) in streams.items()}
    return make_job((step,), (extent,), specs | {"b": context.tensors[PRIOR]})
