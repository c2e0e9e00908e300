"""WU of a convolution: the gradient of its weights and biases."""

from ...array.commands import COMPUTE
from ...dma.commands import DESTINATIONS, LOAD, MODES
from ...sequencer.program_format import OR_FIRST
from ...vector.commands import DRAIN
from ..tile_strips import weight_gradient_tilings
from .body import Body, Groups, accumulator_flags, exponent_line, line, wait_for
from .choose import choose
from .pace import paced

__all__ = ["weight_gradient_descriptor"]


def weight_gradient_descriptor(config, op, batch, tensors, producer, tag):
    """WU of a convolution: lanes are strips of the output plane, rows output channels.

    `producer` is the engine that makes dy, "drain" or "vector"; None where BP has waited for it.
    Returns descriptor and tiling.
    """

    def make(tiling):
        return _descriptor(config, op, batch, tensors, tiling, producer, tag)

    tiling = choose(config, weight_gradient_tilings(config, op, batch), make)
    return make(tiling), tiling


def _descriptor(config, op, batch, tensors, tiling, producer, tag):
    body = Body(tiling)
    kh, kw = op.kernel
    sh, sw = op.stride
    taps = kh * kw
    lanes = config.lanes
    in_blocks, in_height, in_width = op.in_shape
    out_blocks, height, width = op.out_shape
    split_images, split_rows, split_columns = op.split
    full, last = tiling.full, tiling.last
    group = Groups(config, tiling, out_blocks)
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

    def strip_tile(name, tensor, blocks, whole, size, tile, origin, scale):
        """Load one operand: every lane the images, blocks, rows and columns of its strip."""
        # maps of one pixel: the blocks of an image lie side by side like columns
        flat = size == tile == (1, 1) and origin == (0, 0) and split_rows == split_columns == 1
        plane = size[0] * size[1]
        load = body.add(
            LOAD,
            {
                "destination": DESTINATIONS[name],
                "mode": MODES["strip"],
                "acquire": 1,
                "publish": 1,
                "base": line(tensor),
                "exponent_base": exponent_line(tensor),
                "image_limit": batch,
                "lane_images": split_images,
                "lane_rows": split_rows,
                "lane_columns": split_columns,
                "lane_row_step": strip_rows * scale[0],
                "lane_column_step": strip_columns * scale[1],
                "images": images,
                "image_stride": whole * plane,
                "blocks": 1 if flat else blocks,
                "block_stride": plane,
                "row": origin[0],
                "rows": tile[0],
                "height": size[0],
                "column": origin[1],
                "columns": blocks if flat else tile[1],
                "width": whole if flat else size[1],
            },
            when_first=getattr(body, f"{name}_inside"),
        )
        body.step(load, "image", "image", images * split_images)
        body.step(load, "vector", "image", images * split_images * whole * plane)
        body.last(load, "images", "image", last["image"])
        body.step(load, "row", "row", rows * scale[0])
        return load, "columns" if flat else "blocks"

    stationary, field = strip_tile(
        "stationary",
        dy,
        group.blocks,
        out_blocks,
        (height, width),
        (rows, strip_columns),
        (0, 0),
        (1, 1),
    )
    wait_for(stationary, producer)
    body.step(stationary, "vector", "group", group.step * height * width)
    body.last(stationary, field, "group", group.last_blocks)
    origin = (-op.padding[0], -op.padding[1])
    moving, field = strip_tile(
        "moving", x, column, in_blocks, (in_height, in_width), (rows_in, columns), origin, (sh, sw)
    )
    body.step(moving, "vector", "column", column * in_height * in_width)
    body.last(moving, field, "column", last["column"])
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
    accumulator_flags(body, [compute], body.mask("image", "row"))
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
    banks = tiling.counts["group"] * tiling.counts["column"] * tiling.counts["tap"]
    if banks > 1:
        body.commands += paced(config, body, drain, tiling.bound / banks)
    return body.descriptor(tag)
