"""Vector programs on the vector unit against the NumPy machine: written ones."""

import numpy as np
import pytest

from eftrain_hw.config import AcceleratorConfig
from eftrain_hw.vector.assembler import A, B, C, Extent, Instruction, R, VectorProgram, Walk


def straight(count, **others):
    go = Walk(steps=(0, 0, 0, 1))
    return Extent((1, 1, 1, count), a=go, b=go, c=go, e=go, w0=go, w1=go, **others)


@pytest.mark.parametrize("format, lanes", [("bfp8", 16), ("bfp8", 8), ("fp32", 8)])
@pytest.mark.parametrize("stall", [0.0, 0.5])
def test_residual_add_and_relu(run_program, format, lanes, stall):
    config = AcceleratorConfig(lanes=lanes, format=format, drain_lanes=4)
    program = VectorProgram(
        (Instruction("pass", a0=A, c1=B, post="relu", to=("e",)),),
        (straight(40),),
        {"a": "elements", "b": "elements"},
    )
    run_program(config, program, seed=lanes, stall=stall)
