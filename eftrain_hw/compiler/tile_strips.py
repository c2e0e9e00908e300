"""Tiles of WU: strips of dY stationary, strips of X moving, sums kept over the whole batch."""

from dataclasses import replace

from .tiling import (
    Tiling,
    ceil_div,
    cuts,
    estimate,
    m_tiles,
    ranked,
    reloads,
    sweep_cycles,
    unit_of,
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
        self.columns_in = (self.columns - 1) * op.stride[1] + op.kernel[1]

    @property
    def sweeps(self):
        """Of an m-tile."""
        return self.groups * self.rows * self.columns


def weight_gradient_tilings(config, op, batch):
    """Tilings of WU, the cheapest by their estimates first."""
    strips = _Strips(op, batch)
    found = (_priced(config, op, strips, *sizes) for sizes in _sizes(config, op, strips))
    return ranked(found, f"{op.name} weight gradient")


def _sizes(config, op, strips):
    """(taps, columns, group, rows, images) of the tiles that fit on chip."""
    lanes = config.lanes
    kh, kw = op.kernel
    _, unit_blocks, _ = unit_of(config)
    for tap in cuts(kh):
        for column in cuts(op.in_shape[0]):
            positions = column * tap * kw * lanes
            for group in cuts(ceil_div(op.out_shape[0], unit_blocks)):
                blocks = min(group * unit_blocks, op.out_shape[0])
                if m_tiles(config, blocks) * (positions + 1) > config.accumulator_depth:
                    continue
                for rows in cuts(strips.rows):
                    plane = ((rows - 1) * op.stride[0] + tap) * strips.columns_in
                    for images in cuts(strips.groups) if rows == strips.rows else [1]:
                        moving = images * column * plane * lanes
                        stationary = images * blocks * rows * strips.columns * lanes
                        if (
                            moving <= config.moving_elements
                            and stationary <= config.stationary_elements
                        ):
                            yield tap, column, group, rows, images


def _priced(config, op, strips, tap, column, group, rows, images):
    lanes = config.lanes
    kh, kw = op.kernel
    out_blocks, _, width = op.out_shape
    in_blocks = op.in_shape[0]
    _, unit_blocks, _ = unit_of(config)
    blocks = min(group * unit_blocks, out_blocks)
    all_sweeps = m_tiles(config, out_blocks) * strips.sweeps
    tiling = Tiling(LOOPS, bound=all_sweeps * in_blocks * kh * kw * lanes)
    tiling.set_loop("group", ceil_div(out_blocks, unit_blocks), group)
    tiling.set_loop("column", in_blocks, column)
    tiling.set_loop("tap", kh, tap)
    tiling.set_loop("image", strips.groups, images)
    tiling.set_loop("row", strips.rows, rows)
    counts = tiling.counts
    sweep = sweep_cycles(config, column * tap * kw * lanes + 1)
    moving = images * column * strip_bytes(
        config,
        lanes,
        (rows - 1) * op.stride[0] + tap,
        strips.columns_in,
        strips.columns_in >= op.in_shape[2],
    )
    stationary = images * blocks * strip_bytes(
        config, lanes, rows, strips.columns, strips.columns >= width
    )
    first = ceil_div(moving + stationary, config.bus_bytes)
    stored = m_tiles(config, blocks) * config.rows * column * tap * kw * lanes * 4
    loads = reloads(LOOPS, counts, {"column", "tap", "image", "row"}) * moving
    loads += reloads(LOOPS, counts, {"group", "image", "row"}) * stationary
    return estimate(
        config,
        tiling,
        counts["column"] * counts["tap"] * all_sweeps * sweep,
        loads,
        out_blocks * in_blocks * kh * kw * lanes * lanes * 4,
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
    halo = any(size > step for size, step in zip(op.kernel, op.stride))
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
