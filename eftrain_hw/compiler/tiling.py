"""Tiles of a convolution pass: what fits on chip, and what each choice costs."""

from dataclasses import dataclass, field, replace
from math import lcm, prod

__all__ = [
    "Tiling",
    "backward_phases",
    "strip_split",
    "tile_backward",
    "tile_forward",
    "tile_weight_gradient",
]

ISSUE_CYCLES = 300  # that the sequencer takes for the commands of a tile
DRAIN_GAP = 8  # cycles between the drains of two tiles
LOAD_LATENCY = 120  # cycles from a free slot to data in the array
SPLITS = 24  # how finely a dimension is cut in the search
WORTH = 0.98  # of the cycles, for strips with more halo


def ceil_div(value, by):
    return -(-value // by)


def cuts(total, most=SPLITS):
    """Tile sizes worth trying: the even splits of `total` into 1, 2, 3, .. parts."""
    sizes = {ceil_div(total, parts) for parts in range(1, min(total, most) + 1)}
    sizes.update(size for size in (1, 2, 4, 8) if size < total)
    return sorted(sizes, reverse=True)


@dataclass
class Tiling:
    """A choice of tiles for one pass.

    Members
    -------
    loops : list of str
        Tile loops, outermost first: "group" (of output rows), "image", "row", "reduction" (input
        blocks), and in the weight gradient "column" (input blocks) and "tap" (kernel rows).
    counts : dict
        Tiles of each loop.
    full, last : dict
        Size of a whole and of the last tile in the loop's own unit (m-units for "group").
    cycles, load_bytes, store_bytes : int
        The model's estimate.
    """

    loops: list
    counts: dict = field(default_factory=dict)
    full: dict = field(default_factory=dict)
    last: dict = field(default_factory=dict)
    cycles: int = 0
    load_bytes: int = 0
    store_bytes: int = 0
    shape: dict = field(default_factory=dict)

    def set_loop(self, name, total, size):
        self.full[name] = size
        self.counts[name] = ceil_div(total, size)
        self.last[name] = total - (self.counts[name] - 1) * size


def unit_of(config):
    """Channels, blocks and m-tiles of the smallest group of output rows."""
    channels = lcm(config.rows, config.lanes)
    return channels, channels // config.lanes, channels // config.rows


def m_tiles(config, blocks):
    return ceil_div(blocks * config.lanes, config.rows)


def vector_cost(config):
    """Bytes that a vector takes on the bus, exponent included."""
    return config.vector_bytes + config.has_exponents


def strip_bytes(config, lanes, rows, columns, whole_rows):
    """Bytes on the bus for rows x columns vectors of each lane, exponents by whole bus beats."""
    vectors = lanes * rows * columns
    if not config.has_exponents:
        return vectors * config.vector_bytes
    runs = lanes if whole_rows else lanes * rows
    return vectors * config.vector_bytes + vectors + runs * (config.bus_bytes - 1)


def reloads(loops, counts, depends):
    """How often an operand is loaded that depends on the loops `depends`."""
    inner = 0
    for position, loop in enumerate(loops):
        if loop in depends and counts[loop] > 1:
            inner = position + 1
    times = 1
    for loop in loops[:inner]:
        times *= counts[loop]
    return times


def backward_phases(kernel, stride, padding, size):
    """The stride phases of one axis in BP.

    Yields (offset, first tap, taps, first dY index of tap 0, positions) for pixels
    offset, offset + stride, ..; taps may be 0.
    """
    for offset in range(min(stride, size)):
        first = (offset + padding) % stride
        taps = ceil_div(kernel - first, stride) if first < kernel else 0
        yield offset, first, taps, (offset + padding) // stride, ceil_div(size - offset, stride)


def sweep_cycles(config, positions, accumulate_latency=16):
    return max(positions, config.rows, accumulate_latency)


def estimate(config, tiling, compute, load_bytes, store_bytes, drain=0, late=0):
    """Fill in the estimate: the engines overlap, the first load and the last store do not.

    Parameters
    ----------
    config : AcceleratorConfig
    tiling : Tiling
    compute, drain : int
        Cycles of the array and of the drain.
    load_bytes, store_bytes : int
    late : int
        Cycles in which the array waits for tiles that could not be asked for earlier.
    """
    tiles = prod(tiling.counts.values())
    memory = ceil_div(load_bytes + store_bytes, config.bus_bytes)
    tiling.load_bytes, tiling.store_bytes = load_bytes, store_bytes
    edge = ceil_div(memory, tiles)
    busiest = max(compute + tiles * 2 + late, memory, drain, tiles * ISSUE_CYCLES)
    tiling.cycles = busiest + edge + 150
    return tiling


def lateness(config, tiling, compute, moving, store_bytes):
    """Cycles that the array waits for `moving` bytes of a tile that stays while the groups pass.

    It is asked for behind the stationary operand of the next tile's first group, which waits for
    a slot until two groups are left: those hide the load, which shares the bus with the drain.
    """
    counts = tiling.counts
    if tiling.loops[0] == "group" or counts["group"] == 1 or counts["reduction"] > 1:
        return 0
    step = compute / prod(counts.values())
    share = min(0.5, store_bytes / config.bus_bytes / compute)
    wait = moving / config.bus_bytes / (1 - share) - 2 * step + LOAD_LATENCY
    return max(0, int(wait)) * counts["image"] * counts["row"]


def choose(candidates, what):
    """The cheapest candidate; ValueError where there is none."""
    best = min(candidates, key=lambda tiling: (tiling.cycles, tiling.load_bytes), default=None)
    if best is None:
        raise ValueError(f"{what}: the configuration can't hold one tile")
    return best


def tile_forward(config, op, batch):
    """Tiles of FP. See `_tile_output` for the rules."""
    kh, kw = op.kernel
    out_blocks, height, width = op.out_shape
    columns = (width - 1) * op.stride[1] + kw

    def rows_in(rows):
        return (rows - 1) * op.stride[0] + kh

    def compute(images, rows, in_blocks):
        return kh * kw * in_blocks * sweep_cycles(config, images * rows * width)

    return _tile_output(
        config,
        op,
        batch,
        op.in_shape[0],
        out_blocks,
        height,
        width,
        columns,
        rows_in,
        compute,
        1,
        "forward",
    )


def tile_backward(config, op, batch):
    """Tiles of BP: whole periods of the stride, so that every tile has the same phases."""
    kh, kw = op.kernel
    sh, sw = op.stride
    in_blocks, height, width = op.in_shape
    columns = backward_extent(kw, sw, op.padding[1], width)[1]

    def rows_in(rows):
        return backward_extent(kh, sh, op.padding[0], rows)[1]

    def compute(images, rows, out_blocks):
        cycles = 0
        for _, _, row_taps, _, row_count in backward_phases(kh, sh, op.padding[0], rows):
            for _, _, column_taps, _, column_count in backward_phases(kw, sw, op.padding[1], width):
                taps = max(1, row_taps * column_taps * out_blocks)
                cycles += taps * sweep_cycles(config, images * row_count * column_count)
        return cycles

    return _tile_output(
        config,
        op,
        batch,
        op.out_shape[0],
        in_blocks,
        height,
        width,
        columns,
        rows_in,
        compute,
        sh,
        "backward",
    )


def backward_extent(kernel, stride, padding, size):
    """(lowest dY index, number of them) that `size` dX pixels from 0 on need."""
    low, high = 0, 0
    for _, _, taps, origin, positions in backward_phases(kernel, stride, padding, size):
        if taps:
            low = min(low, origin - taps + 1)
            high = max(high, origin + positions - 1)
    return low, high - low + 1


def _tile_output(
    config,
    op,
    batch,
    reduce_blocks,
    result_blocks,
    height,
    width,
    columns,
    rows_in,
    compute,
    row_step,
    what,
):
    """FP and BP: a tile is images x rows x all columns of some output blocks.

    Either the stationary operand stays while the batch passes ("group" outermost) or the moving
    one stays while the groups pass ("group" inside). A tile has several images only where it has
    whole maps.
    """
    _, unit_blocks, _ = unit_of(config)
    units = ceil_div(result_blocks, unit_blocks)
    taps = op.kernel[0] * op.kernel[1]
    per_block = taps * config.lanes

    def candidates():
        for rows in {ceil_div(size, row_step) * row_step for size in cuts(height)}:
            rows = min(rows, ceil_div(height, row_step) * row_step)
            real_rows = min(rows, height)
            plane = rows_in(real_rows) * columns
            for images in cuts(batch) if real_rows == height else [1]:
                positions = images * real_rows * width
                if positions > config.accumulator_depth:
                    continue
                for reduction in cuts(reduce_blocks):
                    if images * reduction * plane > config.moving_elements:
                        continue
                    for group in cuts(units):
                        blocks = min(group * unit_blocks, result_blocks)
                        if blocks * reduction * per_block > config.stationary_elements:
                            continue
                        if m_tiles(config, blocks) * positions > config.accumulator_depth:
                            continue
                        if blocks * config.lanes > config.bias_depth:
                            continue
                        yield rows, real_rows, images, reduction, group, plane

    def priced():
        for rows, real_rows, images, reduction, group, plane in candidates():
            for loops in (
                ["group", "image", "row", "reduction"],
                ["image", "row", "group", "reduction"],
            ):
                tiling = Tiling(loops)
                tiling.set_loop("group", units, group)
                tiling.set_loop("image", batch, images)
                tiling.set_loop("row", height, rows if rows < height else height)
                tiling.set_loop("reduction", reduce_blocks, reduction)
                counts = tiling.counts
                total_m = m_tiles(config, result_blocks)
                cycles = (
                    total_m
                    * counts["image"]
                    * counts["row"]
                    * compute(images, real_rows, reduce_blocks)
                )
                vectors = (
                    reloads(loops, counts, {"image", "row", "reduction"})
                    * images
                    * reduction
                    * min(plane, rows_in(real_rows) * columns)
                )
                weights = (
                    reloads(loops, counts, {"group", "reduction"})
                    * min(group * unit_blocks, result_blocks)
                    * reduction
                    * per_block
                )
                stores = (
                    batch
                    * result_blocks
                    * height
                    * width
                    * (2 if what == "backward" and op.mask else 1)
                )
                tile = images * reduction * plane * vector_cost(config)
                stored = stores * vector_cost(config)
                drained = batch * result_blocks * height * width
                drains = counts["group"] * counts["image"] * counts["row"]
                yield estimate(
                    config,
                    tiling,
                    cycles,
                    (vectors + weights) * vector_cost(config),
                    stored,
                    drained * config.lanes // config.drain_lanes + drains * DRAIN_GAP,
                    lateness(config, tiling, cycles, tile, stored),
                )

    return choose(priced(), f"{op.name} {what}")


def tile_weight_gradient(config, op, batch):
    """Tiles of WU: strips of dY stationary, strips of X moving, sums kept over the whole batch."""
    kh, kw = op.kernel
    sh, sw = op.stride
    lanes = config.lanes
    out_blocks, height, width = op.out_shape
    in_blocks = op.in_shape[0]
    split_images, split_rows, split_columns = op.split
    groups = ceil_div(batch, split_images)
    strip_rows = ceil_div(height, split_rows)
    strip_columns = ceil_div(width, split_columns)
    columns = (strip_columns - 1) * sw + kw
    _, unit_blocks, _ = unit_of(config)
    units = ceil_div(out_blocks, unit_blocks)
    loops = ["group", "column", "tap", "image", "row"]

    def priced():
        for tap in cuts(kh):
            for column in cuts(in_blocks):
                positions = column * tap * kw * lanes
                for group in cuts(units):
                    blocks = min(group * unit_blocks, out_blocks)
                    tiles = m_tiles(config, blocks)
                    if tiles * (positions + 1) > config.accumulator_depth:
                        continue
                    for rows in cuts(strip_rows):
                        rows_in = (rows - 1) * sh + tap
                        for images in cuts(groups) if rows == strip_rows else [1]:
                            if images * column * rows_in * columns * lanes > config.moving_elements:
                                continue
                            if (
                                images * blocks * rows * strip_columns * lanes
                                > config.stationary_elements
                            ):
                                continue
                            tiling = Tiling(loops)
                            tiling.set_loop("group", units, group)
                            tiling.set_loop("column", in_blocks, column)
                            tiling.set_loop("tap", kh, tap)
                            tiling.set_loop("image", groups, images)
                            tiling.set_loop("row", strip_rows, rows)
                            counts = tiling.counts
                            sweeps = groups * strip_rows * strip_columns
                            cycles = (
                                m_tiles(config, out_blocks)
                                * counts["column"]
                                * counts["tap"]
                                * sweeps
                                * sweep_cycles(config, positions + 1)
                            )
                            moving = reloads(loops, counts, {"column", "tap", "image", "row"})
                            moving *= images * column * strip_bytes(
                                config, lanes, rows_in, columns, columns >= op.in_shape[2]
                            )
                            stationary = reloads(loops, counts, {"group", "image", "row"})
                            stationary *= images * blocks * strip_bytes(
                                config, lanes, rows, strip_columns, strip_columns >= width
                            )
                            stores = out_blocks * in_blocks * kh * kw * lanes * lanes * 4
                            yield estimate(
                                config,
                                tiling,
                                cycles,
                                moving + stationary,
                                stores,
                            )

    return choose(priced(), f"{op.name} weight gradient")


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
    strips are so wide that only tiles of few channels fit, and another one is faster.
    """
    splits = strip_splits(config.lanes, batch, *op.out_shape[1:])
    best, cycles = splits[0], None
    for split in splits:
        try:
            tiling = tile_weight_gradient(config, replace(op, split=split), batch)
        except ValueError:  # not even one tile fits
            continue
        if cycles is None or tiling.cycles < WORTH * cycles:
            best, cycles = split, tiling.cycles
    return best
