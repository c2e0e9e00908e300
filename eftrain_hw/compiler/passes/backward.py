"""BP of a convolution."""

from ...array.commands import COMPUTE
from ...dma.commands import DESTINATIONS, LOAD, MODES
from ...sequencer.program_format import Command
from ..tile_output import backward_extent, backward_phases, backward_tilings
from .body import (
    ALL_LOOPS,
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

__all__ = ["backward_descriptor"]


def backward_descriptor(config, op, batch, tensors, producer, tag):
    """BP of a convolution: lanes are output channels, rows input channels, one command a phase.

    `producer` is the engine that makes dy: "drain" or "vector". Returns descriptor and tiling.
    """

    def make(tiling):
        return _descriptor(config, op, tensors, tiling, producer, tag)

    tiling = choose(config, backward_tilings(config, op, batch), make)
    return make(tiling), tiling


def _descriptor(config, op, tensors, tiling, producer, tag):
    body = Body(tiling)
    kh, kw = op.kernel
    sh, sw = op.stride
    taps = kh * kw
    lanes = config.lanes
    in_blocks, height, width = op.in_shape
    out_blocks, out_height, out_width = op.out_shape
    full, last = tiling.full, tiling.last
    group = Groups(config, tiling, in_blocks)
    images, rows, reduction = full["image"], full["row"], full["reduction"]
    row_low, rows_in = backward_extent(kh, sh, op.padding[0], rows)
    column_low, columns = backward_extent(kw, sw, op.padding[1], width)
    plane = rows_in * columns
    body.moving_inside = body.inside({"image", "row", "reduction"})
    body.stationary_inside = body.inside({"group", "reduction"})
    dy, dx = tensors[f"d{op.y}"], tensors[op.dx or f"d{op.x}"]
    weight = tensors[f"{op.key}.weight"]

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

    size, tile = (out_height, out_width), (rows_in, columns)
    moving = body.moving_tile(dy, out_blocks, size, tile, (row_low, column_low))
    wait_for(moving, producer)
    body.step(moving, "row", "row", rows // sh)

    flat = is_flat(config, height, width)

    def phase(row, rows_of, column, columns_of, values):
        """The command of a phase: every sh-th (or each) row from `row` on, columns likewise."""
        row_count, row_step = rows_of
        column_count, column_step = columns_of
        command = Command(
            COMPUTE,
            {
                "m_tiles": group.m_tiles,
                "inner0": 1,
                "inner1": images,
                "inner2": row_count,
                "inner3": column_count,
                "accumulator_inner1": group.m_tiles if flat else rows * width,
                "accumulator_inner2": row_step * width,
                "accumulator_inner3": column_step,
                "accumulator_base": row * width + column,
                "accumulator_m_step": 1 if flat else images * rows * width,
                **values,
            },
        )
        return command

    real, hollow = [], []  # one a phase; pixels without taps only start their sums, at +0
    empty = {"zero": 1, "outer0": 1, "outer1": 1, "outer2": 1}
    for row, row_tap, row_taps, row_origin, row_count in backward_phases(
        kh, sh, op.padding[0], rows
    ):
        if not row_taps:
            hollow.append(phase(row, (row_count, sh), 0, (width, 1), empty))
            continue
        for column, column_tap, column_taps, column_origin, column_count in backward_phases(
            kw, sw, op.padding[1], width
        ):
            pixels = row, (row_count, sh), column, (column_count, sw)
            if not column_taps:
                hollow.append(phase(*pixels, empty))
                continue
            command = phase(
                *pixels,
                {
                    "outer0": reduction,
                    "outer1": row_taps,
                    "outer2": column_taps,
                    "moving_outer0": plane,
                    "moving_outer1": -columns,
                    "moving_outer2": -1,
                    "stationary_outer0": group.blocks * taps * lanes,
                    "stationary_outer1": sh * kw * lanes,
                    "stationary_outer2": sw * lanes,
                    "moving_inner1": reduction * plane,
                    "moving_inner2": columns,
                    "moving_inner3": 1,
                    "moving_base": (row_origin - row_low) * columns + column_origin - column_low,
                    "stationary_base": (row_tap * kw + column_tap) * lanes,
                    "stationary_block_step": taps * lanes,
                },
            )
            body.last(command, "m_tiles", "group", group.last_m_tiles)
            if flat:
                body.last(command, "accumulator_inner1", "group", group.last_m_tiles)
            body.last(command, "inner1", "image", last["image"])
            # a phase without a row in the last tile computes one that is never stored
            body.last(command, "inner2", "row", max(1, -(-(last["row"] - row) // sh)))
            body.last(command, "outer0", "reduction", last["reduction"])
            body.last(command, "moving_inner1", "reduction", last["reduction"] * plane)
            body.last(command, "stationary_outer0", "group", group.last_blocks * taps * lanes)
            real.append(command)
    body.commands += _in_order(body, real, hollow)
    mask = tensors[op.x] if op.mask else None
    drain_tile(body, config, dx, group, op.in_shape, False, False, mask)
    return body.descriptor(tag)


def _in_order(body, real, hollow):
    """The commands of a tile; those of pixels without taps run while it has its bank.

    Nobody else writes where they have written, so that once for each bank is enough: in the first
    tiles, as many as the innermost loop counts. Where one command would both take and release the
    bank, another one takes it, which starts a single pixel.
    """
    tiling, reduction = body.tiling, body.mask("reduction")
    inner = [name for name in tiling.loops if name != "reduction" and tiling.counts[name] > 1][-1:]
    for command in hollow:
        command.values["init"] = 1
        command.when_first = ALL_LOOPS & ~body.mask(*inner)
    alone = bool(hollow) and len(real) == 1 and tiling.counts["reduction"] == 1
    accumulator_flags(body, real, reduction, acquire=not alone)
    if alone:
        single = {"m_tiles": 1, "inner1": 1, "inner2": 1, "inner3": 1, "acquire_accumulator": 1}
        return [Command(COMPUTE, hollow[0].values | single), *hollow, *real]
    if tiling.counts["reduction"] > 1:
        return real + hollow
    return real[:1] + hollow + real[1:]
