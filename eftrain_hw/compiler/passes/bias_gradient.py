"""The gradient of biases alone: sums of dy over the strips, one position an m-tile."""

from ...array.commands import COMPUTE
from ..tile_strips import weight_gradient_tilings
from .body import Body, Groups, accumulator_flags, wait_for
from .choose import choose
from .roles import place_of
from .strips import drain_biases, strip_tile

__all__ = ["bias_gradient_tiling_and_descriptor"]


def bias_gradient_tiling_and_descriptor(config, run, batch, tensors, producers, tag):
    """WU of the biases of a layer whose weights are frozen or whose convolution is transposed.

    The sums are those of `weight_gradient`: dy is stationary, in strips, and the only moving vector
    is 1.0, behind a position of zeros that nobody stores.

    Parameters and results as `weight_gradient_tiling_and_descriptor`; `run` is `bias_pass`.
    """

    def make(tiling):
        return _descriptor(config, run, batch, tensors, tiling, producers, tag)

    tiling = choose(config, weight_gradient_tilings(config, run, batch), make, alone=run.alone)
    return make(tiling), tiling


def _descriptor(config, run, batch, tensors, tiling, producers, tag):
    body = Body(tiling, run.wide)
    lanes = config.lanes
    blocks, height, width = run.out_shape
    full, last = tiling.full, tiling.last
    group = Groups(config, tiling, blocks)
    images, rows = full["image"], full["row"]
    strip_columns = -(-width // run.split[2])
    body.moving_inside = 0
    body.stationary_inside = body.inside({"group", "image", "row"})
    tile = rows, strip_columns
    load, field = strip_tile(
        body,
        run,
        "stationary",
        place_of(tensors, run.result),
        batch,
        group.blocks,
        blocks,
        (height, width),
        tile,
        (0, 0),
        (1, 1),
    )
    wait_for(load, producers)
    body.step(load, "vector", "group", group.step * height * width)
    body.last(load, field, "group", group.last_blocks)
    vectors = rows * strip_columns
    compute = body.add(
        COMPUTE,
        {
            "zero": 1,
            "ones": 1,
            "stationary_serial": 1,
            "m_tiles": group.m_tiles,
            "outer0": images,
            "outer1": rows,
            "outer2": strip_columns,
            "stationary_outer0": group.blocks * vectors * lanes,
            "stationary_outer1": strip_columns * lanes,
            "stationary_outer2": lanes,
            "inner0": 1,
            "inner1": 1,
            "inner2": 1,
            "inner3": 1,
            "accumulator_m_step": 2,
            "stationary_block_step": vectors * lanes,
            "ones_position": 1,
        },
    )
    body.last(compute, "m_tiles", "group", group.last_m_tiles)
    body.last(compute, "outer0", "image", last["image"])
    body.last(compute, "outer1", "row", last["row"])
    body.last(compute, "stationary_outer0", "group", group.last_blocks * vectors * lanes)
    done = body.mask("image", "row")
    accumulator_flags(body, [compute], done, moving=False)
    gradient = tensors[f"{run.key}.bias.gradient"]
    drain_biases(body, gradient, group, blocks, 1, {"release": 1}, 0, done)
    return body.descriptor(tag)
