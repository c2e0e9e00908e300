"""Commands of the drain and of the vector unit. Addresses are in lines of 64 bytes."""

from ..streams.command import CommandLayout, Field

__all__ = [
    "DRAIN",
    "LINE_BYTES",
    "LOSS",
    "POOL_BACKWARD",
    "POOL_FORWARD",
    "PROCESS",
    "UPDATE",
]

LINE_BYTES = 64

DRAIN = CommandLayout(
    "drain",
    3,
    [
        Field("acquire", 1, "wait for a bank that the array has handed over", flag=True),
        Field("release", 1, "give the bank back after the last read", flag=True),
        Field("relu", 1, "values that are not > 0 become +0", flag=True),
        Field(
            "mask",
            1,
            "values become +0 where the stored element at mask_base is not > 0",
            flag=True,
        ),
        Field("raw", 1, "store fp32 instead of the compute format", flag=True),
        Field("low", 1, "store bfp16's low digits, and no exponents", flag=True),
        Field("pace", 3, "read a group every 2^pace cycles, to leave the bus to loads", flag=True),
        Field("blocks", 16, "channel blocks of `lanes` rows; outermost loop"),
        Field("images", 16, "runs of each block"),
        Field("run", 16, "consecutive positions, one vector each"),
        Field("accumulator_base", 16, "accumulator position of the first vector"),
        Field("accumulator_image_step", 16, "accumulator positions from run to run"),
        Field("accumulator_m_step", 16, "accumulator positions from m-tile to m-tile"),
        Field("base", 32, "line of the tensor's elements (fp32 values if raw)", line=True),
        Field("exponent_base", 32, "line of the tensor's exponents", line=True),
        Field(
            "mask_base",
            32,
            "line of the elements of the mask, a tensor of the same shape",
            line=True,
        ),
        Field("vector", 32, "index of the first vector in the tensor"),
        Field("image_stride", 32, "vectors from run to run"),
        Field("block_stride", 32, "vectors from block to block"),
    ],
)

_POOL_SHAPE = [
    Field("planes", 32, "images * channel blocks"),
    Field("height", 16, "rows of the large map"),
    Field("width", 16, "columns of the large map"),
    Field("out_height", 16, "rows of the pooled map"),
    Field("out_width", 16, "columns of the pooled map"),
    Field("kernel_height", 8, "window rows, also the row stride"),
    Field("kernel_width", 8, "window columns, also the column stride"),
]

POOL_FORWARD = CommandLayout(
    "pool_forward",
    4,
    [
        Field("relu", 1, "results that are not > 0 become +0 with index 255", flag=True),
        Field("wide", 1, "there are low digits (bfp16)", flag=True),
        Field("source", 32, "line of the input's elements", line=True),
        Field("source_exponents", 32, "line of the input's exponents", line=True),
        Field("result", 32, "line of the result's elements", line=True),
        Field("result_exponents", 32, "line of the result's exponents", line=True),
        Field("index", 32, "line of the winners' indices, one byte an element", line=True),
        *_POOL_SHAPE,
        Field("source_low", 32, "line of the input's low digits, if wide", line=True),
        Field("result_low", 32, "line of the result's low digits, if wide", line=True),
    ],
)

POOL_BACKWARD = CommandLayout(
    "pool_backward",
    5,
    [
        Field("source", 32, "line of the pooled gradient's elements", line=True),
        Field("source_exponents", 32, "line of the pooled gradient's exponents", line=True),
        Field("result", 32, "line of the large gradient's elements", line=True),
        Field("result_exponents", 32, "line of the large gradient's exponents", line=True),
        Field("index", 32, "line of the winners' indices", line=True),
        *_POOL_SHAPE,
    ],
)

LOSS = CommandLayout(
    "loss",
    6,
    [
        Field("low", 1, "store the gradient's low digits (bfp16), and no exponents", flag=True),
        Field("logits", 32, "line of the fp32 logits, (images, blocks, lanes)", line=True),
        Field("labels", 32, "line of the labels, one 32-bit word an image", line=True),
        Field("gradient", 32, "line of the gradient's elements", line=True),
        Field("gradient_exponents", 32, "line of the gradient's exponents", line=True),
        Field(
            "losses",
            32,
            "line of the fp32 losses: one an image, then the batch's from the next line on",
            line=True,
        ),
        Field("images", 16, "images in the batch, valid or not"),
        Field("classes", 16, "classes"),
        Field("blocks", 16, "channel blocks of the logits"),
    ],
)

UPDATE = CommandLayout(
    "update",
    7,
    [
        Field("copy", 1, "store the compute copy as well", flag=True),
        Field(
            "low",
            1,
            "store nothing but the low digits (bfp16) of the copy of `master` as it is",
            flag=True,
        ),
        Field("gradient", 32, "line of the fp32 gradient", line=True),
        Field("momentum", 32, "line of the fp32 momentum", line=True),
        Field("master", 32, "line of the fp32 master weights", line=True),
        Field("result", 32, "line of the compute copy's elements", line=True),
        Field("result_exponents", 32, "line of the compute copy's exponents", line=True),
        Field("vectors", 32, "vectors of `lanes` parameters"),
    ],
)

PROCESS = CommandLayout(
    "process",
    8,
    [
        Field("use_scalars", 1, "read the 16 scalars at `scalars`", flag=True),
        Field("program", 32, "line of the vector program", line=True),
        Field("program_words", 16, "words of the program"),
        Field("scalars", 32, "line of 16 fp32 words", line=True),
        Field("a", 32, "line of stream A", line=True),
        Field("a_exponents", 32, "line of its exponents", line=True),
        Field("b", 32, "line of stream B", line=True),
        Field("b_exponents", 32, "line of its exponents", line=True),
        Field("c", 32, "line of stream C", line=True),
        Field("e", 32, "line of the encoded result", line=True),
        Field("e_exponents", 32, "line of its exponents", line=True),
        Field("w0", 32, "line of the raw results", line=True),
        Field("w1", 32, "line of the second results", line=True),
        Field("count", 32, "iterations of the outer loop"),
    ],
)
