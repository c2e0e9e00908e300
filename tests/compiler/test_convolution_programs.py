"""Programs of every kind of convolution, carried out in NumPy, on arrays of other shapes."""

import numpy as np
import pytest

from eftrain_hw import AcceleratorConfig, compile_network, nn, optim
from eftrain_hw.golden.network import training_step
from sim.models.conv_networks import CONV_NETWORKS
from sim.models.order import OrderedMachine
from sim.models.state import differences, initial_state, memory_image, stray_writes

CONFIGS = {
    "24x16": AcceleratorConfig(rows=24),
    "tight": AcceleratorConfig(rows=6, lanes=8, moving_words=64, accumulator_depth=128),
}


@pytest.mark.parametrize("name", CONV_NETWORKS)
@pytest.mark.parametrize("config", CONFIGS)
def test_training_step_equals_golden(config, name):
    config = CONFIGS[config]
    program = compile_network(
        CONV_NETWORKS[name](),
        config,
        batch_size=2,
        loss=nn.CrossEntropyLoss(),
        optimizer=optim.SGD(lr=0.05, momentum=0.9),
    )
    parameters = {"learning_rate": 0.05, "momentum": 0.9, "valid_images": 2}
    state = initial_state(program)
    before = memory_image(program, state)
    memory = before.copy()
    OrderedMachine(config, memory).run(program.words("train"), **parameters)
    training_step(program, state, **parameters)
    assert differences(program, memory, state) == []
    assert stray_writes(program, before, memory) == 0
    gradients = [state[name] for name in state if name.endswith(".gradient")]
    assert all(np.isfinite(g).all() and g.any() for g in gradients)
