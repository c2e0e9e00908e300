"""Vector programs of pooling over windows of any stride and padding."""

from math import inf

import numpy as np

from ....vector.assembler import POSITION, A, B, Bounds, Extent, Instruction, Walk
from ....vector.program_format import EXTENTS
from . import walks
from .job import make_job
from .walks import plane_jobs, straight

__all__ = ["average_backward", "average_forward", "max_backward", "max_forward"]


def max_forward(context, op):
    """The largest of each window, and its place."""
    step = Instruction(
        "choose", a0=A, b0=0.0, c0=POSITION, a1="a0", accumulate="maximum", reduce="i1",
        emit="last", pad=-inf, post="relu" if op.relu else "t1", to=("e", "w1"),
    )  # fmt: skip
    maps = {"a": context.map(op.x, op.in_shape), "e": context.map(op.y)}
    maps["w1"] = context.map(op.index)
    return _windows(op, maps, step)


def average_forward(context, op):
    """The sum of each window's elements, each times one over their number."""
    to = "w0" if op.raw else "e"
    maps = {"a": context.map(op.x, op.in_shape), to: context.map(op.y)}
    post = "relu" if op.relu else "t1"
    factor, others = _factor(context, op)
    step = Instruction("pass", a0=A, accumulate="sum", reduce="i1", emit="last", b1=factor,
                       post=post, to=(to,))  # fmt: skip
    return _windows(op, maps, step, others)


def _factor(context, op):
    """One over the elements of a window: (operand, tensors by stream)."""
    if op.count_padding or op.padding == (0, 0):
        return 1.0 / (op.kernel[0] * op.kernel[1]), {}
    counts = []
    sizes = (op.in_shape[1:], op.out_shape[1:], op.kernel, op.stride, op.padding)
    for size, outputs, kernel, stride, padding in zip(*sizes, strict=True):
        start = np.arange(outputs) * stride - padding
        counts.append(np.minimum(start + kernel, size) - np.maximum(start, 0))
    factors = np.float32(1) / np.outer(*counts).astype(np.float32)
    lanes = context.config.lanes
    vectors = np.repeat(factors.reshape(-1, 1), lanes, axis=1)
    return B, {"b": context.constants.add_vectors(vectors)}


def _windows(op, maps, step, others=None):
    """One instruction over the windows of all planes: out pixel, then place in its window."""
    (kh, kw), (sh, sw), (ph, pw) = op.kernel, op.stride, op.padding
    _, height, width = op.in_shape
    _, out_height, out_width = op.out_shape
    outside = (out_height - 1) * sh + kh - ph > height or (out_width - 1) * sw + kw - pw > width
    bounds = None
    if ph or pw or outside:
        rows, columns = Walk(-ph, (sh, 0, 1, 0)), Walk(-pw, (0, sw, 0, 1))
        bounds = Bounds(rows, height, columns, width)
    tensors = {name: each.spec for name, each in maps.items()} | (others or {})

    def make(starts, outer, count):
        a = Walk(starts["a"] - ph * width - pw, (sh * width, sw, width, 1))
        results = {n: Walk(at, (out_width, 1, 0, 0)) for n, at in starts.items() if n != "a"}
        results |= {name: Walk(0, (out_width, 1, 0, 0)) for name in others or {}}
        position = Walk(0, (0, 0, kw, 1) if step.c0 == POSITION else (0, 0, 0, 0))
        counts = (out_height, out_width, kh, kw)
        # rows of the window follow each other
        if bounds is None and kw == width and kh * kw <= walks.MOST:
            counts = (out_height, out_width, 1, kh * kw)
            position = Walk(0, (0, 0, 0, position.steps[3]))
        extent = Extent(counts, a=a, bounds=bounds, position=position, **results)
        return make_job((step,), (extent,), tensors, count=count, outer=outer)

    return plane_jobs(maps, make)


# -- backward


def max_backward(context, op):
    """dy of the windows that a pixel has won."""
    step = {"operation": "gate", "a0": A, "b0": B, "c0": POSITION, "equal": True}
    maps = {"a": context.map(f"d{op.y}"), "b": context.map(op.index)}
    return _gather(context, op, maps, step, {})


def average_backward(context, op):
    """dy times one over the number of elements, of a pixel's windows."""
    factor, others = _factor(context, op)
    maps = {"a": context.map(f"d{op.y}")}
    apart = all(k <= s for k, s in zip(op.kernel, op.stride)) and op.padding == (0, 0)
    if apart:
        return _spread(context, op, maps["a"], factor)
    return _gather(context, op, maps, {"operation": "multiply", "a0": A, "b0": factor}, others)


def _spread(context, op, dy, factor):
    """Every pixel lies in one window, or in none: windows are written one after the other."""
    dx = context.dx(op)
    to, out = context.out(op, dx)
    (kh, kw), (sh, sw) = op.kernel, op.stride
    _, height, width = op.in_shape
    _, out_height, out_width = op.out_shape
    jobs = []
    if (kh, kw) != (sh, sw) or (out_height * kh, out_width * kw) != (height, width):
        zero = Instruction("pass", a0=0.0, to=(to,))
        jobs.append(make_job((zero,), (straight(**{to: out}),), {to: out.spec}))
    step = Instruction("multiply", a0=A, b0=factor, c1=0.0, to=(to,))
    counts, walk = (out_height, out_width, kh, kw), (sh * width, sw, width, 1)
    if kw == width and kh * kw <= walks.MOST:
        counts = (out_height, out_width, 1, kh * kw)

    def make(starts, outer, count):
        walks = {"a": Walk(starts["a"], (out_width, 1, 0, 0)), to: Walk(starts[to], walk)}
        tensors = {"a": dy.spec, to: out.spec}
        return make_job((step,), (Extent(counts, **walks),), tensors, count=count, outer=outer)

    return jobs + plane_jobs({"a": dy, to: out}, make) + context.mask_jobs(op, dx)


def _gather(context, op, maps, step, others):
    """For each pixel the sum over its windows, pixels of a phase of the stride together."""
    dx = context.dx(op)
    to, out = context.out(op, dx)
    width, (out_height, out_width) = op.in_shape[2], op.out_shape[1:]
    every = [
        (row, column)
        for row in _phases(op.in_shape[1], op.kernel[0], op.stride[0], op.padding[0])
        for column in _phases(width, op.kernel[1], op.stride[1], op.padding[1])
    ]
    streams = maps | {to: out}
    tensors = {name: each.spec for name, each in streams.items()} | others
    jobs = []
    for first in range(0, len(every), EXTENTS):
        chosen = every[first : first + EXTENTS]

        def make(starts, outer, count, chosen=chosen):
            instructions, extents = [], []
            for number, (row, column) in enumerate(chosen):
                walks = {to: Walk(starts[to] + row.pixel * width + column.pixel,
                                  (row.stride * width, column.stride, 0, 0))}  # fmt: skip
                if not (row.taps and column.taps):
                    extents.append(Extent((row.pixels, column.pixels, 1, 1), **walks))
                    instructions.append(Instruction("pass", a0=0.0, to=(to,), extent=number))
                    continue
                read = row.window * out_width + column.window
                for name in (*maps, *others):
                    start = starts.get(name, 0) + read
                    walks[name] = Walk(start, (out_width, 1, out_width, 1))
                bounds = Bounds(
                    Walk(row.window, (1, 0, 1, 0)), out_height,
                    Walk(column.window, (0, 1, 0, 1)), out_width,
                )  # fmt: skip
                kw = op.kernel[1]
                at, back = row.tap * kw + column.tap, (-row.stride * kw, -column.stride)
                position = Walk(at, (0, 0, *back)) if step.get("c0") == POSITION else Walk()
                counts = (row.pixels, column.pixels, row.taps, column.taps)
                extents.append(Extent(counts, bounds=bounds, position=position, **walks))
                instructions.append(Instruction(
                    **step, accumulate="sum", reduce="i1", emit="last", to=(to,), extent=number
                ))  # fmt: skip
            return make_job(instructions, extents, tensors, count=count, outer=outer)

        jobs += plane_jobs(streams, make)
    return jobs + context.mask_jobs(op, dx)


class _Phase:
    """Pixels of one axis that lie alike in their windows.

    Members
    -------
    pixel, pixels, stride : int
        The first one, how many, from one to the next.
    taps, tap : int
        Windows of a pixel; its place in the first one of them.
    window : int
        The first window of the first pixel: may be outside.
    """

    def __init__(self, phase, size, kernel, stride, padding):
        self.pixel, self.stride = (phase - padding) % stride, stride
        self.pixels = max(0, -(-(size - self.pixel) // stride))
        self.taps = max(0, -(-(kernel - phase) // stride))
        self.tap = phase + (self.taps - 1) * stride
        self.window = (self.pixel + padding - phase) // stride - (self.taps - 1)


def _phases(size, kernel, stride, padding):
    phases = (_Phase(phase, size, kernel, stride, padding) for phase in range(stride))
    return [phase for phase in phases if phase.pixels]
