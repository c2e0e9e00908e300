"""Weight gradients whose last bank is stored in parts: every sum once, the commands in step."""

from collections import Counter

import numpy as np
import pytest

from eftrain_hw import AcceleratorConfig
from eftrain_hw.array.commands import COMPUTE
from eftrain_hw.runtime.benchmark import Layer
from eftrain_hw.runtime.benchmark.layer import layer_program
from eftrain_hw.sequencer.interpreter import issued_commands
from eftrain_hw.vector.commands import DRAIN

CONFIG = AcceleratorConfig()
WIDE = AcceleratorConfig(rows=8, lanes=16)
LAYERS = [
    (CONFIG, {"in_channels": 16, "out_channels": 64, "height": 12, "kernel": 3, "padding": 1}),
    (CONFIG, {"in_channels": 64, "out_channels": 64, "height": 14, "kernel": 1}),
    (CONFIG, {"in_channels": 16, "out_channels": 16, "height": 32, "kernel": 3, "padding": 1}),
    (CONFIG, {"in_channels": 40, "out_channels": 24, "height": 9, "kernel": 5, "padding": 2}),
    (WIDE, {"in_channels": 32, "out_channels": 32, "height": 16, "kernel": 3, "padding": 1}),
    (CONFIG, {"in_channels": 16, "out_channels": 16, "height": 3, "kernel": 1}),
]


def places(fields):
    """(m-tile, position) of every sum of a compute command, as often as a sweep begins it."""
    steps = [fields[f"accumulator_inner{d}"] for d in range(4)]
    counts = [fields[f"inner{d}"] for d in range(4)]
    inner = sum(
        np.arange(n).reshape(-1, *(1,) * (3 - d)) * step
        for d, (n, step) in enumerate(zip(counts, steps))
    ).reshape(-1)
    for tile in range(fields["m_tiles"]):
        base = fields["accumulator_base"] + tile * fields["accumulator_m_step"]
        yield from (int(base + place) for place in inner)
        if fields["ones"]:
            yield base + fields["ones_position"]


@pytest.mark.parametrize("config, sizes", LAYERS)
def test_every_gradient_is_stored_once_and_after_its_part(config, sizes):
    layer = Layer(**{"batch": 4, "width": sizes["height"], **sizes})
    program = layer_program(layer, config)
    stored, begun = Counter(), Counter()
    banks = reports = 0
    gradient = program.tensors["layer.weight.gradient"]
    for issued in issued_commands(program.words("wu")):
        fields = issued.fields
        if issued.opcode == COMPUTE.opcode:
            reports += fields["part"]
            banks += fields["release_accumulator"]
            if fields["init"]:
                begun.update(places(fields))
        elif issued.opcode == DRAIN.opcode:
            assert fields["acquire"] != fields["part"]
            assert not fields["acquire"] or banks, "a bank that nobody has handed over"
            assert reports >= fields["part"], "a part that nobody has reported"
            reports -= fields["part"]
            if fields["base"] * 64 == gradient.address:
                for block in range(fields["blocks"]):
                    for image in range(fields["images"]):
                        first = fields["vector"] + block * fields["block_stride"]
                        first += image * fields["image_stride"]
                        stored.update(range(first, first + fields["run"]))
            banks -= fields["release"]
    assert reports == banks == 0
    vectors = int(np.prod(gradient.shape)) // config.lanes
    assert stored == Counter(range(vectors))


def test_the_last_bank_is_cut_and_the_others_are_not_in_a_hurry():
    """By blocks of channels here; the drains of the other banks leave cycles to the loads."""
    layer = Layer(in_channels=256, out_channels=64, height=14, width=14, kernel=1, batch=4)
    program = layer_program(layer, CONFIG)
    commands = list(issued_commands(program.words("wu")))
    drains = [issued.fields for issued in commands if issued.opcode == DRAIN.opcode]
    parts = [fields for fields in drains if fields["part"]]
    assert len(parts) > 1 and parts == drains[-len(parts):]
    assert [fields["release"] for fields in parts] == [0] * (len(parts) - 1) + [1]
    assert all(fields["pace"] == 0 for fields in parts)
    others = [f for f in drains if not f["part"] and f["run"] > 1]
    assert others and all(fields["pace"] > 0 for fields in others)
