"""The compute command: one pass of the PE array over tiles that are on chip."""

from ..streams.command import CommandLayout, Field

__all__ = ["COMPUTE"]

COMPUTE = CommandLayout(
    "compute",
    2,
    [
        Field(
            "acquire_moving", 1, "wait for a published moving slot before the first read", flag=True
        ),
        Field("release_moving", 1, "free the moving slot after the last read", flag=True),
        Field("acquire_stationary", 1, "wait for a published stationary slot", flag=True),
        Field("release_stationary", 1, "free the stationary slot after the last read", flag=True),
        Field("acquire_accumulator", 1, "wait for a free accumulator bank", flag=True),
        Field("release_accumulator", 1, "hand the bank to the drain after the last add", flag=True),
        Field("init", 1, "the first outer iteration of each m-tile starts the sums", flag=True),
        Field("bias", 1, "sums start from the row's bias instead of +0", flag=True),
        Field(
            "ones",
            1,
            "after each inner sweep, one more position whose moving vector is 1.0",
            flag=True,
        ),
        Field("zero", 1, "moving vectors are read as zeros (mantissa 0, exponent 0)", flag=True),
        Field(
            "moving_serial",
            1,
            "exponents of the moving operand: 0 one a vector, 1 one a lane",
            flag=True,
        ),
        Field("stationary_serial", 1, "the same for the stationary operand", flag=True),
        Field("moving_wide", 1, "the moving slot holds elements of two digits", flag=True),
        Field("stationary_wide", 1, "the same for the stationary operand", flag=True),
        Field("m_tiles", 16, "m-tiles: groups of `rows` rows, outermost loop"),
        Field(
            "outer0",
            16,
            "count of reduction loop 0 (outermost); each step changes the stationary operand",
        ),
        Field("outer1", 16, "count of reduction loop 1"),
        Field("outer2", 16, "count of reduction loop 2"),
        Field(
            "moving_outer0",
            20,
            "step of the moving address in reduction loop 0, elements",
            signed=True,
        ),
        Field("moving_outer1", 20, "the same, loop 1", signed=True),
        Field("moving_outer2", 20, "the same, loop 2", signed=True),
        Field(
            "stationary_outer0",
            20,
            "step of the stationary address in reduction loop 0, elements",
            signed=True,
        ),
        Field("stationary_outer1", 20, "the same, loop 1", signed=True),
        Field("stationary_outer2", 20, "the same, loop 2", signed=True),
        Field("inner0", 16, "count of position loop 0 (outermost); one position a cycle"),
        Field("inner1", 16, "count of position loop 1"),
        Field("inner2", 16, "count of position loop 2"),
        Field("inner3", 16, "count of position loop 3"),
        Field(
            "moving_inner0",
            20,
            "step of the moving address in position loop 0, elements",
            signed=True,
        ),
        Field("moving_inner1", 20, "the same, loop 1", signed=True),
        Field("moving_inner2", 20, "the same, loop 2", signed=True),
        Field("moving_inner3", 20, "the same, loop 3", signed=True),
        Field("accumulator_inner0", 16, "step of the accumulator position in position loop 0"),
        Field("accumulator_inner1", 16, "the same, loop 1"),
        Field("accumulator_inner2", 16, "the same, loop 2"),
        Field("accumulator_inner3", 16, "the same, loop 3"),
        Field("moving_base", 20, "moving address of the first position, elements"),
        Field("stationary_base", 20, "stationary address of row 0 of the first step, elements"),
        Field("accumulator_base", 16, "accumulator position of the first position"),
        Field("accumulator_m_step", 16, "accumulator positions from one m-tile to the next"),
        Field("stationary_block_step", 20, "stationary elements from row r to row r + lanes"),
        Field("ones_position", 16, "accumulator position of the `ones` position, within an m-tile"),
    ],
)
