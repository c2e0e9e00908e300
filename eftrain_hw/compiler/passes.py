"""Descriptors of every operation and pass: the tile loops, and the commands of their body."""

from math import prod

from ..array.commands import COMPUTE
from ..dma.commands import DESTINATIONS, LOAD, MODES
from ..sequencer.program_format import (
    ADD,
    LAST,
    LOOPS,
    OR_FIRST,
    OR_LAST,
    Command,
    Descriptor,
)
from ..streams.command import NOP
from ..vector.commands import DRAIN, LINE_BYTES, LOSS, POOL_BACKWARD, POOL_FORWARD, UPDATE
from . import tiling as tiles
from .tiling import backward_extent, backward_phases, m_tiles, unit_of

__all__ = [
    "backward_descriptor",
    "forward_descriptor",
    "loss_descriptor",
    "pool_backward_descriptor",
    "pool_forward_descriptor",
    "update_descriptor",
    "weight_gradient_descriptor",
]

ALL_LOOPS = (1 << LOOPS) - 1
NO_LIMIT = 65535


def line(tensor):
    """Line of a tensor's elements."""
    return tensor.address // LINE_BYTES


def exponent_line(tensor):
    """Line of a tensor's exponents; 0 where the format has none."""
    return tensor.exponent_address // LINE_BYTES if tensor.has_exponents else 0


def fence():
    """Wait, once a descriptor, for all that came before."""
    return Command(NOP, {}, when_first=ALL_LOOPS, fence=True)


class _Body:
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

    def descriptor(self, tag):
        return Descriptor(tag, self.loops, self.commands)


class _Groups:
    """Output-row groups of a pass: blocks and m-tiles of whole and last groups."""

    def __init__(self, config, tiling, result_blocks):
        _, unit_blocks, _ = unit_of(config)
        self.step = tiling.full["group"] * unit_blocks
        self.blocks = min(self.step, result_blocks)
        self.last_blocks = result_blocks - (tiling.counts["group"] - 1) * self.step
        self.m_tiles = m_tiles(config, self.blocks)
        self.last_m_tiles = m_tiles(config, self.last_blocks)


def _accumulator_flags(body, commands, reduction):
    """The first command takes operands and a bank, the last one lets them go."""
    moving, stationary = body.moving_inside, body.stationary_inside
    first, last = commands[0], commands[-1]
    first.patch(OR_FIRST, "acquire_moving", moving, 1)
    first.patch(OR_FIRST, "acquire_stationary", stationary, 1)
    first.patch(OR_FIRST, "acquire_accumulator", reduction, 1)
    last.patch(OR_LAST, "release_moving", moving, 1)
    last.patch(OR_LAST, "release_stationary", stationary, 1)
    last.patch(OR_LAST, "release_accumulator", reduction, 1)
    for command in commands:
        command.patch(OR_FIRST, "init", reduction, 1)


def forward_descriptor(config, op, batch, tensors, tag):
    """FP of a convolution: lanes are input channels, rows output channels."""
    tiling = tiles.tile_forward(config, op, batch)
    body = _Body(tiling)
    kh, kw = op.kernel
    taps = kh * kw
    lanes = config.lanes
    in_blocks, in_height, in_width = op.in_shape
    out_blocks, height, width = op.out_shape
    full, last = tiling.full, tiling.last
    group = _Groups(config, tiling, out_blocks)
    images, rows, reduction = full["image"], full["row"], full["reduction"]
    rows_in = (rows - 1) * op.stride[0] + kh
    columns = (width - 1) * op.stride[1] + kw
    body.moving_inside = body.inside({"image", "row", "reduction"})
    body.stationary_inside = body.inside({"group", "reduction"})
    x, y, weight = tensors[op.x], tensors[op.y], tensors[f"{op.key}.weight"]

    if op.bias:
        bias = body.add(
            LOAD,
            {
                "destination": DESTINATIONS["bias"],
                "acquire": 1,
                "base": line(tensors[f"{op.key}.bias.master"]),
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
        body.step(bias, "vector", "group", group.step)
    weights = body.add(
        LOAD,
        {
            "destination": DESTINATIONS["stationary"],
            "mode": MODES["rotate"],
            "acquire": 1,
            "publish": 1,
            "base": line(weight),
            "exponent_base": exponent_line(weight),
            "image_limit": NO_LIMIT,
            "images": group.blocks,
            "image_stride": in_blocks * taps * lanes,
            "blocks": 1,
            "rows": 1,
            "height": 1,
            "columns": reduction * taps * lanes,
            "width": reduction * taps * lanes,
        },
        when_first=body.stationary_inside,
    )
    body.last(weights, "images", "group", group.last_blocks)
    body.last(weights, "columns", "reduction", last["reduction"] * taps * lanes)
    body.step(weights, "vector", "group", group.step * in_blocks * taps * lanes)
    body.step(weights, "vector", "reduction", reduction * taps * lanes)

    body.commands.append(fence())
    moving = body.add(
        LOAD,
        {
            "destination": DESTINATIONS["moving"],
            "mode": MODES["scatter"],
            "acquire": 1,
            "publish": 1,
            "base": line(x),
            "exponent_base": exponent_line(x),
            "image_limit": NO_LIMIT,
            "images": images,
            "image_stride": in_blocks * in_height * in_width,
            "blocks": reduction,
            "block_stride": in_height * in_width,
            "row": -op.padding[0],
            "rows": rows_in,
            "height": in_height,
            "column": -op.padding[1],
            "columns": columns,
            "width": in_width,
        },
        when_first=body.moving_inside,
    )
    body.last(moving, "images", "image", last["image"])
    body.last(moving, "blocks", "reduction", last["reduction"])
    body.step(moving, "vector", "image", images * in_blocks * in_height * in_width)
    body.step(moving, "vector", "reduction", reduction * in_height * in_width)
    body.step(moving, "row", "row", rows * op.stride[0])

    plane = rows_in * columns
    compute = body.add(
        COMPUTE,
        {
            "bias": int(op.bias),
            "stationary_serial": 1,
            "m_tiles": group.m_tiles,
            "outer0": reduction,
            "outer1": kh,
            "outer2": kw,
            "moving_outer0": plane,
            "moving_outer1": columns,
            "moving_outer2": 1,
            "stationary_outer0": taps * lanes,
            "stationary_outer1": kw * lanes,
            "stationary_outer2": lanes,
            "inner0": 1,
            "inner1": images,
            "inner2": rows,
            "inner3": width,
            "moving_inner1": reduction * plane,
            "moving_inner2": op.stride[0] * columns,
            "moving_inner3": op.stride[1],
            "accumulator_inner1": rows * width,
            "accumulator_inner2": width,
            "accumulator_inner3": 1,
            "accumulator_m_step": images * rows * width,
            "stationary_block_step": reduction * taps * lanes,
        },
    )
    body.last(compute, "m_tiles", "group", group.last_m_tiles)
    body.last(compute, "outer0", "reduction", last["reduction"])
    body.last(compute, "inner1", "image", last["image"])
    body.last(compute, "inner2", "row", last["row"])
    body.last(compute, "moving_inner1", "reduction", last["reduction"] * plane)
    body.last(compute, "stationary_block_step", "reduction", last["reduction"] * taps * lanes)
    _accumulator_flags(body, [compute], body.mask("reduction"))

    drain = _drain(body, y, group, out_blocks, height, width, op.relu, op.raw)
    return body.descriptor(tag), tiling, drain


def _drain(body, tensor, group, blocks, height, width, relu, raw, mask=None):
    """Store a finished tile of images x rows x all columns of some blocks."""
    full, last = body.tiling.full, body.tiling.last
    images, rows = full["image"], full["row"]
    drain = body.add(
        DRAIN,
        {
            "acquire": 1,
            "release": 1,
            "relu": int(relu),
            "raw": int(raw),
            "mask": int(mask is not None),
            "blocks": group.blocks,
            "images": images,
            "run": rows * width,
            "accumulator_image_step": rows * width,
            "accumulator_m_step": images * rows * width,
            "base": line(tensor),
            "exponent_base": exponent_line(tensor),
            "mask_base": line(mask) if mask is not None else 0,
            "image_stride": blocks * height * width,
            "block_stride": height * width,
        },
        when_last=body.mask("reduction"),
    )
    body.last(drain, "blocks", "group", group.last_blocks)
    body.last(drain, "images", "image", last["image"])
    body.last(drain, "run", "row", last["row"] * width)
    body.step(drain, "vector", "group", group.step * height * width)
    body.step(drain, "vector", "image", images * blocks * height * width)
    body.step(drain, "vector", "row", rows * width)
    return drain


def backward_descriptor(config, op, batch, tensors, tag):
    """BP of a convolution: lanes are output channels, rows input channels, one command a phase."""
    tiling = tiles.tile_backward(config, op, batch)
    body = _Body(tiling)
    kh, kw = op.kernel
    sh, sw = op.stride
    taps = kh * kw
    lanes = config.lanes
    in_blocks, height, width = op.in_shape
    out_blocks, out_height, out_width = op.out_shape
    full, last = tiling.full, tiling.last
    group = _Groups(config, tiling, in_blocks)
    images, rows, reduction = full["image"], full["row"], full["reduction"]
    row_low, rows_in = backward_extent(kh, sh, op.padding[0], rows)
    column_low, columns = backward_extent(kw, sw, op.padding[1], width)
    plane = rows_in * columns
    body.moving_inside = body.inside({"image", "row", "reduction"})
    body.stationary_inside = body.inside({"group", "reduction"})
    dy, dx, weight = tensors[f"d{op.y}"], tensors[f"d{op.x}"], tensors[f"{op.key}.weight"]

    weights = body.add(
        LOAD,
        {
            "destination": DESTINATIONS["stationary"],
            "mode": MODES["scatter"],
            "acquire": 1,
            "publish": 1,
            "base": line(weight),
            "exponent_base": exponent_line(weight),
            "image_limit": NO_LIMIT,
            "images": reduction,
            "image_stride": in_blocks * taps * lanes,
            "blocks": 1,
            "rows": 1,
            "height": 1,
            "columns": group.blocks * taps * lanes,
            "width": group.blocks * taps * lanes,
        },
        when_first=body.stationary_inside,
    )
    body.last(weights, "images", "reduction", last["reduction"])
    body.last(weights, "columns", "group", group.last_blocks * taps * lanes)
    body.step(weights, "vector", "group", group.step * taps * lanes)
    body.step(weights, "vector", "reduction", reduction * in_blocks * taps * lanes)

    body.commands.append(fence())
    moving = body.add(
        LOAD,
        {
            "destination": DESTINATIONS["moving"],
            "mode": MODES["scatter"],
            "acquire": 1,
            "publish": 1,
            "base": line(dy),
            "exponent_base": exponent_line(dy),
            "image_limit": NO_LIMIT,
            "images": images,
            "image_stride": out_blocks * out_height * out_width,
            "blocks": reduction,
            "block_stride": out_height * out_width,
            "row": row_low,
            "rows": rows_in,
            "height": out_height,
            "column": column_low,
            "columns": columns,
            "width": out_width,
        },
        when_first=body.moving_inside,
    )
    body.last(moving, "images", "image", last["image"])
    body.last(moving, "blocks", "reduction", last["reduction"])
    body.step(moving, "vector", "image", images * out_blocks * out_height * out_width)
    body.step(moving, "vector", "reduction", reduction * out_height * out_width)
    body.step(moving, "row", "row", rows // sh)

    dense, empty = [], []
    for row, row_tap, row_taps, row_origin, row_count in backward_phases(kh, sh, op.padding[0], rows):
        for column, column_tap, column_taps, column_origin, column_count in backward_phases(
            kw, sw, op.padding[1], width
        ):
            hollow = not row_taps * column_taps
            command = Command(
                COMPUTE,
                {
                    "zero": int(hollow),
                    "m_tiles": group.m_tiles,
                    "outer0": 1 if hollow else reduction,
                    "outer1": 1 if hollow else row_taps,
                    "outer2": 1 if hollow else column_taps,
                    "moving_outer0": plane,
                    "moving_outer1": -columns,
                    "moving_outer2": -1,
                    "stationary_outer0": group.blocks * taps * lanes,
                    "stationary_outer1": sh * kw * lanes,
                    "stationary_outer2": sw * lanes,
                    "inner0": 1,
                    "inner1": images,
                    "inner2": row_count,
                    "inner3": column_count,
                    "moving_inner1": reduction * plane,
                    "moving_inner2": columns,
                    "moving_inner3": 1,
                    "accumulator_inner1": rows * width,
                    "accumulator_inner2": sh * width,
                    "accumulator_inner3": sw,
                    "moving_base": 0
                    if hollow
                    else (row_origin - row_low) * columns + column_origin - column_low,
                    "stationary_base": 0 if hollow else (row_tap * kw + column_tap) * lanes,
                    "accumulator_base": row * width + column,
                    "accumulator_m_step": images * rows * width,
                    "stationary_block_step": taps * lanes,
                },
                when_first=body.mask("reduction") if hollow else 0,
            )
            body.last(command, "m_tiles", "group", group.last_m_tiles)
            body.last(command, "inner1", "image", last["image"])
            # a phase without a row in the last tile computes one that is never stored
            body.last(command, "inner2", "row", max(1, -(-(last["row"] - row) // sh)))
            if not hollow:
                body.last(command, "outer0", "reduction", last["reduction"])
                body.last(command, "moving_inner1", "reduction", last["reduction"] * plane)
                body.last(command, "stationary_outer0", "group", group.last_blocks * taps * lanes)
            (empty if hollow else dense).append(command)
    # phases without a tap only start sums, in the tile that starts them: never first or last
    commands = [dense[0], *empty, *dense[1:]]
    if len(dense) == 1 and empty:
        commands = [*_split_single(dense[0], empty)]
    body.commands += commands
    _accumulator_flags(body, commands, body.mask("reduction"))
    _drain(body, dx, group, in_blocks, height, width, False, False, tensors[op.x] if op.mask else None)
    return body.descriptor(tag), tiling


def _split_single(dense, empty):
    """One dense phase among empty ones: the empty ones come first, the dense one last.

    The empty ones are skipped after the first reduction tile, so slots are acquired by the first
    command that runs and, the acquisition being a wait only, once more by the dense one.
    """
    return [*empty, dense]


def weight_gradient_descriptor(config, op, batch, tensors, tag):
    """WU of a convolution: lanes are strips of the output plane, rows output channels."""
    tiling = tiles.tile_weight_gradient(config, op, batch)
    body = _Body(tiling)
    kh, kw = op.kernel
    sh, sw = op.stride
    taps = kh * kw
    lanes = config.lanes
    in_blocks, in_height, in_width = op.in_shape
    out_blocks, height, width = op.out_shape
    split_images, split_rows, split_columns = op.split
    full, last = tiling.full, tiling.last
    group = _Groups(config, tiling, out_blocks)
    images, rows, column, tap = full["image"], full["row"], full["column"], full["tap"]
    strip_rows = -(-height // split_rows)
    strip_columns = -(-width // split_columns)
    rows_in = (rows - 1) * sh + tap
    columns = (strip_columns - 1) * sw + kw
    positions = column * tap * kw * lanes
    body.moving_inside = body.inside({"column", "tap", "image", "row"})
    body.stationary_inside = body.inside({"group", "image", "row"})
    x, dy = tensors[op.x], tensors[f"d{op.y}"]
    gradient = tensors[f"{op.key}.weight.gradient"]
    strips = {
        "mode": MODES["strip"],
        "acquire": 1,
        "publish": 1,
        "image_limit": batch,
        "lane_images": split_images,
        "lane_rows": split_rows,
        "lane_columns": split_columns,
        "images": images,
    }

    body.commands.append(fence())
    stationary = body.add(
        LOAD,
        {
            **strips,
            "destination": DESTINATIONS["stationary"],
            "base": line(dy),
            "exponent_base": exponent_line(dy),
            "lane_row_step": strip_rows,
            "lane_column_step": strip_columns,
            "image_stride": out_blocks * height * width,
            "blocks": group.blocks,
            "block_stride": height * width,
            "rows": rows,
            "height": height,
            "columns": strip_columns,
            "width": width,
        },
        when_first=body.stationary_inside,
    )
    moving = body.add(
        LOAD,
        {
            **strips,
            "destination": DESTINATIONS["moving"],
            "base": line(x),
            "exponent_base": exponent_line(x),
            "lane_row_step": strip_rows * sh,
            "lane_column_step": strip_columns * sw,
            "image_stride": in_blocks * in_height * in_width,
            "blocks": column,
            "block_stride": in_height * in_width,
            "row": -op.padding[0],
            "rows": rows_in,
            "height": in_height,
            "column": -op.padding[1],
            "columns": columns,
            "width": in_width,
        },
        when_first=body.moving_inside,
    )
    for load, blocks, plane in ((stationary, out_blocks, height * width), (moving, in_blocks, in_height * in_width)):
        body.step(load, "image", "image", images * split_images)
        body.step(load, "vector", "image", images * split_images * blocks * plane)
        body.last(load, "images", "image", last["image"])
    body.step(stationary, "vector", "group", group.step * height * width)
    body.last(stationary, "blocks", "group", group.last_blocks)
    body.step(stationary, "row", "row", rows)
    body.step(moving, "vector", "column", column * in_height * in_width)
    body.last(moving, "blocks", "column", last["column"])
    body.step(moving, "row", "row", rows * sh)
    body.step(moving, "row", "tap", tap)

    plane = rows_in * columns
    compute = body.add(
        COMPUTE,
        {
            "moving_serial": 1,
            "stationary_serial": 1,
            "m_tiles": group.m_tiles,
            "outer0": images,
            "outer1": rows,
            "outer2": strip_columns,
            "moving_outer0": column * plane * lanes,
            "moving_outer1": sh * columns * lanes,
            "moving_outer2": sw * lanes,
            "stationary_outer0": group.blocks * rows * strip_columns * lanes,
            "stationary_outer1": strip_columns * lanes,
            "stationary_outer2": lanes,
            "inner0": column,
            "inner1": tap,
            "inner2": kw,
            "inner3": lanes,
            "moving_inner0": plane * lanes,
            "moving_inner1": columns * lanes,
            "moving_inner2": lanes,
            "moving_inner3": 1,
            "accumulator_inner0": tap * kw * lanes,
            "accumulator_inner1": kw * lanes,
            "accumulator_inner2": lanes,
            "accumulator_inner3": 1,
            "accumulator_m_step": positions + 1,
            "stationary_block_step": rows * strip_columns * lanes,
            "ones_position": positions,
        },
    )
    body.last(compute, "m_tiles", "group", group.last_m_tiles)
    body.last(compute, "outer0", "image", last["image"])
    body.last(compute, "outer1", "row", last["row"])
    body.last(compute, "moving_outer0", "column", last["column"] * plane * lanes)
    body.last(
        compute, "stationary_outer0", "group", group.last_blocks * rows * strip_columns * lanes
    )
    body.last(compute, "inner0", "column", last["column"])
    body.last(compute, "inner1", "tap", last["tap"])
    _accumulator_flags(body, [compute], body.mask("image", "row"))
    done = body.mask("image", "row")
    once = body.mask("column", "tap")
    if op.bias:
        compute.patch(OR_FIRST, "ones", once, 1)
        bias = body.add(
            DRAIN,
            {
                "acquire": 1,
                "raw": 1,
                "blocks": group.blocks,
                "images": 1,
                "run": 1,
                "accumulator_base": positions,
                "accumulator_m_step": positions + 1,
                "base": line(tensors[f"{op.key}.bias.gradient"]),
                "block_stride": 1,
            },
            when_first=once,
            when_last=done,
        )
        body.last(bias, "blocks", "group", group.last_blocks)
        body.step(bias, "vector", "group", group.step)
    drain = body.add(
        DRAIN,
        {
            "acquire": 1,
            "release": 1,
            "raw": 1,
            "blocks": group.blocks,
            "images": column,
            "run": tap * kw * lanes,
            "accumulator_image_step": tap * kw * lanes,
            "accumulator_m_step": positions + 1,
            "base": line(gradient),
            "image_stride": taps * lanes,
            "block_stride": in_blocks * taps * lanes,
        },
        when_last=done,
    )
    body.last(drain, "blocks", "group", group.last_blocks)
    body.last(drain, "images", "column", last["column"])
    body.last(drain, "run", "tap", last["tap"] * kw * lanes)
    body.step(drain, "vector", "group", group.step * in_blocks * taps * lanes)
    body.step(drain, "vector", "column", column * taps * lanes)
    body.step(drain, "vector", "tap", tap * kw * lanes)
    return body.descriptor(tag), tiling


def _single(tag, *commands):
    return Descriptor(tag, [1] * LOOPS, [fence(), *commands])


def pool_forward_descriptor(config, op, batch, tensors, tag):
    """Max pooling."""
    x, y = tensors[op.x], tensors[op.y]
    return _single(
        tag,
        Command(
            POOL_FORWARD,
            {
                "relu": int(op.relu),
                "source": line(x),
                "source_exponents": exponent_line(x),
                "result": line(y),
                "result_exponents": exponent_line(y),
                "index": line(tensors[op.index]),
                **_pool_shape(op, batch),
            },
        ),
    )


def pool_backward_descriptor(config, op, batch, tensors, tag):
    """The gradient of max pooling."""
    dx, dy = tensors[f"d{op.x}"], tensors[f"d{op.y}"]
    return _single(
        tag,
        Command(
            POOL_BACKWARD,
            {
                "source": line(dy),
                "source_exponents": exponent_line(dy),
                "result": line(dx),
                "result_exponents": exponent_line(dx),
                "index": line(tensors[op.index]),
                **_pool_shape(op, batch),
            },
        ),
    )


def _pool_shape(op, batch):
    return {
        "planes": batch * op.in_shape[0],
        "height": op.in_shape[1],
        "width": op.in_shape[2],
        "out_height": op.out_shape[1],
        "out_width": op.out_shape[2],
        "kernel_height": op.kernel[0],
        "kernel_width": op.kernel[1],
    }


def loss_descriptor(config, op, batch, tensors, tag):
    """Loss and its gradient."""
    logits, gradient = tensors[op.logits], tensors[op.gradient]
    return _single(
        tag,
        Command(
            LOSS,
            {
                "logits": line(logits),
                "labels": line(tensors["labels"]),
                "gradient": line(gradient),
                "gradient_exponents": exponent_line(gradient),
                "losses": line(tensors["loss"]),
                "images": batch,
                "classes": op.classes,
                "blocks": prod(logits.shape[1:-1]),
            },
        ),
    )


def update_descriptor(config, op, tensors, tag):
    """SGD of a layer's weights and biases."""
    commands = []
    for name in ("weight", "bias") if op.bias else ("weight",):
        prefix = f"{op.key}.{name}"
        copy = tensors.get(prefix)
        commands.append(
            Command(
                UPDATE,
                {
                    "copy": int(copy is not None),
                    "gradient": line(tensors[f"{prefix}.gradient"]),
                    "momentum": line(tensors[f"{prefix}.momentum"]),
                    "master": line(tensors[f"{prefix}.master"]),
                    "result": line(copy) if copy else 0,
                    "result_exponents": exponent_line(copy) if copy else 0,
                    "vectors": prod(tensors[f"{prefix}.master"].shape[:-1]),
                },
            )
        )
    return _single(tag, *commands)
