"""A weight gradient's last bank in parts: they are stored while the array works on those behind."""

from itertools import product
from typing import NamedTuple

from ...sequencer.program_format import ADD, LAST, Command
from ..tiling import unit_of
from ..timing.constants import UPDATE_SPACING
from .body import ALL_LOOPS

__all__ = ["Part", "compute_parts", "drain_parts", "pace_of", "parts_of"]

MOST = 8  # parts: each is a command in every tile
SHORT = 100  # cycles of the drain from which on a part is small enough
COMMAND, OTHERS = 60, 150  # cycles that the sequencer takes for a part, and for a tile besides
SLOWEST, ROOM = 4, 0.6  # pace; share of the cycles until the next bank that a drain may take


class Part(NamedTuple):
    """Some sums of a bank: a unit of m-tiles, an input block, a kernel row, one of its columns.

    Each is a number, or None for all of them.
    """

    unit: int | None
    block: int | None
    row: int | None
    column: int | None

    @property
    def starts(self):
        """Whether it has the first sums of its rows of the array: then their biases too."""
        return not self.block and not self.row and not self.column


def parts_of(config, tiling, group, kernel_columns, sweeps):
    """The parts of a bank, `sweeps` sweeps of each m-tile a tile; one where more are no use.
    """
    _, unit_blocks, _ = unit_of(config)
    last = tiling.last
    sizes = {
        "unit": group.last_blocks // unit_blocks if group.last_blocks % unit_blocks == 0 else 1,
        "block": last["column"],
        "row": last["tap"],
        "column": kernel_columns,
    }
    positions = last["column"] * last["tap"] * kernel_columns * config.lanes
    drain = group.last_blocks * positions * max(
        config.lanes // config.drain_lanes, 4 * config.lanes // config.bus_bytes
    )
    work = group.last_m_tiles * positions * sweeps
    cut, count = dict.fromkeys(sizes, 1), 1
    for name, size in sizes.items():
        more = count * size
        if name != "unit":
            positions //= size
        if size == 1:
            continue
        if (
            drain <= SHORT * count
            or more > MOST
            or work < COMMAND * more + OTHERS
            or positions < max(config.rows, UPDATE_SPACING)
        ):
            break
        cut[name], count = size, more
    ranges = [range(n) if n > 1 else [None] for n in cut.values()]
    return [Part(*place) for place in product(*ranges)]


def compute_parts(config, compute, parts):
    """The commands of the last tile, one a part; the given one is for all tiles but that.

    Parameters
    ----------
    compute : Command
        For all of a tile.
    parts : list of Part
    """
    if len(parts) == 1:
        return []
    _, unit_blocks, unit_tiles = unit_of(config)
    layout, whole, commands = compute.layout, compute.values, []
    compute.not_last = True
    ones = layout.bits_of("ones", 1)
    for part in parts:
        base = (part.unit or 0) * unit_tiles * whole["accumulator_m_step"]
        moving, cut = 0, {}
        for number, place in enumerate(part[1:]):
            if place is not None:
                base += place * whole[f"accumulator_inner{number}"]
                moving += place * whole[f"moving_inner{number}"]
                cut[f"inner{number}"] = 1
        if part.unit is not None:
            cut["m_tiles"] = unit_tiles
        values = {
            "accumulator_base": base,
            "moving_base": moving,
            "stationary_base": (part.unit or 0) * unit_blocks * whole["stationary_block_step"],
            "part": 1,
        }
        words = {layout.place(field)[0] for field in cut}
        kept = [patch for patch in compute.patches if patch.word not in words]
        if not part.starts:
            kept = [patch for patch in kept if patch.word or patch.value != ones]
        commands.append(
            Command(layout, whole | values | cut, when_last=ALL_LOOPS, patches=kept)
        )
    return commands


def drain_parts(config, body, drain, parts, pace):
    """The commands that store the last bank, one a part; the given one is for the other banks.

    Parameters
    ----------
    config : AcceleratorConfig
    body : Body
    drain : Command
        For all of a bank, with its patches; takes and gives back the bank.
    parts : list of Part
    pace : int
        Of the other banks.
    """
    if len(parts) == 1 and not pace:
        return []
    _, unit_blocks, unit_tiles = unit_of(config)
    layout, whole = drain.layout, dict(drain.values)
    ends = {patch.word: patch.value for patch in drain.patches if patch.kind == LAST}
    whole |= {
        name: ends.get(layout.place(name)[0], whole[name]) for name in ("blocks", "images", "run")
    }
    word = layout.place("vector")[0]
    vector = sum(
        patch.value * (body.loops[patch.loops.bit_length() - 1] - 1)
        for patch in drain.patches
        if patch.kind == ADD and patch.word == word
    )
    drain.values["pace"], drain.not_last = pace, True
    if len(parts) == 1:
        return [Command(layout, whole | {"vector": vector}, when_last=ALL_LOOPS)]
    row = whole["run"] // body.tiling.last["tap"]
    commands = []
    for part in parts:
        unit, block = part.unit or 0, part.block or 0
        inside = (part.row or 0) * row + (part.column or 0) * config.lanes
        place = unit * unit_tiles * whole["accumulator_m_step"]
        place += block * whole["accumulator_image_step"] + inside
        at = vector + unit * unit_blocks * whole["block_stride"]
        at += block * whole["image_stride"] + inside
        size = {"accumulator_base": place, "vector": at}
        if part.unit is not None:
            size["blocks"] = unit_blocks
        if part.block is not None:
            size["images"] = 1
        if part.row is not None:
            size["run"] = row
        if part.column is not None:
            size["run"] = config.lanes
        flags = {"acquire": 0, "part": 1, "release": int(part is parts[-1])}
        commands.append(Command(layout, whole | flags | size, when_last=ALL_LOOPS))
    return commands


def pace_of(config, drain, cycles):
    """The slowest pace of a drain that takes not much more than half of so many cycles."""
    values = drain.values
    groups = values["blocks"] * values["images"] * values["run"]
    groups *= config.lanes // config.drain_lanes
    natural = max(1, 4 * config.drain_lanes // config.bus_bytes)
    pace = 0
    while pace < SLOWEST and groups << pace + 1 <= ROOM * cycles:
        pace += 1
    return pace if 1 << pace > natural else 0
