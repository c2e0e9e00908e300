"""WU of a convolution: the gradient of its weights, and of its biases on the side."""

from ...array.commands import COMPUTE
from ...sequencer.program_format import OR_FIRST
from ...vector.commands import DRAIN
from ..tile_strips import weight_gradient_tilings
from .body import Body, Groups, accumulator_flags, line, wait_for
from .choose import choose
from .modes import LOOP, by_modes, mode_tilings
from .pace import paced
from .strips import drain_biases, strip_tile

__all__ = ["weight_gradient_tiling_and_descriptor"]


def weight_gradient_tiling_and_descriptor(config, run, batch, tensors, producers, tag):
    """WU of a convolution: lanes are strips of the output plane, rows output channels.

    Parameters
    ----------
    config : AcceleratorConfig
    run : ArrayPass
    batch : int
    tensors : dict
    producers : collection of str
        The engines that make the gradient; none where BP has waited for them.
    tag : int

    Returns
    -------
    (Descriptor, Tiling)
    """

    def make(tiling):
        return _descriptor(config, run, batch, tensors, tiling, producers, tag)

    def fits(tiling):
        return tiling.counts["group"] == 1

    tilings = mode_tilings(run, weight_gradient_tilings(config, run, batch), fits)
    tiling = choose(config, tilings, make, alone=run.alone)
    return make(tiling), tiling


def _descriptor(config, run, batch, tensors, tiling, producers, tag):
    body = Body(tiling, run.wide)
    kh, kw = run.kernel
    sh, sw = run.stride
    dh, dw = run.dilation
    taps = kh * kw
    lanes = config.lanes
    in_blocks, out_blocks = run.in_blocks, run.out_blocks
    _, in_height, in_width = run.in_shape
    _, height, width = run.out_shape
    full, last = tiling.full, tiling.last
    group = Groups(config, tiling, out_blocks)
    images, rows, column, tap = full["image"], full["row"], full["column"], full["tap"]
    strip_columns = -(-width // run.split[2])
    rows_in = (rows - 1) * sh + (tap - 1) * dh + 1
    columns = (strip_columns - 1) * sw + (kw - 1) * dw + 1
    positions = column * tap * kw * lanes
    body.moving_inside = body.inside({"part", "column", "tap", "image", "row"})
    body.stationary_inside = body.inside({"part", "group", "image", "row"})

    stationary, field = strip_tile(
        body,
        run,
        "stationary",
        run.place(tensors, run.result),
        batch,
        min(group.blocks, run.rank_blocks),
        run.rank_blocks,
        (height * run.modes, width),
        (rows * run.modes, strip_columns),
        (0, 0),
        (run.modes, 1),
    )
    wait_for(stationary, producers)
    body.step(stationary, "vector", "group", group.step * height * width)
    body.last(stationary, field, "group", group.last_blocks)
    moving, field = strip_tile(
        body,
        run,
        "moving",
        run.place(tensors, run.source),
        batch,
        column,
        in_blocks,
        (in_height, in_width),
        (rows_in, columns),
        (-run.padding[0], -run.padding[1]),
        (sh, sw),
    )
    body.step(moving, "vector", "column", column * in_height * in_width)
    body.last(moving, field, "column", last["column"])
    body.step(moving, "row", "tap", tap * dh)

    plane = rows_in * columns
    # of dy: from one m to the next, from one rank block to the next
    mode_step = strip_columns * lanes
    rank_step = rows * run.modes * mode_step
    if run.view is None:
        mode_step = rank_step
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
            "stationary_outer1": run.modes * strip_columns * lanes,
            "stationary_outer2": lanes,
            "inner0": column,
            "inner1": tap,
            "inner2": kw,
            "inner3": lanes,
            "moving_inner0": plane * lanes,
            "moving_inner1": dh * columns * lanes,
            "moving_inner2": dw * lanes,
            "moving_inner3": 1,
            "accumulator_inner0": tap * kw * lanes,
            "accumulator_inner1": kw * lanes,
            "accumulator_inner2": lanes,
            "accumulator_inner3": 1,
            "accumulator_m_step": positions + 1,
            "stationary_block_step": rank_step if run.rank_blocks > 1 else mode_step,
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
    banked = group.m_tiles // run.modes * (positions + 1)
    by_modes(body, config, run, compute, group, stationary=mode_step, accumulators=banked)
    done = body.mask("image", "row", LOOP)
    accumulator_flags(body, [compute], done)
    once = body.mask("column", "tap")
    if run.bias:
        compute.patch(OR_FIRST, "ones", once, 1)
        gradient = tensors[f"{run.key}.bias.gradient"]
        drain_biases(body, gradient, group, out_blocks, positions, {}, once, done)
    mask = tensors.get(f"{run.weight}.mask")
    drain = body.add(
        DRAIN,
        {
            "acquire": 1,
            "release": 1,
            "raw": 1,
            "mask": int(mask is not None),
            "blocks": group.blocks,
            "images": column,
            "run": tap * kw * lanes,
            "accumulator_image_step": tap * kw * lanes,
            "accumulator_m_step": positions + 1,
            "base": line(tensors[f"{run.weight}.gradient"]),
            "mask_base": 0 if mask is None else line(mask),
            "image_stride": taps * lanes,
            "block_stride": in_blocks * taps * lanes,
        },
        when_last=done,
    )
    body.last(drain, "blocks", "group", group.last_blocks)
    body.last(drain, "images", "column", last["column"])
    body.last(drain, "run", "tap", last["tap"] * kw * lanes)
    body.step(drain, "vector", "part", out_blocks * in_blocks * taps * lanes)
    body.step(drain, "vector", "group", group.step * in_blocks * taps * lanes)
    body.step(drain, "vector", "column", column * taps * lanes)
    body.step(drain, "vector", "tap", tap * kw * lanes)
    counts = tiling.counts
    banks = counts.get("part", 1) * counts["group"] * counts["column"] * counts["tap"]
    if banks > 1:
        body.commands += paced(config, body, drain, tiling.bound / banks)
    return body.descriptor(tag)
