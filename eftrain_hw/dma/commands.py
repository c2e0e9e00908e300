"""The load command: a tile from DRAM into a lane buffer, reshaped on the way."""

from ..streams.command import CommandLayout, Field

__all__ = ["DESTINATIONS", "LOAD", "MODES"]

DESTINATIONS = {"moving": 0, "stationary": 1, "bias": 2}
MODES = {"scatter": 0, "strip": 1, "rotate": 2}

LOAD = CommandLayout(
    "load",
    1,
    [
        Field("destination", 2, "0 moving buffer, 1 stationary buffer, 2 bias bank", flag=True),
        Field(
            "mode",
            2,
            "0 scatter: element j to lane j; 1 strip: all of a strip to one lane;"
            " 2 rotate: vector v to lane v % lanes",
            flag=True,
        ),
        Field("acquire", 1, "wait for a free slot before the first write", flag=True),
        Field("publish", 1, "hand the slot to the array after the last write", flag=True),
        Field("wait_drain", 1, "start when all drain commands issued before are done", flag=True),
        Field("wait_vector", 1, "start when all vector commands issued before are done", flag=True),
        Field("wide", 1, "the slot holds elements of two digits (bfp16)", flag=True),
        Field("low", 1, "these are the low digits of a wide slot", flag=True),
        Field("base", 32, "line of the tensor's elements", line=True),
        Field("exponent_base", 32, "line of the tensor's exponents", line=True),
        Field("vector", 32, "index of the vector at image `image`, block 0, row 0, column 0"),
        Field("image", 16, "first image, compared with image_limit only"),
        Field("image_limit", 16, "images of the tensor; later ones read as zeros"),
        Field("lane_images", 8, "strip mode: images over the lanes (A)"),
        Field("lane_rows", 8, "strip mode: row ranges over the lanes (B)"),
        Field("lane_columns", 8, "strip mode: column ranges over the lanes (C)"),
        Field("lane_row_step", 16, "strip mode: rows from one row range to the next"),
        Field("lane_column_step", 16, "strip mode: columns from one column range to the next"),
        Field("images", 16, "images (groups of lane_images images in strip mode)"),
        Field("image_stride", 32, "vectors from image to image"),
        Field("blocks", 16, "channel blocks"),
        Field("block_stride", 32, "vectors from block to block"),
        Field("row", 17, "first row, may lie above the map", signed=True),
        Field("rows", 16, "rows of the tile"),
        Field("height", 16, "rows of the map; rows outside read as zeros"),
        Field("column", 17, "first column, may lie left of the map", signed=True),
        Field("columns", 16, "columns of the tile"),
        Field("width", 16, "columns of the map, and vectors from row to row"),
    ],
)
