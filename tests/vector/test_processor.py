"""The vector processor in its unit: a program beside other commands, and what is no program.

Random programs run on Verilator, in sim/test_vector_program.py: they need more cycles.
"""

import numpy as np
import pytest

from eftrain_hw.config import AcceleratorConfig
from eftrain_hw.vector.commands import PROCESS
from sim.models.vector_examples import EXAMPLES
from sim.models.vector_memory import place

SMALL = AcceleratorConfig(
    lanes=8, drain_lanes=4, pool_words=64, loss_words=64, vector_programs=True
)


@pytest.mark.parametrize("format", ["bfp8", "fp32"])
def test_residual_add(run_program, format):
    run_program(SMALL.replace(format=format), EXAMPLES["residual_add"](8), stall=0.3)


@pytest.mark.parametrize("lanes", [4, 32])
def test_max_pool(run_program, lanes):
    run_program(SMALL.replace(lanes=lanes), EXAMPLES["max_pool"](lanes))


def test_a_parameter_a_cycle(run_program):
    cycles, _, fields = run_program(SMALL, EXAMPLES["sgd"](8))
    loading = fields["program_words"] + 16 + 4
    assert cycles - loading <= 40 * 8 + 120  # 36 + 14 in the pipeline and the encoder


@pytest.mark.parametrize(
    "word, flip",
    [(0, 1), (0, 1 << 16), (1, 1), (1, 1 << 21), (3, 1), (20, 1 << 31)],
    ids="version magic words instructions checksum body".split(),
)
def test_stops_at_what_is_no_program(make_unit, word, flip):
    memory, fields = place(EXAMPLES["sgd"](8), SMALL, np.random.default_rng(1))
    words = memory[fields["program"] * 64 :][: 4 * fields["program_words"]].view(np.uint32)
    words[word] ^= np.uint32(flip)
    if word != 3 and word != 20:
        words[3] = int(words[3]) - int(words.sum(dtype=np.uint64)) & 0xFFFFFFFF  # nothing else
    bench = make_unit(SMALL, size=len(memory))
    bench.memory[:] = memory
    bench.command(PROCESS, **fields)
    pulses = []

    def done(ctx):
        pulses.append(ctx.get(bench.dut.bad_program))
        if bench.cycles < 200:
            return False
        for actor in bench.actors:  # the accelerator drops what is still to be read
            if hasattr(actor, "source"):
                actor.source.items.clear()
        return True

    bench.run(done)
    assert sum(pulses) == 1
    bench.assert_nothing_else_written()


def test_a_program_without_a_processor_is_an_error(make_unit):
    memory, fields = place(EXAMPLES["sgd"](8), SMALL, np.random.default_rng(1))
    bench = make_unit(SMALL.replace(vector_programs=False), size=len(memory))
    bench.command(PROCESS, **fields)
    pulses = []

    def done(ctx):
        pulses.append(ctx.get(bench.dut.bad_program))
        return bench.cycles > 20

    bench.run(done)
    assert sum(pulses) == 1
    bench.assert_nothing_else_written()
