"""FP of a convolution."""

from ...array.commands import COMPUTE
from ...dma.commands import DESTINATIONS, LOAD, MODES
from ...vector.commands import LINE_BYTES
from ..tile_output import forward_tilings
from .body import (
    NO_LIMIT,
    Body,
    Groups,
    accumulator_flags,
    drain_tile,
    exponent_line,
    is_flat,
    line,
    wait_for,
)
from .choose import choose
from .vector import pool_steps, pool_tile

__all__ = ["forward_descriptor", "forward_tiling", "pools_with"]


def forward_tiling(config, op, batch, tensors):
    """The tiling of FP."""

    def make(tiling):
        return forward_descriptor(config, op, tensors, tiling, None, None, 0)

    return choose(config, forward_tilings(config, op, batch), make)


def pools_with(tiling, pool, tensors):
    """Whether the pooling behind a convolution can ride on its tiles.

    Then it runs beside the tiles that follow. It needs whole images that start on a line.
    """
    steps = pool_steps(pool, tiling.full["image"], tensors)
    return tiling.counts["image"] > 1 and all(size % LINE_BYTES == 0 for size in steps.values())


def forward_descriptor(config, op, tensors, tiling, producer, pool, tag):
    """FP of a convolution: lanes are input channels, rows output channels.

    `producer` is the engine that makes x: "drain", "vector", or None for the host; `pool` the
    pooling that rides on the tiles, or None.
    """
    body = Body(tiling)
    kh, kw = op.kernel
    taps = kh * kw
    lanes = config.lanes
    in_blocks, in_height, in_width = op.in_shape
    out_blocks, height, width = op.out_shape
    full, last = tiling.full, tiling.last
    group = Groups(config, tiling, out_blocks)
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
            "acquire": int(not op.bias),  # the biases have acquired the slot
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

    origin = (-op.padding[0], -op.padding[1])
    size, tile = (in_height, in_width), (rows_in, columns)
    moving = body.moving_tile(x, in_blocks, size, tile, origin)
    wait_for(moving, producer)
    body.step(moving, "row", "row", rows * op.stride[0])

    plane = rows_in * columns
    flat = is_flat(config, height, width)
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
            "accumulator_inner1": group.m_tiles if flat else rows * width,
            "accumulator_inner2": width,
            "accumulator_inner3": 1,
            "accumulator_m_step": 1 if flat else images * rows * width,
            "stationary_block_step": reduction * taps * lanes,
        },
    )
    body.last(compute, "m_tiles", "group", group.last_m_tiles)
    if flat:
        body.last(compute, "accumulator_inner1", "group", group.last_m_tiles)
    body.last(compute, "outer0", "reduction", last["reduction"])
    body.last(compute, "inner1", "image", last["image"])
    body.last(compute, "inner2", "row", last["row"])
    body.last(compute, "moving_inner1", "reduction", last["reduction"] * plane)
    body.last(compute, "stationary_block_step", "reduction", last["reduction"] * taps * lanes)
    accumulator_flags(body, [compute], body.mask("reduction"))

    drain_tile(body, config, y, group, op.out_shape, op.relu, op.raw)
    if pool is not None:
        pool_tile(body, pool, tensors)
    return body.descriptor(tag)
