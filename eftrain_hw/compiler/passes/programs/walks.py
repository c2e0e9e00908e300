"""Tensors as vector programs walk them: extents and walks of maps and of parameters."""

from dataclasses import dataclass
from math import prod

from ....vector.assembler import Extent, Walk

__all__ = ["MOST", "Map", "Raws", "loops", "map_of", "plane_jobs", "single", "straight"]

MOST = 65535  # of a loop


@dataclass(frozen=True)
class Map:
    """A tensor of (images, blocks, height, width) vectors, maybe a part of another one's blocks.

    Members
    -------
    spec : TensorSpec
        The whole that it is part of: what a stream starts from.
    start : int
        Vector index of its first vector there.
    shape, strides : tuple of int
        Images, blocks, rows, columns; vectors from one to the next.
    """

    spec: object
    start: int
    shape: tuple
    strides: tuple

    @property
    def pixels(self):
        return self.shape[2] * self.shape[3]

    @property
    def is_whole(self):
        """Whether its images follow each other without a gap."""
        return self.strides[0] == prod(self.shape[1:])


def map_of(tensors, name, shape=None):
    """`Map` of a tensor; of (images, blocks, height, width) `shape` if that is another one."""
    spec = tensors[name]
    shape = tuple(shape or spec.shape[:4])
    pixels, start = prod(shape[2:]), 0
    while spec.view is not None:
        start += spec.view[1] * prod(spec.shape[2:-1])
        spec = tensors[spec.view[0]]
    return Map(spec, start, shape, (prod(spec.shape[1:-1]), pixels, shape[3], 1))


class Raws:
    """fp32 tensors that one stream reaches, counted from the lowest of them."""

    def __init__(self, *specs):
        self.spec = min(specs, key=lambda spec: spec.address)

    def at(self, spec):
        """Vector index of a tensor's first vector."""
        distance, size = spec.address - self.spec.address, 4 * spec.shape[-1]
        assert distance >= 0 and distance % size == 0, (spec.name, self.spec.name)
        return distance // size


def loops(counts, strides):
    """Merge neighbouring loops where every stream goes straight on.

    Parameters
    ----------
    counts : sequence of int
        Outermost first.
    strides : dict
        Steps of each loop, by stream.

    Returns
    -------
    counts, strides
        Four loops.
    """
    counts = list(counts)
    steps = {name: list(values) for name, values in strides.items()}
    k = len(counts) - 2
    while k >= 0:
        inner = counts[k + 1]
        if inner == 1:
            for values in (counts, *steps.values()):
                del values[k + 1]
            k -= 1
            continue
        joins = all(s[k] == s[k + 1] * inner or counts[k] == 1 for s in steps.values())
        if joins and counts[k] * inner <= MOST:
            counts[k : k + 2] = [counts[k] * inner]
            for values in steps.values():
                del values[k]
        k -= 1
    while len(counts) < 4:
        counts.insert(0, 1)
        for values in steps.values():
            values.insert(0, 0)
    assert len(counts) == 4, counts
    return tuple(counts), {name: tuple(values) for name, values in steps.items()}


def straight(**maps):
    """An extent over all vectors of maps alike, one map a stream."""
    first = next(iter(maps.values()))
    counts, steps = loops(first.shape, {name: each.strides for name, each in maps.items()})
    return Extent(counts, **{n: Walk(each.start, steps[n]) for n, each in maps.items()})


def single(**starts):
    """An extent of one vector of each stream."""
    return Extent((1, 1, 1, 1), **{name: Walk(start) for name, start in starts.items()})


def plane_jobs(maps, make):
    """Jobs over all planes (channel blocks of images), one an iteration of the outer loop.

    Parameters
    ----------
    maps : dict
        Map by stream, with the same images and blocks.
    make : callable
        make(starts, outer, count) -> Job; starts: vector index of each stream's first plane.
    """
    images, blocks = next(iter(maps.values())).shape[:2]
    outer = {name: each.strides[1] for name, each in maps.items()}
    if all(each.is_whole for each in maps.values()):
        starts = {name: each.start for name, each in maps.items()}
        return [make(starts, outer, images * blocks)]
    return [
        make({n: each.start + i * each.strides[0] for n, each in maps.items()}, outer, blocks)
        for i in range(images)
    ]
