"""What a choice of tiles for a pass is, and what it roughly costs."""

from dataclasses import dataclass, field
from math import lcm, prod

__all__ = [
    "SPLITS",
    "Tiling",
    "ceil_div",
    "capacity",
    "cuts",
    "estimate",
    "m_tiles",
    "pairs_of",
    "ranked",
    "reloads",
    "sweep_cycles",
    "unit_of",
    "vector_cost",
    "wide_of",
]

ISSUE_CYCLES = 250  # that the sequencer takes for the commands of a tile
SPLITS = 24  # how finely a dimension is cut in the search


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
        An estimate.
    bound : int
        Cycles that the pass takes however it is tiled: of an array that never waits.
    """

    loops: list
    counts: dict = field(default_factory=dict)
    full: dict = field(default_factory=dict)
    last: dict = field(default_factory=dict)
    cycles: int = 0
    load_bytes: int = 0
    store_bytes: int = 0
    bound: int = 0

    def set_loop(self, name, total, size):
        self.full[name] = size
        self.counts[name] = ceil_div(total, size)
        self.last[name] = total - (self.counts[name] - 1) * size

    @property
    def tiles(self):
        """Iterations of the loop nest."""
        return prod(self.counts.values())

    @property
    def dram_bytes(self):
        """Estimated traffic."""
        return self.load_bytes + self.store_bytes


def unit_of(config):
    """Channels, blocks and m-tiles of the smallest group of output rows."""
    channels = lcm(config.rows, config.lanes)
    return channels, channels // config.lanes, channels // config.rows


def m_tiles(config, blocks):
    return ceil_div(blocks * config.lanes, config.rows)


def capacity(config, wide):
    """Elements of a lane in a slot of the moving and of the stationary buffer: half as many of two
    digits."""
    slots = config.moving_elements, config.stationary_elements
    return tuple(size // (1 + both) for size, both in zip(slots, wide, strict=True))


def wide_of(op, name):
    """Whether the (moving, stationary) operands have low digits: of an ArrayPass, or of a pass of a
    ConvOp by its name."""
    if isinstance(op.wide, tuple):
        return op.wide
    return (op.wide or {}).get(name, (False, False))


def pairs_of(wide):
    """Pairs of digits that are multiplied, one a sweep."""
    return 1 + sum(wide)


def vector_cost(config):
    """Bytes that a vector takes on the bus, exponent included."""
    return config.vector_bytes + config.has_exponents


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


def sweep_cycles(config, positions, accumulate_latency=16):
    return max(positions, config.rows, accumulate_latency)


def estimate(config, tiling, compute, load_bytes, store_bytes, *, drain=0, late=0, exposed=None):
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
    exposed : int or None
        Cycles of the first load and the last store; None: the traffic of one tile.
    """
    tiles = tiling.tiles
    memory = ceil_div(load_bytes + store_bytes, config.bus_bytes)
    tiling.load_bytes, tiling.store_bytes = load_bytes, store_bytes
    edge = ceil_div(memory, tiles) if exposed is None else exposed
    busiest = max(compute + late, memory, drain, tiles * ISSUE_CYCLES)
    tiling.cycles = busiest + edge + 150
    return tiling


def ranked(candidates, what):
    """The candidates, the cheapest by their estimates first; ValueError where there is none."""
    found = sorted(candidates, key=lambda tiling: (tiling.cycles, tiling.load_bytes))
    if not found:
        raise ValueError(f"{what}: the configuration can't hold one tile")
    return found
