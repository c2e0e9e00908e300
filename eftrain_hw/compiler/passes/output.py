"""Where the sums of FP and BP lie in the accumulators, and how they leave."""

from ...vector.commands import DRAIN
from .body import exponent_line, line, low_line

__all__ = ["drain_interleaved", "drain_tile", "is_flat", "is_whole"]


def is_flat(config, height, width):
    """Whether the blocks of an image lie side by side, so that they may follow each other.

    Then the accumulator positions of a tile are (image, m-tile), not (m-tile, image), and one run
    stores all blocks of an image instead of one run a vector.
    """
    return height == width == 1 and config.rows == config.lanes


def is_whole(config, run, tiling):
    """Whether the sums of interleaved pixels lie in the accumulators as they are stored.

    Each rank block must begin at a row of its own of the array, and no m may be in another tile.
    """
    rank_tiles = run.rank_blocks > 1 or config.rows == config.lanes
    return rank_tiles and tiling.counts["group"] == 1


def drain_interleaved(body, config, run, tensors, group):
    """Store a finished tile whose output channels are (m, rank block), m as an axis of pixels.

    Parameters as `drain_tile`.
    """
    place, view = run.place(tensors, run.result), run.view
    full, last = body.tiling.full, body.tiling.last
    images, rows = full["image"], full["row"]
    row = view.modes * view.inner
    whole = is_whole(config, run, body.tiling)
    values = {
        "blocks": run.rank_blocks,
        "images": images,
        "run": rows * row,
        "accumulator_image_step": rows * row,
        "accumulator_m_step": images * rows * row,
        "image_stride": place.pitch,
        "block_stride": view.pixels,
    }
    if not whole:  # rows of images follow each other, each a run for each m
        values = {
            "blocks": group.blocks,
            "images": images * rows,
            "run": view.inner,
            "accumulator_image_step": view.inner,
            "accumulator_m_step": images * rows * view.inner,
            "image_stride": row,
            "block_stride": view.inner,
        }
    drain = body.add(
        DRAIN,
        {
            "acquire": 1,
            "release": 1,
            "relu": int(run.relu),
            "raw": int(run.raw),
            **values,
            "base": line(place.root),
            "exponent_base": exponent_line(place.root),
            "vector": place.vector,
        },
        when_last=body.mask("reduction", "mode"),
    )
    if whole:
        body.last(drain, "images", "image", last["image"])
        body.last(drain, "run", "row", last["row"] * row)
    else:
        body.last(drain, "blocks", "group", group.last_blocks)
        body.last(drain, "images", "image", last["image"] * rows)
        body.last(drain, "images", "row", images * last["row"])
    body.step(drain, "vector", "group", group.step * view.inner)
    body.step(drain, "vector", "image", images * place.pitch)
    body.step(drain, "vector", "row", rows * row)
    return drain


def drain_tile(body, config, run, tensors, group, size):
    """Store a finished tile of images x rows x all columns of some blocks.

    Parameters
    ----------
    body : Body
    config : AcceleratorConfig
    run : ArrayPass
    tensors : dict
    group : Groups
    size : (int, int, int)
        Blocks of a part, height and width of the result.
    """
    place = run.place(tensors, run.result)
    mask = None if run.masked is None else _mask_of(run, tensors, place)
    full, last = body.tiling.full, body.tiling.last
    blocks, height, width = size
    images, rows = full["image"], full["row"]
    flat = is_flat(config, height, width)
    # all vectors of the tile are one run
    joined = flat and body.tiling.counts["group"] == 1 and place.pitch == blocks
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
            "relu": int(run.relu),
            "raw": int(run.raw),
            "mask": int(run.mask),
            **shape,
            "base": line(place.root),
            "exponent_base": exponent_line(place.root),
            "mask_base": line(mask) if run.mask else 0,
            "vector": place.vector,
            "image_stride": place.pitch,
            "block_stride": height * width,
        },
        low=low_line(place.root),
        when_last=body.mask("reduction", "mode"),
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
    body.step(drain, "vector", "part", blocks * height * width)
    body.step(drain, "vector", "group", group.step * height * width)
    body.step(drain, "vector", "image", images * place.pitch)
    body.step(drain, "vector", "row", rows * width)
    return drain


def _mask_of(run, tensors, place):
    """The tensor that holds a mask; its vectors are counted as those of the result."""
    mask = run.place(tensors, run.masked)
    if (mask.vector, mask.pitch) != (place.vector, place.pitch):
        raise ValueError(
            f"{run.name}: the gradient of a concatenated tensor must lie like the tensor, so it"
            " must not have other users"
        )
    return mask.root
