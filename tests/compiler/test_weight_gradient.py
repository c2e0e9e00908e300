"""Weight gradients: every sum is stored once, and only the last ones as fast as possible."""

from collections import Counter

import numpy as np
import pytest

from eftrain_hw import AcceleratorConfig
from eftrain_hw.array.commands import COMPUTE
from eftrain_hw.compiler.timing.drain_cost import drain_cost
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


@pytest.mark.parametrize("config, sizes", LAYERS)
def test_every_gradient_is_stored_once(config, sizes):
    layer = Layer(**{"batch": 4, "width": sizes["height"], **sizes})
    program = layer_program(layer, config)
    stored, banks = Counter(), 0
    gradient = program.tensors["layer.weight.gradient"]
    for issued in issued_commands(program.words("wu")):
        fields = issued.fields
        if issued.opcode == COMPUTE.opcode:
            banks += fields["release_accumulator"]
        elif issued.opcode == DRAIN.opcode:
            assert fields["acquire"] and banks, "a bank that nobody has handed over"
            if fields["base"] * 64 == gradient.address:
                for block in range(fields["blocks"]):
                    for image in range(fields["images"]):
                        first = fields["vector"] + block * fields["block_stride"]
                        first += image * fields["image_stride"]
                        stored.update(range(first, first + fields["run"]))
            banks -= fields["release"]
    assert banks == 0
    vectors = int(np.prod(gradient.shape)) // config.lanes
    assert stored == Counter(range(vectors))


def test_only_the_last_bank_is_in_a_hurry():
    layer = Layer(in_channels=256, out_channels=64, height=14, width=14, kernel=1, batch=4)
    program = layer_program(layer, CONFIG)
    commands = list(issued_commands(program.words("wu")))
    drains = [c.fields for c in commands if c.opcode == DRAIN.opcode and c.fields["run"] > 1]
    assert len(drains) > 1 and drains[-1]["pace"] == 0
    assert all(fields["pace"] > 0 for fields in drains[:-1])


def test_the_model_knows_the_pace():
    fields = dict.fromkeys(DRAIN.fields, 0) | {"blocks": 1, "images": 1, "run": 4, "raw": 1}
    intervals = [drain_cost(AcceleratorConfig(), fields | {"pace": n}).interval for n in range(5)]
    assert intervals == [2, 2, 4, 8, 16]  # 8 fp32 values are two words of the bus
