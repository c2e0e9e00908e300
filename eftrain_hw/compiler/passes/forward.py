"""FP of a convolution, and BP of a transposed one."""

from ...array.commands import COMPUTE
from ...dma.commands import DESTINATIONS, LOAD, MODES
from ...vector.commands import LINE_BYTES
from ..tile_output import forward_tilings
from .body import (
    NO_LIMIT,
    Body,
    Groups,
    accumulator_flags,
    exponent_line,
    line,
    load_bias,
    low_line,
    wait_for,
)
from .choose import choose
from .modes import LOOP, interleave, mode_tilings
from .output import drain_interleaved, drain_tile, is_flat
from .vector import pool_steps, pool_tile

__all__ = ["gather_descriptor", "gather_tiling", "pools_with"]


def gather_tiling(config, run, batch, tensors):
    """The tiling of a pass from the convolution's input to its output."""

    def make(tiling):
        return gather_descriptor(config, run, tensors, tiling, (), None, 0)

    def fits(tiling):
        """A command for each m has one size of the stationary buffer."""
        even = tiling.last["reduction"] == tiling.full["reduction"]
        return run.rank_blocks == 1 or even and tiling.counts["group"] == 1

    tilings = mode_tilings(run, forward_tilings(config, run, batch), fits)
    return choose(config, tilings, make, alone=run.alone)


def pools_with(tiling, pool, tensors):
    """Whether the pooling behind a convolution can ride on its tiles.

    Then it runs beside the tiles that follow. It needs whole images that start on a line.
    """
    steps = pool_steps(pool, tiling.full["image"], tensors)
    return tiling.counts["image"] > 1 and all(size % LINE_BYTES == 0 for size in steps.values())


def gather_descriptor(config, run, tensors, tiling, producers, pool, tag):
    """From the convolution's input to its output: lanes are input channels, rows output channels.

    `producers` are the engines that make the source: of "drain", "vector"; none for the host;
    `pool` is the pooling that rides on the tiles, or None.
    """
    body = Body(tiling, run.wide)
    kh, kw = run.kernel
    dh, dw = run.dilation
    taps = kh * kw
    lanes = config.lanes
    in_blocks, out_blocks = run.in_blocks, run.out_blocks
    _, in_height, in_width = run.in_shape
    _, height, width = run.out_shape
    full, last = tiling.full, tiling.last
    group = Groups(config, tiling, out_blocks)
    images, rows, reduction = full["image"], full["row"], full["reduction"]
    rows_in = (rows - 1) * run.stride[0] + (kh - 1) * dh + 1
    columns = (width - 1) * run.stride[1] + (kw - 1) * dw + 1
    body.moving_inside = body.inside({"part", "image", "row", "reduction"})
    body.stationary_inside = body.inside({"part", "group", "reduction"})
    weight = tensors[run.weight]

    if run.bias:
        load_bias(body, tensors[f"{run.key}.bias.master"], group, out_blocks)
    weights = body.add(
        LOAD,
        {
            "destination": DESTINATIONS["stationary"],
            "mode": MODES["rotate"],
            "acquire": int(not run.bias),  # the biases have acquired the slot
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
        low=low_line(weight, run.wide[1]),
        when_first=body.stationary_inside,
    )
    body.last(weights, "images", "group", group.last_blocks)
    body.last(weights, "columns", "reduction", last["reduction"] * taps * lanes)
    body.step(weights, "vector", "part", out_blocks * in_blocks * taps * lanes)
    body.step(weights, "vector", "group", group.step * in_blocks * taps * lanes)
    body.step(weights, "vector", "reduction", reduction * taps * lanes)

    origin = (-run.padding[0], -run.padding[1])
    size, tile = (in_height, in_width), (rows_in, columns)
    moving = body.moving_tile(run.place(tensors, run.source), in_blocks, size, tile, origin)
    wait_for(moving, producers)
    body.step(moving, "row", "row", rows * run.stride[0])

    plane = rows_in * columns
    flat = is_flat(config, height, width)
    compute = body.add(
        COMPUTE,
        {
            "bias": int(run.bias),
            "stationary_serial": 1,
            "m_tiles": group.m_tiles,
            "outer0": reduction,
            "outer1": kh,
            "outer2": kw,
            "moving_outer0": plane,
            "moving_outer1": dh * columns,
            "moving_outer2": dw,
            "stationary_outer0": taps * lanes,
            "stationary_outer1": kw * lanes,
            "stationary_outer2": lanes,
            "inner0": 1,
            "inner1": images,
            "inner2": rows,
            "inner3": width,
            "moving_inner1": reduction * plane,
            "moving_inner2": run.stride[0] * columns,
            "moving_inner3": run.stride[1],
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
    interleave(body, config, run, compute, group, images, rows)
    accumulator_flags(body, [compute], body.mask("reduction", LOOP))

    if run.view is None:
        drain_tile(body, config, run, tensors, group, (out_blocks, height, width))
    else:
        drain_interleaved(body, config, run, tensors, group)
    if pool is not None:
        pool_tile(body, pool, tensors)
    return body.descriptor(tag)
