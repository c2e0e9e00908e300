"""What a drain command costs: its runs, their mask words and write requests."""

from functools import lru_cache
from typing import NamedTuple

__all__ = ["Drain", "Part", "Run", "drain_cost"]

_EXPONENT_REQUEST, _ELEMENT_REQUEST, _MASK_REQUEST = 16, 32, 16  # bus words
_LINE = 64
_LINES = 8  # a multiple of all requests
_EVEN = 512  # vectors, likewise


class Part(NamedTuple):
    """Part of a run that a drain stores.

    Members
    -------
    steps : float
        Groups of accumulators that are read for it.
    mask_words : int
        Bus words of the mask that it needs.
    elements, exponents : (int, int) or None
        Write requests that it completes: first word modulo the longest burst, words.
    """

    steps: float
    mask_words: int
    elements: tuple
    exponents: tuple


class Run(NamedTuple):
    """A run of a drain: one block of one image; `mask` is (first word, words) or None."""

    parts: tuple
    mask: tuple


class Drain(NamedTuple):
    """A drain command.

    Members
    -------
    acquire, release, raw : bool
    interval : int
        Cycles from group to group: of its pace, or that it takes in the writer.
    runs : tuple of Run
    write_beats, mask_beats : int
    """

    acquire: bool
    release: bool
    raw: bool
    interval: int
    runs: tuple
    write_beats: int
    mask_beats: int


def drain_cost(config, fields):
    """`Drain` of a command's fields."""
    return _drain_cost(
        config,
        fields["acquire"],
        fields["release"],
        fields["pace"],
        fields["raw"],
        fields["low"],
        fields["mask"],
        fields["blocks"],
        fields["images"],
        fields["run"],
        tuple(fields[name] % _LINES for name in ("base", "exponent_base", "mask_base")),
        fields["vector"] % _EVEN,
        fields["image_stride"] % _EVEN,
        fields["block_stride"] % _EVEN,
    )


def _requests(first, words, size):
    """(first word, words) of a run's requests, cut at multiples of `size`."""
    while words > 0:
        part = min(words, size - first % size)
        yield first % size, part
        first += part
        words -= part


@lru_cache(maxsize=65536)
def _run(config, raw, low, mask, lines, first, run):
    """`Run` of `run` vectors from vector index `first` on.

    `lines` are the first ones of the elements, the exponents and the mask, modulo `_LINES`.
    """
    bus, groups = config.bus_bytes, config.lanes // config.drain_lanes
    size = 4 * config.lanes if raw else config.vector_bytes
    begin = _LINE * lines[0] + first * size
    end = begin + run * size
    words = -(-end // bus) - begin // bus
    mask_begin = _LINE * lines[2] + first * config.vector_bytes  # elements of the format
    mask_word, mask_words, masked = mask_begin // bus, 0, 0
    if mask:
        mask_words = -(-(mask_begin + run * config.vector_bytes) // bus) - mask_word
    wide = mask_words < words
    exponents = []
    if config.has_exponents and not raw and not low:
        at = _LINE * lines[1] + first
        length = -(-(at + run) // bus) - at // bus
        exponents += _requests(at // bus, length, _EXPONENT_REQUEST)
    parts, done, word = [], begin, begin // bus
    total = len(exponents)
    for start, count in _requests(word, words, _ELEMENT_REQUEST):
        left = count
        while left:
            at = mask_word + word - begin // bus
            piece = left if wide else min(left, _MASK_REQUEST - at % _MASK_REQUEST)
            left, word = left - piece, word + piece
            stop = min(end, word * bus)
            steps, done = (stop - done) / size * groups, stop
            request = None
            if not left:
                request = start, count
            share = None
            if exponents and (stop == end or (stop - begin) / (end - begin) * total >= 1 + total
                              - len(exponents)):
                share = exponents.pop(0)
            if wide:
                piece = -(-mask_words * (stop - begin) // (end - begin)) - masked
            masked += piece
            parts.append(Part(steps, piece, request, share))
    return Run(tuple(parts), (mask_word % _EVEN, mask_words) if mask else None)


@lru_cache(maxsize=65536)
def _drain_cost(
    config,
    acquire,
    release,
    pace,
    raw,
    low,
    mask,
    blocks,
    images,
    run,
    lines,
    vector,
    image_stride,
    block_stride,
):
    runs = tuple(
        _run(
            config,
            raw,
            low,
            mask,
            lines,
            (vector + block * block_stride + image * image_stride) % _EVEN,
            run,
        )
        for block in range(blocks)
        for image in range(images)
    )
    writes = masks = 0
    for each in runs:
        masks += each.mask[1] if each.mask else 0
        for piece in each.parts:
            writes += sum(request[1] for request in (piece.elements, piece.exponents) if request)
    item = config.drain_lanes * (4 if raw else config.element_bytes)
    return Drain(
        bool(acquire),
        bool(release),
        bool(raw),
        max(1 << pace, item // config.bus_bytes),
        runs,
        writes,
        masks,
    )
