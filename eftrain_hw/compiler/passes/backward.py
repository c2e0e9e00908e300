"""BP of a convolution, and FP of a transposed one."""

from ...array.commands import COMPUTE
from ...dma.commands import DESTINATIONS, LOAD, MODES
from ...sequencer.program_format import Command
from ..phases import axes_of, backward_extent, backward_phases
from ..tile_output import backward_tilings
from .body import (
    ALL_LOOPS,
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
from .modes import LOOP, all_phases, from_modes, mode_tilings, phase_tilings
from .output import drain_tile, is_flat
from .vector import pool_tile

__all__ = ["scatter_descriptor", "scatter_tiling"]


def scatter_tiling(config, run, batch, tensors):
    """The tiling of a pass from the convolution's output to its input."""

    def make(tiling):
        return scatter_descriptor(config, run, tensors, tiling, (), None, 0)

    def fits(tiling):
        return tiling.counts["reduction"] == 1

    tilings = mode_tilings(run, backward_tilings(config, run, batch), fits, loop=False)
    tilings = phase_tilings(config, run, tilings)
    return choose(config, tilings, make, alone=run.alone)


def scatter_descriptor(config, run, tensors, tiling, producers, pool, tag):
    """From the convolution's output to its input: lanes are output channels, rows input channels,
    one command a phase of the stride.

    Parameters as `gather_descriptor`.
    """
    body = Body(tiling, run.wide)
    kh, kw = run.kernel
    sh, sw = run.stride
    taps = kh * kw
    lanes = config.lanes
    in_blocks, out_blocks = run.in_blocks, run.out_blocks
    _, height, width = run.in_shape
    _, out_height, out_width = run.out_shape
    full, last = tiling.full, tiling.last
    group = Groups(config, tiling, in_blocks)
    images, rows, reduction = full["image"], full["row"], full["reduction"]
    vertical, horizontal = axes_of(run)
    row_low, rows_in = backward_extent(vertical, rows)
    column_low, columns = backward_extent(horizontal, width)
    pitch = run.modes * columns  # from row to row
    plane = rows_in * pitch
    body.moving_inside = body.inside({"part", "image", "row", "reduction"})
    body.stationary_inside = body.inside({"part", "group", "reduction"})
    weight = tensors[run.weight]

    if run.bias:
        load_bias(body, tensors[f"{run.key}.bias.master"], group, in_blocks)
    weights = body.add(
        LOAD,
        {
            "destination": DESTINATIONS["stationary"],
            "mode": MODES["scatter"],
            "acquire": int(not run.bias),  # the biases have acquired the slot
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
        low=low_line(weight, run.wide[1]),
        when_first=body.stationary_inside,
    )
    body.last(weights, "images", "reduction", last["reduction"])
    body.last(weights, "columns", "group", group.last_blocks * taps * lanes)
    body.step(weights, "vector", "part", out_blocks * in_blocks * taps * lanes)
    body.step(weights, "vector", "group", group.step * taps * lanes)
    body.step(weights, "vector", "reduction", reduction * in_blocks * taps * lanes)

    size, tile = (out_height * run.modes, out_width), (rows_in * run.modes, columns)
    source, origin = run.place(tensors, run.source), (row_low * run.modes, column_low)
    moving = body.moving_tile(source, run.rank_blocks, size, tile, origin)
    wait_for(moving, producers)
    body.step(moving, "row", "row", rows // sh * run.modes)

    flat = is_flat(config, height, width)

    empty = {"zero": 1, "outer0": 1, "outer1": 1, "outer2": 1}  # no taps: sums only start

    def phase(row, rows_of, column, columns_of, values):
        """The command of a phase: every sh-th (or each) row from `row` on, columns likewise."""
        row_count, row_step = rows_of
        column_count, column_step = columns_of
        command = Command(
            COMPUTE,
            {
                "bias": int(run.bias),
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
        if values is not empty or run.bias:  # biases differ from tile to tile
            body.last(command, "m_tiles", "group", group.last_m_tiles)
            if flat:
                body.last(command, "accumulator_inner1", "group", group.last_m_tiles)
            body.last(command, "inner1", "image", last["image"])
            # a phase without a row in the last tile computes one that is never stored
            body.last(command, "inner2", "row", max(1, -(-(last["row"] - row) // sh)))
        return command

    real, hollow = [], []  # one a phase
    for row, row_tap, row_taps, row_origin, row_count in backward_phases(vertical, rows):
        if not row_taps:
            hollow.append(phase(row, (row_count, sh), 0, (width, 1), empty))
            continue
        across = backward_phases(horizontal, width)
        for column, column_tap, column_taps, column_origin, column_count in across:
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
                    "moving_outer1": -vertical.pixel_step * pitch,
                    "moving_outer2": -horizontal.pixel_step,
                    "stationary_outer0": group.blocks * taps * lanes,
                    "stationary_outer1": vertical.tap_step * kw * lanes,
                    "stationary_outer2": horizontal.tap_step * lanes,
                    "moving_inner1": reduction // run.modes * plane,
                    "moving_inner2": pitch,
                    "moving_inner3": 1,
                    "moving_base": (row_origin - row_low) * pitch + column_origin - column_low,
                    "stationary_base": (row_tap * kw + column_tap) * lanes,
                    "stationary_block_step": taps * lanes,
                },
            )
            body.last(command, "outer0", "reduction", last["reduction"])
            body.last(command, "moving_inner1", "reduction", last["reduction"] * plane)
            from_modes(run, command, columns, plane, group.blocks * taps * lanes)
            for outer, blocks in _block_loops(run):
                last_step = blocks * group.last_blocks * taps * lanes
                body.last(command, f"stationary_{outer}", "group", last_step)
            real.append(command)
    real = all_phases(body, config, run, real, width)
    order = _in_order_with_bias if run.bias else _in_order
    body.commands += order(body, real, hollow)
    drain_tile(body, config, run, tensors, group, (in_blocks, height, width))
    if pool is not None:
        pool_tile(body, pool, tensors)
    return body.descriptor(tag)


def _block_loops(run):
    """(loop, output blocks from one of its iterations to the next)."""
    if run.view is None:
        return [("outer0", 1)]
    return [("outer0", run.rank_blocks), ("outer1", 1)]


def _in_order(body, real, hollow):
    """The commands of a tile; those of pixels without taps run while it has its bank.

    Nobody else writes where they have written, so that once for each bank is enough: in the first
    tiles, as many as the innermost loop counts. Where one command would both take and release the
    bank, another one takes it, which starts a single pixel.
    """
    tiling, reduction = body.tiling, body.mask("reduction", LOOP)
    if not real:  # windows that see nothing but padding
        real, hollow = hollow, []
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


def _in_order_with_bias(body, real, hollow):
    """The same where sums start from the biases, which differ from tile to tile."""
    reduction = body.mask("reduction")
    if len(real) > 1:  # the first of them takes the biases' slot, the last one lets it go
        accumulator_flags(body, real, reduction)
        for command in hollow:
            command.values["init"] = 1
            command.when_first = reduction
        return real[:1] + hollow + real[1:]
    accumulator_flags(body, hollow + real, reduction)  # +0 is added in later tiles of a reduction
    return hollow + real
