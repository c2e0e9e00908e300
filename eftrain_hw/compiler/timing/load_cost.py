"""What a load command costs: the read requests that it makes, and what each fills."""

from functools import lru_cache
from typing import NamedTuple

from ...dma.commands import DESTINATIONS, MODES

__all__ = ["Load", "Request", "load_cost"]

_EXCHANGE = 7  # cycles of the load walker from lane to lane
_WALK_BITS = 3  # bits of the first row that its multiplication hides
_LINE = 64
_EVEN = 512  # vectors or bus words: a multiple of all requests
_ALL = 65535  # an `image_limit` that nothing reaches
_FIELDS = (
    "destination mode acquire publish wide image_limit lane_images lane_rows lane_columns"
    " lane_row_step lane_column_step images image_stride blocks block_stride row rows height column"
    " columns width"
).split()


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
    held : int
        Bus words, or vectors that share one, of its tile, both digits of a wide one.
    padding : int
        Of the writes, after the last request.
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
    held: int
    padding: int


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
def _chunk(sizes, bases, first, count):
    """Requests of `count` vectors from index `first` modulo 512 on: (word, words, elements).

    `bases` are the first word of the tensor's elements and of its exponents.
    """
    parts = []
    if sizes.exponents:
        words = (first % sizes.bus + count + sizes.bus - 1) // sizes.bus
        parts.append(((bases[1] + first // sizes.bus) % sizes.burst, words, False))
    if sizes.beats > 1:
        words, word = count * sizes.beats, first * sizes.beats
    else:
        words = (first % sizes.shared + count + sizes.shared - 1) // sizes.shared
        word = first // sizes.shared
    return (*parts, ((bases[0] + word) % sizes.burst, words, True))


@lru_cache(maxsize=65536)
def _block(sizes, bases, first, rows, columns, stride, fill, padding):
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
            for word, words, elements in _chunk(sizes, bases, start % _EVEN, count):
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
    words = _LINE // config.bus_bytes
    return _load_cost(
        config,
        (fields["base"] * words % _EVEN, fields["exponent_base"] * words % _EVEN),
        fields["vector"] % _EVEN,
        fields["image"] if fields["image_limit"] != _ALL else 0,
        *(fields[name] for name in _FIELDS),
    )


@lru_cache(maxsize=65536)
def _load_cost(
    config,
    bases,
    vector,
    image,
    destination,
    mode,
    acquire,
    publish,
    wide,
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
    # half of a bus word to a word of one lane, unless vectors share it
    halves = 2 if wide and mode != MODES["scatter"] and sizes.shared == 1 and not bias else 1
    fill = rows * columns * sizes.beats * halves
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
                                bases,
                                start % _EVEN,
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
        total // halves * (1 + (wide and not bias)),
        padding,
    )
