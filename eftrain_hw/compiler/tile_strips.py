"""Tiles of WU: strips of dY stationary, strips of X moving, sums kept over the whole batch."""

from dataclasses import replace

from ..sequencer.program_format import LOOPS as SEQUENCER_LOOPS
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
    wide_of,
)

__all__ = ["strip_split", "strip_splits", "weight_gradient_tilings"]

LOOPS = ["group", "column", "tap", "image", "row"]
WORTH = 0.98  # of the cycles, for strips with more halo


def strip_bytes(config, lanes, rows, columns, whole_rows):
    """Bytes on the bus for rows x columns vectors of each lane, exponents by whole bus beats."""
    vectors = lanes * rows * columns
    if not config.has_exponents:
        return vectors * config.vector_bytes
    runs = lanes if whole_rows else lanes * rows
    return vectors * config.vector_bytes + vectors + runs * (config.bus_bytes - 1)


class _Strips:
    """The strips of a weight gradient: how many groups of images, rows and columns of a strip."""

    def __init__(self, op, batch):
        split_images, split_rows, split_columns = op.split
        self.groups = ceil_div(batch, split_images)
        self.rows = ceil_div(op.out_shape[1], split_rows)
        self.columns = ceil_div(op.out_shape[2], split_columns)
        span = (op.kernel[1] - 1) * op.dilation[1] + 1
        self.columns_in = (self.columns - 1) * op.stride[1] + span

    @property
    def sweeps(self):
        """Of an m-tile."""
        return self.groups * self.rows * self.columns


def weight_gradient_tilings(config, op, batch):
    """Tilings of WU, the cheapest by their estimates first."""
    strips = _Strips(op, batch)
    found = (_priced(config, op, strips, *sizes) for sizes in _sizes(config, op, strips))
    return ranked((tiling for tiling in found if tiling), f"{op.name} weight gradient")


def _rows_in(op, rows, tap):
    return (rows - 1) * op.stride[0] + (tap - 1) * op.dilation[0] + 1


def _sizes(config, op, strips):
    """(taps, columns, group, rows, images) of the tiles that fit on chip."""
    lanes = config.lanes
    kh, kw = op.kernel
    _, unit_blocks, _ = unit_of(config)
    most_moving, most_stationary = capacity(config, wide_of(op, "weight_gradient"))
    for tap in cuts(kh):
        for column in cuts(op.in_shape[0] // op.parts):
            positions = column * tap * kw * lanes
            out_blocks = op.out_shape[0] // op.parts
            for group in cuts(ceil_div(out_blocks, unit_blocks)):
                blocks = min(group * unit_blocks, out_blocks)
                if m_tiles(config, blocks) * (positions + 1) > config.accumulator_depth:
                    continue
                for rows in cuts(strips.rows):
                    plane = _rows_in(op, rows, tap) * strips.columns_in
                    for images in cuts(strips.groups) if rows == strips.rows else [1]:
                        moving = images * column * plane * lanes
                        stationary = images * blocks * rows * strips.columns * lanes
                        if (
                            moving <= most_moving
                            and stationary <= most_stationary
                        ):
                            yield tap, column, group, rows, images


def _priced(config, op, strips, tap, column, group, rows, images):
    """None where the sequencer has too few loops for the tiling."""
    lanes, parts = config.lanes, op.parts
    kh, kw = op.kernel
    width = op.out_shape[2]
    in_blocks, out_blocks = op.in_shape[0] // parts, op.out_shape[0] // parts
    _, unit_blocks, _ = unit_of(config)
    blocks = min(group * unit_blocks, out_blocks)
    wide = wide_of(op, "weight_gradient")
    all_sweeps = parts * m_tiles(config, out_blocks) * strips.sweeps * pairs_of(wide)
    loops = ["part", *LOOPS] if parts > 1 else LOOPS
    tiling = Tiling(loops, bound=all_sweeps * in_blocks * kh * kw * lanes)
    if parts > 1:
        tiling.set_loop("part", parts, 1)
    tiling.set_loop("group", ceil_div(out_blocks, unit_blocks), group)
    tiling.set_loop("column", in_blocks, column)
    tiling.set_loop("tap", kh, tap)
    tiling.set_loop("image", strips.groups, images)
    tiling.set_loop("row", strips.rows, rows)
    counts = tiling.counts
    if sum(count > 1 for count in counts.values()) > SEQUENCER_LOOPS:
        return None
    sweep = sweep_cycles(config, column * tap * kw * lanes + 1)
    moving = images * column * strip_bytes(
        config,
        lanes,
        _rows_in(op, rows, tap),
        strips.columns_in,
        strips.columns_in >= op.in_shape[2],
    )
    stationary = images * blocks * strip_bytes(
        config, lanes, rows, strips.columns, strips.columns >= width
    )
    moving, stationary = moving * (1 + wide[0]), stationary * (1 + wide[1])
    first = ceil_div(moving + stationary, config.bus_bytes)
    stored = m_tiles(config, blocks) * config.rows * column * tap * kw * lanes * 4
    loads = reloads(loops, counts, {"part", "column", "tap", "image", "row"}) * moving
    loads += reloads(loops, counts, {"part", "group", "image", "row"}) * stationary
    return estimate(
        config,
        tiling,
        counts["column"] * counts["tap"] * all_sweeps * sweep,
        loads,
        parts * out_blocks * in_blocks * kh * kw * lanes * lanes * 4,
        exposed=first + ceil_div(stored, config.bus_bytes),
    )


def strip_splits(lanes, batch, height, width):
    """(images, row ranges, column ranges) over the lanes, of product `lanes`: the splits with the
    fewest pixel groups, of these those with the most images first, then with the most rows."""
    splits = []
    images = lanes
    while images:
        rows = lanes // images
        while rows:
            columns = lanes // images // rows
            groups = ceil_div(batch, images) * ceil_div(height, rows) * ceil_div(width, columns)
            splits.append((groups, (images, rows, columns)))
            rows //= 2
        images //= 2
    fewest = min(groups for groups, _ in splits)
    return [split for groups, split in splits if groups == fewest]


def strip_split(config, op, batch):
    """(images, row ranges, column ranges) over the lanes for a weight gradient.

    The first of `strip_splits` (most images: its strips have the fewest halo pixels), unless its
    strips are so wide that only tiles of few channels fit, and another one is faster. Without a
    halo narrow strips cost nothing, and their first rows are loaded sooner.
    """
    spans = [(size - 1) * d + 1 for size, d in zip(op.kernel, op.dilation)]
    halo = any(span > step for span, step in zip(spans, op.stride))
    splits = strip_splits(config.lanes, batch, *op.out_shape[1:])
    best, cycles = splits[0], None
    for split in splits:
        try:
            tiling = weight_gradient_tilings(config, replace(op, split=split), batch)[0]
        except ValueError:  # not even one tile fits
            continue
        if cycles is None or tiling.cycles < (WORTH if halo else 1) * cycles:
            best, cycles = split, tiling.cycles
    return best
