"""What the tiled passes share: the body of a loop nest, row groups, slot flags, the drain."""

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
from ...vector.commands import DRAIN, LINE_BYTES
from ..tiling import m_tiles, unit_of

__all__ = [
    "ALL_LOOPS",
    "NO_LIMIT",
    "Body",
    "Groups",
    "accumulator_flags",
    "drain_tile",
    "exponent_line",
    "is_flat",
    "line",
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


def wait_for(load, engine):
    """The load's first iteration waits for what an engine ("drain", "vector", None) was given."""
    if engine is not None:
        load.patch(OR_FIRST, f"wait_{engine}", ALL_LOOPS, 1)


class Body:
    """Commands of one tiled pass, with loop masks derived from the loops' names."""

    def __init__(self, tiling):
        self.tiling = tiling
        names = tiling.loops + ["none"] * (LOOPS - len(tiling.loops))
        self.bit = {name: 1 << number for number, name in enumerate(names) if name != "none"}
        self.loops = [tiling.counts.get(name, 1) for name in names]
        self.commands = []

    def inside(self, depends):
        """Mask of the loops inside the innermost one that an operand depends on."""
        inner = -1
        for position, name in enumerate(self.tiling.loops):
            if name in depends and self.tiling.counts[name] > 1:
                inner = position
        return ALL_LOOPS & ~((1 << inner + 1) - 1)

    def mask(self, *names):
        return sum(self.bit[name] for name in names)

    def add(self, layout, values, **conditions):
        command = Command(layout, values, **conditions)
        self.commands.append(command)
        return command

    def step(self, command, field, name, value):
        """The field advances by `value` with each iteration of loop `name`."""
        if self.tiling.counts[name] > 1 and value:
            command.patch(ADD, field, self.bit[name], value)

    def last(self, command, field, name, value):
        """The field is `value` in the last iteration of loop `name`."""
        whole = command.values.get(field, 0)
        if self.tiling.counts[name] > 1 and value != whole:
            command.patch(LAST, field, self.bit[name], value)

    def moving_tile(self, tensor, blocks, size, tile, origin):
        """Load the moving operand of FP or BP: images x blocks x rows x columns, scattered.

        Parameters
        ----------
        tensor : TensorSpec
        blocks : int
            Channel blocks of the tensor.
        size, tile : (int, int)
            Rows and columns of the map and of a tile.
        origin : (int, int)
            Row and column where the first tile starts.
        """
        full, last = self.tiling.full, self.tiling.last
        images, reduction = full["image"], full["reduction"]
        plane = size[0] * size[1]
        # maps of one pixel: the blocks of an image, or of all, lie side by side like columns
        flat = size == tile == (1, 1) and origin == (0, 0)
        joined = flat and self.tiling.counts["reduction"] == 1
        load = self.add(
            LOAD,
            {
                "destination": DESTINATIONS["moving"],
                "mode": MODES["scatter"],
                "acquire": 1,
                "publish": 1,
                "base": line(tensor),
                "exponent_base": exponent_line(tensor),
                "image_limit": NO_LIMIT,
                "images": 1 if joined else images,
                "image_stride": blocks * plane,
                "blocks": 1 if flat else reduction,
                "block_stride": plane,
                "row": origin[0],
                "rows": tile[0],
                "height": size[0],
                "column": origin[1],
                "columns": images * blocks if joined else reduction if flat else tile[1],
                "width": images * blocks if joined else blocks if flat else size[1],
            },
            when_first=self.moving_inside,
        )
        if joined:
            self.last(load, "columns", "image", last["image"] * blocks)
        else:
            self.last(load, "images", "image", last["image"])
            self.last(load, "columns" if flat else "blocks", "reduction", last["reduction"])
        self.step(load, "vector", "image", images * blocks * plane)
        self.step(load, "vector", "reduction", reduction * plane)
        return load

    def descriptor(self, tag):
        return Descriptor(tag, self.loops, self.commands)


class Groups:
    """Output-row groups of a pass: blocks and m-tiles of whole and last groups."""

    def __init__(self, config, tiling, result_blocks):
        _, unit_blocks, _ = unit_of(config)
        self.step = tiling.full["group"] * unit_blocks
        self.blocks = min(self.step, result_blocks)
        self.last_blocks = result_blocks - (tiling.counts["group"] - 1) * self.step
        self.m_tiles = m_tiles(config, self.blocks)
        self.last_m_tiles = m_tiles(config, self.last_blocks)


def accumulator_flags(body, commands, reduction, *, acquire=True):
    """The first command takes operands and a bank, the last one lets them go.

    Without `acquire` the bank has been taken by a command before them.
    """
    moving, stationary = body.moving_inside, body.stationary_inside
    first, last = commands[0], commands[-1]
    first.patch(OR_FIRST, "acquire_moving", moving, 1)
    first.patch(OR_FIRST, "acquire_stationary", stationary, 1)
    if acquire:
        first.patch(OR_FIRST, "acquire_accumulator", reduction, 1)
    last.patch(OR_LAST, "release_moving", moving, 1)
    last.patch(OR_LAST, "release_stationary", stationary, 1)
    last.patch(OR_LAST, "release_accumulator", reduction, 1)
    for command in commands:
        command.patch(OR_FIRST, "init", reduction, 1)


def is_flat(config, height, width):
    """Whether the blocks of an image lie side by side, so that they may follow each other.

    Then the accumulator positions of a tile are (image, m-tile), not (m-tile, image), and one run
    stores all blocks of an image instead of one run a vector.
    """
    return height == width == 1 and config.rows == config.lanes


def drain_tile(body, config, tensor, group, size, relu, raw, mask=None):
    """Store a finished tile of images x rows x all columns of some blocks.

    Parameters
    ----------
    body : Body
    config : AcceleratorConfig
    tensor, mask : TensorSpec
    group : Groups
    size : (int, int, int)
        Blocks, height and width of the tensor.
    relu, raw : bool
    """
    full, last = body.tiling.full, body.tiling.last
    blocks, height, width = size
    images, rows = full["image"], full["row"]
    flat = is_flat(config, height, width)
    joined = flat and body.tiling.counts["group"] == 1  # all vectors of the tile are one run
    shape = {
        "blocks": group.blocks,
        "images": images,
        "run": rows * width,
        "accumulator_image_step": rows * width,
        "accumulator_m_step": images * rows * width,
    }
    if flat:
        shape = {
            "blocks": 1,
            "images": 1 if joined else images,
            "run": images * blocks if joined else group.blocks,
            "accumulator_image_step": group.m_tiles,
            "accumulator_m_step": 1,
        }
    drain = body.add(
        DRAIN,
        {
            "acquire": 1,
            "release": 1,
            "relu": int(relu),
            "raw": int(raw),
            "mask": int(mask is not None),
            **shape,
            "base": line(tensor),
            "exponent_base": exponent_line(tensor),
            "mask_base": line(mask) if mask is not None else 0,
            "image_stride": blocks * height * width,
            "block_stride": height * width,
        },
        when_last=body.mask("reduction"),
    )
    if joined:
        body.last(drain, "run", "image", last["image"] * blocks)
    elif flat:
        body.last(drain, "run", "group", group.last_blocks)
        body.last(drain, "accumulator_image_step", "group", group.last_m_tiles)
        body.last(drain, "images", "image", last["image"])
    else:
        body.last(drain, "blocks", "group", group.last_blocks)
        body.last(drain, "images", "image", last["image"])
        body.last(drain, "run", "row", last["row"] * width)
    body.step(drain, "vector", "group", group.step * height * width)
    body.step(drain, "vector", "image", images * blocks * height * width)
    body.step(drain, "vector", "row", rows * width)
    return drain
