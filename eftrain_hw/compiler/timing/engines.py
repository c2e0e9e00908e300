"""What one command costs in its engine: cycles at full speed, bus beats, pipeline tails."""

from functools import lru_cache
from math import prod
from typing import NamedTuple

from ...dma.commands import DESTINATIONS, MODES
from .constants import UPDATE_SPACING

__all__ = ["Compute", "Drain", "Load", "Request", "compute_cost", "drain_cost", "load_cost"]

_EXCHANGE = 7  # cycles of the load walker from lane to lane
_WALK_BITS = 4  # bits of the first row that its multiplication hides


class Request(NamedTuple):
    """A read request of a load command.

    Members
    -------
    offset : int
        Cycles of the walker from the slot to its block.
    gather : int
        Cycles in which rows are joined to a run before.
    first, words : int
        Bus words; the first one modulo the longest burst.
    elements : bool
        Of elements, not of exponents.
    fill : float
        Writes to the buffer that it makes.
    padding : int
        Zeros that are written before.
    """

    offset: int
    gather: int
    first: int
    words: int
    elements: bool
    fill: float
    padding: int


class Load(NamedTuple):
    """A load command.

    Members
    -------
    destination : str
    acquire, publish : bool
    setup : int
        Cycles from taking the command to asking for the slot.
    walk : int
        Cycles of the walker once it has the slot.
    requests : tuple of Request
    last_item : int
        The first request of the last block.
    beats : int
        Bus beats that are read.
    fill : int
        Writes to the buffer, padding included.
    padding : int
        Of those, after the last request.
    """

    destination: str
    acquire: bool
    publish: bool
    setup: int
    walk: int
    requests: tuple
    last_item: int
    beats: int
    fill: int
    padding: int


class Compute(NamedTuple):
    """A compute command: `sweeps` of `length` positions, one every `stride` cycles."""

    sweeps: int
    length: int
    stride: int
    acquire_moving: bool
    acquire_stationary: bool
    acquire_accumulator: bool
    release_moving: bool
    release_stationary: bool
    release_accumulator: bool


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


class _Sizes(NamedTuple):
    """Configuration in the loader's terms; bias vectors are fp32 in every format."""

    bus: int
    burst: int
    beats: int
    shared: int
    chunk: int
    exponents: bool


@lru_cache(maxsize=64)
def _sizes(config, bias):
    size = 4 * config.lanes if bias else config.vector_bytes
    beats, shared = max(1, size // config.bus_bytes), max(1, config.bus_bytes // size)
    exponents = config.has_exponents and not bias
    chunk = 256 // beats
    if exponents:
        chunk = min(chunk, 8 * config.bus_bytes)
    burst = max(1, config.max_burst_beats // config.ports)
    return _Sizes(config.bus_bytes, burst, beats, shared, chunk, exponents)


@lru_cache(maxsize=65536)
def _chunk(sizes, first, count):
    """Requests of `count` vectors from index `first` modulo 512 on: (word, words, elements)."""
    parts = []
    if sizes.exponents:
        words = (first % sizes.bus + count + sizes.bus - 1) // sizes.bus
        parts.append((first // sizes.bus % sizes.burst, words, False))
    if sizes.beats > 1:
        words, word = count * sizes.beats, first * sizes.beats
    else:
        words = (first % sizes.shared + count + sizes.shared - 1) // sizes.shared
        word = first // sizes.shared
    return (*parts, (word % sizes.burst, words, True))


@lru_cache(maxsize=65536)
def _block(sizes, first, rows, columns, stride, fill, padding):
    """`Request`s of rows x columns vectors, rows `stride` apart; they fill `fill` words."""
    requests, before = [], padding
    runs = [(first, rows * columns)] if columns == stride else [
        (first + row * stride, columns) for row in range(rows)
    ]
    each = fill / (rows * columns)
    rows_left = rows - 1 if columns == stride else 0
    for start, vectors in runs:
        while vectors > 0:
            count = min(vectors, sizes.chunk)
            gather = 0
            if rows_left:  # rows that are joined before the chunk is asked for
                gather = min(rows_left, -(-count // columns))
                rows_left -= gather
            for word, words, elements in _chunk(sizes, start % 512, count):
                filled = each * count if elements else 0
                zeros = before if elements else 0
                requests.append(Request(0, gather, word, words, elements, filled, zeros))
                gather = 0
                if elements:
                    before = 0
            start += count
            vectors -= count
    return tuple(requests)


def load_cost(config, fields):
    """`Load` of a command's fields."""
    return _load_cost(
        config,
        fields["destination"],
        fields["mode"],
        fields["acquire"],
        fields["publish"],
        fields["vector"] % 512,
        fields["image"] if fields["image_limit"] != 65535 else 0,
        fields["image_limit"],
        fields["lane_images"],
        fields["lane_rows"],
        fields["lane_columns"],
        fields["lane_row_step"],
        fields["lane_column_step"],
        fields["images"],
        fields["image_stride"],
        fields["blocks"],
        fields["block_stride"],
        fields["row"],
        fields["rows"],
        fields["height"],
        fields["column"],
        fields["columns"],
        fields["width"],
    )


@lru_cache(maxsize=65536)
def _load_cost(
    config,
    destination,
    mode,
    acquire,
    publish,
    vector,
    image,
    image_limit,
    lane_images,
    lane_rows,
    lane_columns,
    lane_row_step,
    lane_column_step,
    images,
    image_stride,
    blocks,
    block_stride,
    row,
    rows,
    height,
    column,
    columns,
    width,
):
    bias = destination == DESTINATIONS["bias"]
    if bias:
        images = blocks = rows = height = image_limit = 1
        image = row = column = 0
        width = columns
    if mode != MODES["strip"] or bias:
        lane_images = lane_rows = lane_columns = 1
    sizes = _sizes(config, bias)
    walk, requests, padding, last_item, total = 0, [], 0, 0, 0
    fill = rows * columns * sizes.beats
    for a in range(lane_images):
        for b in range(lane_rows):
            top = row + b * lane_row_step
            rows_inside = max(0, min(top + rows, height) - max(top, 0))
            bits = max(0, max(top, 0).bit_length() - _WALK_BITS)
            for c in range(lane_columns):
                left = column + c * lane_column_step
                columns_inside = max(0, min(left + columns, width) - max(left, 0))
                walk += bits + _EXCHANGE if walk else 0
                first = vector + a * image_stride + max(top, 0) * width + max(left, 0)
                for n in range(images):
                    here = image + n * lane_images + a < image_limit
                    if not here or not rows_inside or not columns_inside:
                        walk += blocks
                        padding += blocks * fill
                        continue
                    for block in range(blocks):
                        start = first + n * lane_images * image_stride + block * block_stride
                        last_item = len(requests)
                        requests += [
                            each._replace(offset=walk)
                            for each in _block(
                                sizes,
                                start % 512,
                                rows_inside,
                                columns_inside,
                                width,
                                fill,
                                padding,
                            )
                        ]
                        walk += 1
                        padding = 0
    total = lane_images * lane_rows * lane_columns * images * blocks * fill
    return Load(
        "moving" if destination == DESTINATIONS["moving"] else "stationary",
        bool(acquire),
        bool(publish),
        8 + lane_images.bit_length() + max(0, max(row, 0).bit_length() - _WALK_BITS),
        walk,
        tuple(requests),
        last_item,
        sum(request.words for request in requests),
        total,
        padding,
    )


def compute_cost(config, fields):
    """`Compute` of a command's fields."""
    length = prod(fields[f"inner{k}"] for k in range(4)) + fields["ones"]
    return Compute(
        fields["m_tiles"] * fields["outer0"] * fields["outer1"] * fields["outer2"],
        length,
        max(length, config.rows, UPDATE_SPACING),
        bool(fields["acquire_moving"]),
        bool(fields["acquire_stationary"]),
        bool(fields["acquire_accumulator"]),
        bool(fields["release_moving"]),
        bool(fields["release_stationary"]),
        bool(fields["release_accumulator"]),
    )


def drain_cost(config, fields):
    """`Drain` of a command's fields."""
    return _drain_cost(
        config,
        fields["acquire"],
        fields["release"],
        fields["pace"],
        fields["raw"],
        fields["mask"],
        fields["blocks"],
        fields["images"],
        fields["run"],
        fields["base"] % 8,
        fields["vector"] % 512,
        fields["image_stride"] % 512,
        fields["block_stride"] % 512,
    )


_EXPONENT_REQUEST, _ELEMENT_REQUEST, _MASK_REQUEST = 16, 32, 16  # bus words


def _requests(first, words, size):
    """(first word, words) of a run's requests, cut at multiples of `size`."""
    while words > 0:
        part = min(words, size - first % size)
        yield first % size, part
        first += part
        words -= part


@lru_cache(maxsize=65536)
def _run(config, raw, mask, line, first, run):
    """`Run` of `run` vectors from vector index `first` on; `line`: 64-byte line modulo 8."""
    bus, groups = config.bus_bytes, config.lanes // config.drain_lanes
    size = 4 * config.lanes if raw else config.vector_bytes
    begin = 64 * line + first * size
    end = begin + run * size
    words = -(-end // bus) - begin // bus
    exponents = []
    if config.has_exponents and not raw:
        last = first + run
        for start, count in _requests(first // bus, -(-last // bus) - first // bus, 16):
            exponents.append((start, count))
    parts, done, word = [], begin, begin // bus
    total = len(exponents)
    for start, count in _requests(word, words, _ELEMENT_REQUEST):
        left, at = count, start
        while left:
            piece = min(left, _MASK_REQUEST - at % _MASK_REQUEST) if mask else left
            at, left, word = at + piece, left - piece, word + piece
            stop = min(end, word * bus)
            steps, done = (stop - done) / size * groups, stop
            request = None
            if not left:
                request = start, count
            share = None
            if exponents and (stop == end or (stop - begin) / (end - begin) * total >= 1 + total
                              - len(exponents)):
                share = exponents.pop(0)
            parts.append(Part(steps, piece if mask else 0, request, share))
    return Run(tuple(parts), (begin // bus % 512, words) if mask else None)


@lru_cache(maxsize=65536)
def _drain_cost(
    config,
    acquire,
    release,
    pace,
    raw,
    mask,
    blocks,
    images,
    run,
    line,
    vector,
    image_stride,
    block_stride,
):
    runs = tuple(
        _run(
            config,
            raw,
            mask,
            line,
            (vector + block * block_stride + image * image_stride) % 512,
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
