"""Commands of the weight gradient: loads of strips, and the drain of bias gradients."""

from ...dma.commands import DESTINATIONS, LOAD, MODES
from ...vector.commands import DRAIN
from .body import exponent_line, line, low_line

__all__ = ["drain_biases", "strip_tile"]


def strip_tile(body, run, name, place, batch, blocks, whole, size, tile, origin, scale):
    """Load one operand: every lane the images, blocks, rows and columns of its strip.

    Parameters
    ----------
    body : Body
    run : ArrayPass
    name : str
        "moving" or "stationary".
    place : Place
    batch : int
    blocks, whole : int
        Channel blocks of the tile, of a part.
    size, tile, origin : (int, int)
        Rows and columns of the map and of the tile; where the first tile starts.
    scale : (int, int)
        Rows and columns here for one of the output.

    Returns
    -------
    (Command, str)
        The load and the field that counts its blocks.
    """
    tiling = body.tiling
    split_images, split_rows, split_columns = run.split
    _, height, width = run.out_shape
    images, rows = tiling.full["image"], tiling.full["row"]
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
            "base": line(place.root),
            "exponent_base": exponent_line(place.root),
            "vector": place.vector,
            "image_limit": batch,
            "lane_images": split_images,
            "lane_rows": split_rows,
            "lane_columns": split_columns,
            "lane_row_step": -(-height // split_rows) * scale[0],
            "lane_column_step": -(-width // split_columns) * scale[1],
            "images": images,
            "image_stride": place.pitch,
            "blocks": 1 if flat else blocks,
            "block_stride": plane,
            "row": origin[0],
            "rows": tile[0],
            "height": size[0],
            "column": origin[1],
            "columns": blocks if flat else tile[1],
            "width": whole if flat else size[1],
        },
        low=low_line(place.root, body.wide[name == "stationary"]),
        when_first=getattr(body, f"{name}_inside"),
    )
    body.step(load, "vector", "part", whole * plane)
    body.step(load, "image", "image", images * split_images)
    body.step(load, "vector", "image", images * split_images * place.pitch)
    body.last(load, "images", "image", tiling.last["image"])
    body.step(load, "row", "row", rows * scale[0])
    return load, "columns" if flat else "blocks"


def drain_biases(body, gradient, group, blocks, positions, flags, first, last):
    """Store the sums at the position of ones: one vector a block.

    Parameters
    ----------
    body : Body
    gradient : TensorSpec
    group : Groups
    blocks : int
        Of a part.
    positions : int
        Of an m-tile, the one of ones not counted.
    flags : dict
        More flags of the command.
    first, last : int
        Masks of the loops at whose first (last) index it is issued.
    """
    drain = body.add(
        DRAIN,
        {
            "acquire": 1,
            "raw": 1,
            **flags,
            "blocks": group.blocks,
            "images": 1,
            "run": 1,
            "accumulator_base": positions,
            "accumulator_m_step": positions + 1,
            "base": line(gradient),
            "block_stride": 1,
        },
        when_first=first,
        when_last=last,
    )
    body.last(drain, "blocks", "group", group.last_blocks)
    body.step(drain, "vector", "part", blocks)
    body.step(drain, "vector", "group", group.step)
