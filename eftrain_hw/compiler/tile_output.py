"""Tiles of FP and BP: images x rows x all columns of some output blocks."""

from math import prod
from typing import NamedTuple

from .phases import axes_of, backward_extent, backward_phases
from .tiling import (
    Tiling,
    capacity,
    ceil_div,
    cuts,
    estimate,
    m_tiles,
    pairs_of,
    ranked,
    reloads,
    sweep_cycles,
    unit_of,
    vector_cost,
    wide_of,
)

__all__ = ["backward_tilings", "forward_tilings"]

LOAD_LATENCY = 120  # cycles from a free slot to data in the array
DRAIN_GAP = 8  # cycles between the drains of two tiles


class _Pass(NamedTuple):
    """What a search must know of a pass.

    Members
    -------
    name : str
    reduce_blocks, result_blocks : int
        Channel blocks that are summed over; of the result; both of one part.
    height, width : int
        Of the result.
    columns : int
        Columns of the moving operand that a tile loads.
    rows_in : callable
        Rows of the moving operand that a number of result rows needs.
    compute : callable
        (images, rows, reduce blocks) -> cycles of the array for a tile of one m-tile.
    row_step : int
        Tiles begin at multiples of it.
    stores : int
        Vectors that cross the bus for one vector of the result: 2 with a mask.
    wide : (bool, bool)
        As ArrayPass.
    """

    name: str
    reduce_blocks: int
    result_blocks: int
    height: int
    width: int
    columns: int
    rows_in: object
    compute: object
    row_step: int
    stores: int
    wide: tuple


def forward_tilings(config, op, batch):
    """Tilings of FP, the cheapest by their estimates first."""
    kh, kw = op.kernel
    wide = wide_of(op, "forward")
    _, height, width = op.out_shape
    in_blocks, out_blocks = op.in_shape[0] // op.parts, op.out_shape[0] // op.parts

    def rows_in(rows):
        return (rows - 1) * op.stride[0] + (kh - 1) * op.dilation[0] + 1

    def compute(images, rows, in_blocks):
        sweeps = kh * kw * in_blocks * pairs_of(wide)
        return sweeps * sweep_cycles(config, images * rows * width)

    which = _Pass(
        "forward",
        in_blocks,
        out_blocks,
        height,
        width,
        (width - 1) * op.stride[1] + (kw - 1) * op.dilation[1] + 1,
        rows_in,
        compute,
        1,
        2 if op.mask else 1,
        wide,
    )
    bound = batch * height * width * kh * kw * in_blocks * m_tiles(config, out_blocks)
    bound *= pairs_of(wide)
    return _tilings(config, op, batch, which, op.parts * bound)


def backward_tilings(config, op, batch):
    """Tilings of BP: whole periods of the stride, so that every tile has the same phases."""
    wide = wide_of(op, "backward")
    _, height, width = op.in_shape
    in_blocks, out_blocks = op.in_shape[0] // op.parts, op.out_shape[0] // op.parts
    vertical, horizontal = axes_of(op)

    def rows_in(rows):
        return backward_extent(vertical, rows)[1]

    def phases(rows):
        """(taps, rows, columns) of each stride phase."""
        for _, _, row_taps, _, row_count in backward_phases(vertical, rows):
            for _, _, column_taps, _, column_count in backward_phases(horizontal, width):
                yield row_taps * column_taps, row_count, column_count

    def compute(images, rows, blocks):
        sweeps = blocks * pairs_of(wide)
        return sum(
            max(1, taps * sweeps) * sweep_cycles(config, images * row_count * column_count)
            for taps, row_count, column_count in phases(rows)
        )

    which = _Pass(
        "backward",
        out_blocks,
        in_blocks,
        height,
        width,
        backward_extent(horizontal, width)[1],
        rows_in,
        compute,
        op.stride[0],
        2 if op.mask else 1,
        wide,
    )
    bound = batch * m_tiles(config, in_blocks)
    sweeps = out_blocks * pairs_of(wide)
    bound *= sum(max(1, taps * sweeps) * rows * count for taps, rows, count in phases(height))
    return _tilings(config, op, batch, which, op.parts * bound)


def _tilings(config, op, batch, which, bound):
    """All that fit, the cheapest first.

    Either the stationary operand stays while the batch passes ("group" outermost) or the moving
    one stays while the groups pass ("group" inside). A tile has several images only where it has
    whole maps.
    """
    found = (
        _priced(config, op, batch, which, bound, loops, sizes)
        for sizes in _sizes(config, op, batch, which)
        for loops in _orders(config, batch, op.parts, which, sizes)
    )
    return ranked(found, f"{op.name} {which.name}")


def _sizes(config, op, batch, which):
    """(rows, images, reduction, group) of the tiles that fit on chip."""
    _, unit_blocks, _ = unit_of(config)
    per_block = prod(op.kernel) * config.lanes
    height, step = which.height, which.row_step
    moving, stationary = capacity(config, which.wide)
    for rows in {min(height, ceil_div(size, step) * step) for size in cuts(height)}:
        plane = which.rows_in(rows) * which.columns
        for images in cuts(batch) if rows == height else [1]:
            positions = images * rows * which.width
            if positions > config.accumulator_depth:
                continue
            for reduction in cuts(which.reduce_blocks):
                if images * reduction * plane > moving:
                    continue
                for group in cuts(ceil_div(which.result_blocks, unit_blocks)):
                    blocks = min(group * unit_blocks, which.result_blocks)
                    if (
                        blocks * reduction * per_block <= stationary
                        and m_tiles(config, blocks) * positions <= config.accumulator_depth
                        and blocks * config.lanes <= config.bias_depth
                    ):
                        yield rows, images, reduction, group


def _orders(config, batch, parts, which, sizes):
    """The loop orders that differ."""
    rows, images, _, group = sizes
    _, unit_blocks, _ = unit_of(config)
    part = ["part"] if parts > 1 else []
    yield [*part, "group", "image", "row", "reduction"]
    if group * unit_blocks < which.result_blocks and (rows < which.height or images < batch):
        yield [*part, "image", "row", "group", "reduction"]


def _priced(config, op, batch, which, bound, loops, sizes):
    rows, images, reduction, group = sizes
    _, unit_blocks, _ = unit_of(config)
    tiling = Tiling(loops, bound=bound)
    if op.parts > 1:
        tiling.set_loop("part", op.parts, 1)
    tiling.set_loop("group", ceil_div(which.result_blocks, unit_blocks), group)
    tiling.set_loop("image", batch, images)
    tiling.set_loop("row", which.height, rows)
    tiling.set_loop("reduction", which.reduce_blocks, reduction)
    counts = tiling.counts
    passes = op.parts * m_tiles(config, which.result_blocks) * counts["image"] * counts["row"]
    cycles = passes * which.compute(images, rows, which.reduce_blocks)
    moving = images * reduction * which.rows_in(rows) * which.columns
    blocks = min(group * unit_blocks, which.result_blocks)
    weights = blocks * reduction * prod(op.kernel) * config.lanes
    moving, weights = moving * (1 + which.wide[0]), weights * (1 + which.wide[1])
    loads = reloads(loops, counts, {"part", "image", "row", "reduction"}) * moving
    loads += reloads(loops, counts, {"part", "group", "reduction"}) * weights
    vector = vector_cost(config)
    results = batch * op.parts * which.result_blocks * which.height * which.width
    stored = results * which.stores * vector
    groups = config.lanes // config.drain_lanes
    last = blocks * images * tiling.last["row"] * which.width
    drains = op.parts * counts["group"] * counts["image"] * counts["row"]
    return estimate(
        config,
        tiling,
        cycles,
        loads * vector,
        stored,
        drain=results * groups + drains * DRAIN_GAP,
        late=_lateness(config, tiling, cycles, moving * vector, stored),
        exposed=ceil_div((moving + weights) * vector, config.bus_bytes) + last * groups,
    )


def _lateness(config, tiling, compute, moving, store_bytes):
    """Cycles that the array waits for `moving` bytes of a tile that stays while the groups pass.

    It is asked for behind the stationary operand of the next tile's first group, which waits for
    a slot until two groups are left: those hide the load, which shares the bus with the drain.
    """
    counts = tiling.counts
    late = tiling.loops.index("group") > tiling.loops.index("image")
    if not late or counts["group"] == 1 or counts["reduction"] > 1:
        return 0
    step = compute / tiling.tiles
    share = min(0.5, store_bytes / config.bus_bytes / compute)
    wait = moving / config.bus_bytes / (1 - share) - 2 * step + LOAD_LATENCY
    return max(0, int(wait)) * counts["image"] * counts["row"] * counts.get("part", 1)
