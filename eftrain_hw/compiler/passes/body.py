"""What the tiled passes share: the body of a loop nest, row groups, slot flags, the drain."""

from dataclasses import replace

from ...array.commands import COMPUTE
from ...dma.commands import DESTINATIONS, LOAD, MODES
from ...sequencer.program_format import (
    ADD,
    LAST,
    LOOPS,
    OR_FIRST,
    OR_LAST,
    Command,
    Descriptor,
)
from ...vector.commands import LINE_BYTES
from ..tiling import m_tiles, unit_of

__all__ = [
    "ALL_LOOPS",
    "NO_LIMIT",
    "Body",
    "Groups",
    "accumulator_flags",
    "exponent_line",
    "line",
    "load_bias",
    "low_line",
    "wait_for",
]

ALL_LOOPS = (1 << LOOPS) - 1
NO_LIMIT = 65535


def line(tensor):
    """Line of a tensor's elements."""
    return tensor.address // LINE_BYTES


def exponent_line(tensor):
    """Line of a tensor's exponents; 0 where the format has none."""
    return tensor.exponent_address // LINE_BYTES if tensor.has_exponents else 0


def low_line(tensor, wide=True):
    """Line of a tensor's low digits; None where there are none, or they are not asked for."""
    return tensor.low_address // LINE_BYTES if wide and tensor.digits == 2 else None


def wait_for(load, engines):
    """The load's first iteration waits for what engines were given: "drain", "vector", None or a
    collection of these names."""
    engines = [engines] if isinstance(engines, str) else engines or ()
    for engine in sorted(engines):
        load.patch(OR_FIRST, f"wait_{engine}", ALL_LOOPS, 1)


class Body:
    """Commands of one tiled pass, with loop masks derived from the loops' names.

    `wide`: as ArrayPass.
    """

    def __init__(self, tiling, wide=(False, False)):
        self.tiling, self.wide = tiling, wide
        self._low = []  # (command, line) of those that low digits follow
        self.names = list(tiling.loops)
        if len(self.names) > LOOPS:  # a loop that runs once is none
            self.names = [name for name in self.names if tiling.counts[name] > 1]
        self.bit = {name: 1 << number for number, name in enumerate(self.names)}
        counts = [tiling.counts[name] for name in self.names]
        self.loops = counts + [1] * (LOOPS - len(counts))
        self.commands = []

    def inside(self, depends):
        """Mask of the loops inside the innermost one that an operand depends on."""
        inner = -1
        for position, name in enumerate(self.names):
            if name in depends and self.tiling.counts[name] > 1:
                inner = position
        return ALL_LOOPS & ~((1 << inner + 1) - 1)

    def mask(self, *names):
        return sum(self.bit.get(name, 0) for name in names)

    def add(self, layout, values, *, low=None, **conditions):
        """A command more; `low` is the line of the low digits that are to be moved as well."""
        command = Command(layout, values, **conditions)
        self.commands.append(command)
        if low is not None:
            self._low.append((command, low))
        return command

    def step(self, command, field, name, value):
        """The field advances by `value` with each iteration of loop `name`."""
        if self.tiling.counts.get(name, 1) > 1 and value:
            command.patch(ADD, field, self.bit[name], value)

    def last(self, command, field, name, value):
        """The field is `value` in the last iteration of loop `name`."""
        whole = command.values.get(field, 0)
        if self.tiling.counts[name] > 1 and value != whole:
            command.patch(LAST, field, self.bit[name], value)

    def moving_tile(self, place, blocks, size, tile, origin):
        """Load the moving operand of FP or BP: images x blocks x rows x columns, scattered.

        Parameters
        ----------
        place : Place
        blocks : int
            Channel blocks of a part, all of which a tile has where the pass adds up over more.
        size, tile : (int, int)
            Rows and columns of the map and of a tile.
        origin : (int, int)
            Row and column where the first tile starts.
        """
        full, last = self.tiling.full, self.tiling.last
        images, reduction = full["image"], min(full["reduction"], blocks)
        plane = size[0] * size[1]
        # maps of one pixel: the blocks of an image, or of all, lie side by side like columns
        flat = size == tile == (1, 1) and origin == (0, 0)
        joined = flat and self.tiling.counts["reduction"] == 1 and place.pitch == blocks
        load = self.add(
            LOAD,
            {
                "destination": DESTINATIONS["moving"],
                "mode": MODES["scatter"],
                "acquire": 1,
                "publish": 1,
                "base": line(place.root),
                "exponent_base": exponent_line(place.root),
                "vector": place.vector,
                "image_limit": NO_LIMIT,
                "images": 1 if joined else images,
                "image_stride": place.pitch,
                "blocks": 1 if flat else reduction,
                "block_stride": plane,
                "row": origin[0],
                "rows": tile[0],
                "height": size[0],
                "column": origin[1],
                "columns": images * blocks if joined else reduction if flat else tile[1],
                "width": images * blocks if joined else blocks if flat else size[1],
            },
            low=low_line(place.root, self.wide[0]),
            when_first=self.moving_inside,
        )
        if joined:
            self.last(load, "columns", "image", last["image"] * blocks)
        else:
            self.last(load, "images", "image", last["image"])
            self.last(load, "columns" if flat else "blocks", "reduction", last["reduction"])
        self.step(load, "vector", "part", blocks * plane)
        self.step(load, "vector", "image", images * place.pitch)
        self.step(load, "vector", "reduction", reduction * plane)
        return load

    def descriptor(self, tag):
        commands = []
        for command in self.commands:
            low = [line for owner, line in self._low if owner is command]
            commands += _with_low(command, low[0]) if low else [_told(command, self.wide)]
        for command in commands:
            command.settle(self.loops)
        return Descriptor(tag, self.loops, commands)


def _with_low(command, low):
    """A load or drain, and the same for the low digits: the first takes the slot or bank, the
    second hands it on."""
    first, last = ({"wide": 1}, {"wide": 1}) if command.layout is LOAD else ({}, {})
    done = "publish" if command.layout is LOAD else "release"
    return [
        replace(command, values=command.values | first | {done: 0}),
        replace(command, values=command.values | last | {"acquire": 0, "low": 1, "base": low}),
    ]


def _told(command, wide):
    """A computation that knows its slots are wide, unless it only starts sums."""
    idle = command.values.get("zero") and not command.values.get("ones")
    if command.layout is not COMPUTE or idle or not any(wide):
        return command
    flags = dict(zip(("moving_wide", "stationary_wide"), map(int, wide), strict=True))
    return replace(command, values=command.values | flags)


class Groups:
    """Output-row groups of a pass: blocks and m-tiles of whole and last groups."""

    def __init__(self, config, tiling, result_blocks):
        _, unit_blocks, _ = unit_of(config)
        self.step = tiling.full["group"] * unit_blocks
        self.blocks = min(self.step, result_blocks)
        self.last_blocks = result_blocks - (tiling.counts["group"] - 1) * self.step
        self.m_tiles = m_tiles(config, self.blocks)
        self.last_m_tiles = m_tiles(config, self.last_blocks)


def accumulator_flags(body, commands, reduction, *, acquire=True, moving=True):
    """The first command takes operands and a bank, the last one lets them go.

    `reduction` is the mask of the loops inside a bank; each iteration of "mode" starts other sums.
    Without `acquire` the bank has been taken by a command before them; without `moving` there is no
    moving operand.
    """
    operands = {"stationary": body.stationary_inside}
    if moving:
        operands = {"moving": body.moving_inside, **operands}
    first, last = commands[0], commands[-1]
    for name, inside in operands.items():
        first.patch(OR_FIRST, f"acquire_{name}", inside, 1)
    if acquire:
        first.patch(OR_FIRST, "acquire_accumulator", reduction, 1)
    for name, inside in operands.items():
        last.patch(OR_LAST, f"release_{name}", inside, 1)
    last.patch(OR_LAST, "release_accumulator", reduction, 1)
    for command in commands:
        command.patch(OR_FIRST, "init", reduction & ~body.mask("mode"), 1)


def load_bias(body, tensor, group, blocks):
    """Load the biases of a group of rows: before its weights, whose slot they take."""
    bias = body.add(
        LOAD,
        {
            "destination": DESTINATIONS["bias"],
            "acquire": 1,
            "base": line(tensor),
            "image_limit": NO_LIMIT,
            "images": 1,
            "blocks": 1,
            "rows": 1,
            "height": 1,
            "columns": group.blocks,
            "width": group.blocks,
        },
        when_first=body.stationary_inside,
    )
    body.last(bias, "columns", "group", group.last_blocks)
    body.step(bias, "vector", "part", blocks)
    body.step(bias, "vector", "group", group.step)
