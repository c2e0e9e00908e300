"""What one command costs in its engine: cycles at full speed, bus beats, pipeline tails."""

from functools import lru_cache
from math import prod
from typing import NamedTuple

from ...dma.commands import DESTINATIONS, MODES
from .constants import UPDATE_SPACING

__all__ = ["Compute", "Drain", "Load", "compute_cost", "drain_cost", "load_cost", "spread"]

_EXCHANGE = 7  # cycles of the load walker from lane to lane
_WALK_BITS = 4  # bits of the first row that its multiplication hides


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
    items : int
        Blocks that the walker hands to the fill side.
    requests : int
        Cycles of the request side.
    beats : int
        Bus beats that are read.
    span : int
        Cycles from the first beat to the last where nothing but the ports limits them.
    bursts : int
    fill : int
        Writes to the buffer, padding included.
    """

    destination: str
    acquire: bool
    publish: bool
    setup: int
    walk: int
    items: int
    requests: int
    beats: int
    span: int
    bursts: int
    fill: int


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


class Drain(NamedTuple):
    """A drain command.

    Members
    -------
    acquire, release, raw, mask : bool
    steps : int
        Groups of accumulators that are read.
    interval : int
        Cycles a group takes in the writer.
    write_beats, mask_beats : int
    runs, bursts : int
        Runs of elements; write bursts of elements and exponents.
    last_words : int
        Bus words of its last write request.
    """

    acquire: bool
    release: bool
    raw: bool
    mask: bool
    steps: int
    interval: int
    write_beats: int
    mask_beats: int
    runs: int
    bursts: int
    last_words: int


def spread(bursts, ports):
    """Cycles until the last of the bursts has come, the first word at 0, in order over the ports.

    A port carries a bus word in `ports` cycles; each burst goes to the port that has the least to
    do, and words leave in the order of the bursts, one a cycle.
    """
    if ports == 1:
        return sum(bursts)
    busy, left = [0] * ports, 0
    for words in bursts:
        port = busy.index(min(busy))
        start = busy[port]
        busy[port] = start + ports * words
        left = max(left + words, start + words + 1, busy[port])
    return left


def _pieces(first, words, size):
    """Burst lengths of a request: cut at multiples of `size` words."""
    while words > 0:
        part = min(words, size - first % size)
        yield part
        first += part
        words -= part


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
    """(beats, bursts) of `count` vectors, the first at index `first` modulo 512."""
    parts = []
    if sizes.exponents:
        words = (first % sizes.bus + count + sizes.bus - 1) // sizes.bus
        parts += _pieces(first // sizes.bus, words, sizes.burst)
    if sizes.beats > 1:
        words, word = count * sizes.beats, first * sizes.beats
    else:
        words = (first % sizes.shared + count + sizes.shared - 1) // sizes.shared
        word = first // sizes.shared
    parts += _pieces(word, words, sizes.burst)
    return sum(parts), tuple(parts)


@lru_cache(maxsize=65536)
def _block(sizes, first, rows, columns, stride):
    """(request cycles, bursts) of rows x columns vectors whose rows lie `stride` apart."""
    requests, bursts = 0, []
    each = 2 if sizes.exponents else 1
    runs = [(first, rows * columns)] if columns == stride else [
        ((first + row * stride) % 512, columns) for row in range(rows)
    ]
    if columns == stride:
        requests += rows - 1
    for start, vectors in runs:
        while vectors > 0:
            count = min(vectors, sizes.chunk)
            _, parts = _chunk(sizes, start % 512, count)
            bursts += parts
            requests += each
            start += count
            vectors -= count
    return requests, tuple(bursts)


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
    walk, requests, bursts, fill = 0, 0, [], 0
    for a in range(lane_images):
        for b in range(lane_rows):
            top = row + b * lane_row_step
            rows_inside = max(0, min(top + rows, height) - max(top, 0))
            bits = max(0, max(top, 0).bit_length() - _WALK_BITS)
            for c in range(lane_columns):
                left = column + c * lane_column_step
                columns_inside = max(0, min(left + columns, width) - max(left, 0))
                walk += bits + images * blocks + _EXCHANGE
                fill += images * blocks * rows * columns * sizes.beats
                if not rows_inside or not columns_inside:
                    continue
                first = vector + a * image_stride + max(top, 0) * width + max(left, 0)
                for n in range(images):
                    if image + n * lane_images + a >= image_limit:
                        break
                    for block in range(blocks):
                        start = first + n * lane_images * image_stride + block * block_stride
                        cycles, parts = _block(
                            sizes, start % 512, rows_inside, columns_inside, width
                        )
                        requests += cycles
                        bursts += parts
    beats = sum(bursts)
    span = max(beats, spread(bursts, config.ports)) if len(bursts) < 5000 else beats
    return Load(
        "moving" if destination == DESTINATIONS["moving"] else "stationary",
        bool(acquire),
        bool(publish),
        8 + lane_images.bit_length(),
        walk,
        lane_images * lane_rows * lane_columns * images * blocks,
        requests,
        beats,
        span,
        len(bursts),
        fill,
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


def _beats(first, size, bus):
    return (first % bus + size + bus - 1) // bus


@lru_cache(maxsize=65536)
def _drain_cost(
    config,
    acquire,
    release,
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
    bus = config.bus_bytes
    size = 4 * config.lanes if raw else config.vector_bytes
    writes = masks = bursts = 0
    burst = max(1, config.max_burst_beats // config.ports)
    for block in range(blocks):
        for image in range(images):
            first = vector + block * block_stride + image * image_stride
            words = _beats(first * size, run * size, bus)
            writes += words
            bursts += -(-words // min(burst, 32))
            if config.has_exponents and not raw:
                words = _beats(first, run, bus)
                writes += words
                bursts += -(-words // min(burst, 16))
            if mask:
                masks += _beats(first * config.vector_bytes, run * config.vector_bytes, bus)
    begin = 64 * line + first * size
    end = begin + run * size
    request = 32 * bus  # of the element writer
    start = max(begin, (end - 1) // request * request)
    item = config.drain_lanes * (4 if raw else config.element_bytes)
    return Drain(
        bool(acquire),
        bool(release),
        bool(raw),
        bool(mask),
        blocks * images * run * (config.lanes // config.drain_lanes),
        max(1, item // bus),
        writes,
        masks,
        blocks * images,
        bursts,
        _beats(start, end - start, bus),
    )
