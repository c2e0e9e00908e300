"""Compiled programs, carried out command by command in NumPy, leave what the golden model says."""

import numpy as np
import pytest

from eftrain_hw import AcceleratorConfig, compile_network, nn, optim
from eftrain_hw.dma.commands import LOAD
from eftrain_hw.golden.network import training_step
from eftrain_hw.vector.commands import POOL_FORWARD
from sim.models.networks import NETWORKS
from sim.models.order import OrderedMachine
from sim.models.state import differences, initial_state, memory_image, stray_writes

DEFAULT = AcceleratorConfig()
CONFIGS = {
    "16x16": DEFAULT,
    "8x16": DEFAULT.replace(rows=8),
    "24x16": DEFAULT.replace(rows=24),
    "6x4": DEFAULT.replace(rows=6, lanes=4),
    "32x32": DEFAULT.replace(rows=32, lanes=32),
    "8x8-fp32": DEFAULT.replace(rows=8, lanes=8, format="fp32"),
    "tight": DEFAULT.replace(moving_words=128, stationary_words=256, accumulator_depth=256),
}


def run_step(network, config, batch, valid=None, seed=0):
    program = compile_network(
        network,
        config,
        batch_size=batch,
        loss=nn.CrossEntropyLoss(),
        optimizer=optim.SGD(lr=0.05, momentum=0.9),
    )
    parameters = {"learning_rate": 0.05, "momentum": 0.9, "valid_images": valid or batch}
    state = initial_state(program, seed=seed, valid=valid)
    before = memory_image(program, state)
    memory = before.copy()
    OrderedMachine(config, memory).run(program.words("train"), **parameters)
    training_step(program, state, **parameters)
    return program, state, before, memory


@pytest.mark.parametrize("batch", [1, 5, 17])
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("config", CONFIGS)
def test_training_step_equals_golden(config, name, batch):
    program, state, before, memory = run_step(NETWORKS[name](), CONFIGS[config], batch)
    assert differences(program, memory, state) == []
    assert stray_writes(program, before, memory) == 0


def pooled(channels=16, size=16):
    """A network whose first pooling rides on the convolution's tiles."""
    return nn.Sequential(
        nn.Conv2d(3, channels, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(channels, channels, 3, padding=1),
        nn.MaxPool2d(4),
        nn.Flatten(),
        nn.Linear(channels * (size // 8) ** 2, 10),
        input_shape=(3, size, size),
    )


@pytest.mark.parametrize("channels", [16, 40])
@pytest.mark.parametrize("config", ["16x16", "8x8-fp32"])
def test_pooling_rides_on_the_tiles(config, channels):
    program, state, before, memory = run_step(pooled(channels), CONFIGS[config], 5)
    rides = [
        command
        for descriptor in program.descriptors["train"]
        for command in descriptor.commands
        if command.layout is POOL_FORWARD and descriptor.loops != [1] * 5
    ]
    assert rides and "2.MaxPool2d forward" not in program.tags.values()
    assert differences(program, memory, state) == []
    assert stray_writes(program, before, memory) == 0


def nested():
    """The digits network in parts, its first convolution in a graph."""
    flat = NETWORKS["digits"]().layers
    g = nn.Graph((1, 8, 8))
    y = g(nn.Sequential(*flat[:2], nn.Identity()), g.input)
    y = g(nn.Sequential(nn.Dropout(0), nn.Sequential(*flat[2:6])), y, name="middle")
    return g.output(g(flat[7], g(flat[6], y)))


def test_nested_networks_make_the_same_program():
    settings = {
        "batch_size": 3,
        "loss": nn.CrossEntropyLoss(),
        "optimizer": optim.SGD(lr=0.1),
    }
    flat = compile_network(NETWORKS["digits"](), DEFAULT, **settings)
    same = compile_network(nested(), DEFAULT, **settings)
    for name in ("train", "infer"):
        np.testing.assert_array_equal(flat.words(name), same.words(name))
    assert "middle.1.1.weight" in same.tensors


@pytest.mark.parametrize("frozen", [("0",), ("0", "2"), ("4",), ("2", "6"), ("0", "2", "4", "6")])
def test_frozen_layers_cost_nothing(frozen):
    """No weight gradient and no update; no gradient below the lowest trained layer."""
    network = nn.freeze(NETWORKS["odd"](), *frozen)
    program, state, before, memory = run_step(network, DEFAULT, 5)
    assert differences(program, memory, state) == []
    assert stray_writes(program, before, memory) == 0
    passes = program.tags.values()
    kinds = {"0": "Conv2d", "2": "Conv2d", "4": "Conv2d", "6": "Linear"}
    for layer, kind in kinds.items():
        for name in ("weight gradient", "update"):
            assert (f"{layer}.{kind} {name}" in passes) == (layer not in frozen)
    trained = [layer for layer in (*kinds, "8") if layer not in frozen]
    backward = {name.split(".")[0] for name in passes if name.endswith(" backward")}
    assert backward == {layer for layer in (*kinds, "8") if layer > trained[0]}


@pytest.mark.parametrize("engine, name", [("drain", "large_kernels"), ("vector", "digits")])
def test_every_wait_is_needed(engine, name):
    """The check of the order would see if the waits for an engine were missing."""
    program, state, before, _ = run_step(NETWORKS[name](), DEFAULT, 2)
    for descriptor in program.descriptors["train"]:
        for command in descriptor.commands:
            place = LOAD.place(f"wait_{engine}")
            command.patches = [
                patch
                for patch in command.patches
                if command.layout is not LOAD or (patch.word, patch.value) != (0, 1 << place[1])
            ]
    parameters = {"learning_rate": 0.05, "momentum": 0.9, "valid_images": 2}
    with pytest.raises(AssertionError, match="reads what may not have been written by"):
        OrderedMachine(DEFAULT, before.copy()).run(program.words("train"), **parameters)


def test_every_tensor_is_compared():
    program, state, _, _ = run_step(NETWORKS["odd"](), DEFAULT, 3)
    names = {name for name, spec in program.tensors.items() if spec.kind != "program"}
    assert names == set(state)


def test_partial_batch_leaves_missing_images_without_gradient():
    program, state, _, memory = run_step(NETWORKS["digits"](), DEFAULT, 8, valid=5)
    assert differences(program, memory, state) == []
    gradient = state[program.ops[-1].gradient]
    assert np.any(gradient.elements[:5]) and not np.any(gradient.elements[5:])


def test_programs_move_with_the_memory():
    network = NETWORKS["digits"]()
    program = compile_network(
        network, DEFAULT, batch_size=2, loss=nn.CrossEntropyLoss(), optimizer=optim.SGD(lr=0.1)
    )
    base = 1 << 20
    state = initial_state(program)
    memory = np.concatenate([np.zeros(base, np.uint8), memory_image(program, state)])
    parameters = {"learning_rate": 0.1, "momentum": 0.0, "valid_images": 2}
    OrderedMachine(DEFAULT, memory).run(program.words("train", base), **parameters)
    training_step(program, state, **parameters)
    assert differences(program, memory[base:], state) == []
    with pytest.raises(ValueError, match="memory base must be a multiple of 64, not 0x20"):
        program.words("train", 32)
