"""A vector program on the vector unit and on the NumPy machine; memory must come out the same."""

import numpy as np

from eftrain_hw.vector.commands import PROCESS
from sim.models.vector_machine import VectorMachine
from sim.models.vector_memory import place

__all__ = ["run_program"]


def run_program(
    unit, config, program, *, seed=1, stall=0.0, count=1, special=False, valid_images=2, limit=60000
):
    """Run a program on `unit` (a class like `conftest.Unit`); returns (cycles, memory)."""
    rng = np.random.default_rng(seed)
    memory, fields = place(program, config, rng, count=count, special=special)
    inputs = {"learning_rate": 0.125, "momentum": 0.75, "inverse_images": 0.5}
    bench = unit(config, seed=seed, stall=stall, size=len(memory))
    bench.memory[:] = memory
    for name, value in inputs.items():
        bench.set(name, np.float32(value))
    bench.set("valid_images", valid_images)
    bench.command(PROCESS, **fields)
    cycles = bench.finish(limit)
    VectorMachine(config, memory).run(**inputs, valid_images=valid_images, **fields)
    wrong = np.flatnonzero(memory != bench.memory)
    assert not len(wrong), (
        f"{len(wrong)} bytes differ, the first at line {wrong[0] // 64} byte {wrong[0] % 64}:"
        f" {bench.memory[wrong[0]]} instead of {memory[wrong[0]]}; {fields}"
    )
    return cycles, memory, fields
