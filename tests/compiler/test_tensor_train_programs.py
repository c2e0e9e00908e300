"""Programs of tensor-train layers, carried out in NumPy, leave what the golden model says."""

import re

import pytest

from eftrain_hw import AcceleratorConfig, compile_network, nn, optim
from eftrain_hw.compiler.scalars import SCALARS, run_time_scalars
from eftrain_hw.golden.network import training_step
from sim.models.order import OrderedMachine
from sim.models.state import differences, initial_state, memory_image, stray_writes
from sim.models.tensor_train_networks import (
    TENSOR_TRAIN_NETWORKS,
    convolution,
    full_lanes,
    wide_ranks,
)

SMALL = AcceleratorConfig.preset("sim-small").replace(vector_programs=True)
CONFIGS = {
    "8x8": SMALL,
    "4x4": SMALL.replace(rows=4, lanes=4),
    "8x4": SMALL.replace(rows=8, lanes=4),
    "4x8": SMALL.replace(rows=4),
    "4x8-fp32": SMALL.replace(rows=4, format="fp32"),
    "tight": SMALL.replace(moving_words=64, stationary_words=64, accumulator_depth=128),
}


def run_step(network, config, batch, optimizer=None):
    program = compile_network(
        network, config, batch_size=batch, loss=nn.CrossEntropyLoss(),
        optimizer=optimizer or optim.SGD(lr=0.05, momentum=0.9),
    )  # fmt: skip
    parameters = {"learning_rate": 0.05, "momentum": 0.9, "valid_images": max(1, batch - 1)}
    state = initial_state(program, seed=batch, valid=parameters["valid_images"])
    if SCALARS in program.tensors:
        state[SCALARS] = run_time_scalars(
            program, learning_rate=0.05, valid_images=parameters["valid_images"]
        )
    before = memory_image(program, state)
    memory = before.copy()
    OrderedMachine(config, memory).run(program.words("train"), **parameters)
    training_step(program, state, **parameters)
    return program, state, before, memory


def check(program, state, before, memory):
    assert differences(program, memory, state) == []
    assert stray_writes(program, before, memory) == 0


@pytest.mark.parametrize("batch", [1, 3, 11])
@pytest.mark.parametrize("name", TENSOR_TRAIN_NETWORKS)
@pytest.mark.parametrize("config", CONFIGS)
def test_step_equals_golden(config, name, batch):
    check(*run_step(TENSOR_TRAIN_NETWORKS[name](), CONFIGS[config], batch))


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("make", [convolution, full_lanes])
@pytest.mark.parametrize("config", CONFIGS)
def test_layers_that_fill_the_lanes(config, make, batch):
    check(*run_step(make(CONFIGS[config].lanes), CONFIGS[config], batch))


def test_ranks_of_three_blocks():
    check(*run_step(wide_ranks(12), CONFIGS["4x4"], 3))
    message = (
        "1.TTLinear step 2: the accelerator has no program for ranks of 3 blocks of 4 lanes on 8"
        " rows, which do not divide their 12 yet"
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        run_step(wide_ranks(12), CONFIGS["8x4"], 3)


def test_ranks_of_two_blocks_before_the_pixels():
    """The first core of a TTConv2d."""
    network = convolution(4)
    layer = nn.TTConv2d(8, 12, 3, in_shape=(2, 4), out_shape=(4, 3), rank=5, stride=2, padding=1)
    layers = [layer if isinstance(each, nn.TTConv2d) else each for each in network.layers]
    network = nn.Sequential(*layers, input_shape=network.input_shape)
    message = "2.TTConv2d step 1: the accelerator has no program for ranks of 2 blocks of 4"
    with pytest.raises(ValueError, match=re.escape(message)):
        run_step(network, CONFIGS["4x4"], 3)


def test_clipped_gradients_with_weight_decay():
    optimizer = optim.SGD(lr=0.05, momentum=0.9, weight_decay=0.01, max_grad_norm=1.0)
    check(*run_step(TENSOR_TRAIN_NETWORKS["first_on"](), CONFIGS["4x8"], 3, optimizer))
