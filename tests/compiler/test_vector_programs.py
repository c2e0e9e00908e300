"""Layers that become vector programs, command by command in NumPy, beside the golden model."""

import numpy as np
import pytest

from eftrain_hw import AcceleratorConfig, compile_network, nn, optim
from eftrain_hw.compiler.passes.programs import walks
from eftrain_hw.compiler.scalars import SCALARS, run_time_scalars
from eftrain_hw.formats import Blocked
from eftrain_hw.golden.network import forward_pass, training_step
from eftrain_hw.vector.commands import PROCESS
from sim.models.order import OrderedMachine
from sim.models.program_networks import PROGRAM_NETWORKS
from sim.models.state import differences, initial_state, memory_image, stray_writes

SMALL = AcceleratorConfig.preset("sim-small").replace(vector_programs=True)
CONFIGS = {
    "8x8": SMALL,
    "32x32": SMALL.replace(rows=32, lanes=32),
    "8x4-fp32": SMALL.replace(lanes=4, format="fp32"),
}
PARAMETERS = {"learning_rate": 0.05, "momentum": 0.9}


SGD = optim.SGD(lr=0.05, momentum=0.9)


def compiled(network, config=SMALL, batch=3, optimizer=SGD, loss=None):
    loss = loss or nn.CrossEntropyLoss()
    return compile_network(network, config, batch_size=batch, loss=loss, optimizer=optimizer)


def check(network, config, batch, valid, name="train", optimizer=SGD, loss=None, scale=1.0, **step):
    """A step, or inference, leaves what the golden model says; returns the program.

    `scale`: factor of the images; `step`: number, seed, loss_images of a training step.
    """
    program = compiled(network, config, batch, optimizer, loss)
    state = initial_state(program, seed=batch, valid=valid)
    state["x"] = Blocked.encode(state["x"].format, state["x"].decode() * np.float32(scale))
    parameters = {**PARAMETERS, "valid_images": valid}
    if SCALARS in program.tensors:
        counts = {name: value for name, value in step.items() if name != "loss_images"}
        state[SCALARS] = run_time_scalars(
            program, learning_rate=PARAMETERS["learning_rate"], valid_images=valid, **counts
        )
    before = memory_image(program, state)
    memory = before.copy()
    images = {"loss_images": step.get("loss_images", valid)}
    OrderedMachine(config, memory).run(program.words(name), **parameters, **images)
    if name != "infer":
        first, update = name in ("train", "train_first"), name in ("train", "train_last")
        training_step(program, state, **parameters, **step, first=first, update=update)
        kinds = ("program", "scratch")
        names = {name for name, spec in program.tensors.items() if spec.kind not in kinds}
        views = {name for name, spec in program.tensors.items() if spec.view is not None}
        assert names - views <= set(state), "a tensor was not compared"
    else:
        forward_pass(program, state)
    assert differences(program, memory, state) == []
    assert stray_writes(program, before, memory) == 0
    return program


def network_for(name, config):
    make = PROGRAM_NETWORKS[name]
    return make(max(8, config.lanes)) if name == "joined" else make()


@pytest.mark.parametrize("batch, valid", [(2, 2), (5, 3)])
@pytest.mark.parametrize("name", PROGRAM_NETWORKS)
@pytest.mark.parametrize("config", CONFIGS)
def test_training_step_equals_golden(config, name, batch, valid):
    check(network_for(name, CONFIGS[config]), CONFIGS[config], batch, valid)


@pytest.mark.parametrize("name", PROGRAM_NETWORKS)
@pytest.mark.parametrize("config", CONFIGS)
def test_inference_equals_golden(config, name):
    check(network_for(name, CONFIGS[config]), CONFIGS[config], 3, 3, "infer")


@pytest.mark.parametrize("frozen", [("1",), ("0", "1"), ("3.body.1.weight",)])
def test_frozen_batch_normalisation(frozen):
    """Its parameters stay; the gradients of those below it do not."""
    network = nn.freeze(PROGRAM_NETWORKS["residual"](), *frozen)
    program = check(network, SMALL, 3, 2)
    updates = [name for name in program.tags.values() if name.endswith("1.BatchNorm2d update")]
    assert ("1.BatchNorm2d update" in updates) == ("1" not in frozen)


def test_equal_programs_lie_in_memory_once():
    program = compiled(PROGRAM_NETWORKS["residual"]())
    commands = [
        command
        for descriptors in program.descriptors.values()
        for descriptor in descriptors
        for command in descriptor.commands
        if command.layout is PROCESS
    ]
    images = {name for name in program.constants if name.startswith("vector.")}
    assert len({command.values["program"] for command in commands}) == len(images)
    assert len(images) < len(commands)


OPTIMIZERS = {
    "nesterov": optim.SGD(lr=0.05, momentum=0.9, nesterov=True),
    "decay": optim.SGD(lr=0.05, momentum=0.9, weight_decay=0.01),
    "nesterov-decay": optim.SGD(lr=0.05, momentum=0.9, nesterov=True, weight_decay=0.01),
    "clipped": optim.SGD(lr=0.05, momentum=0.9, max_grad_norm=0.1),
    "hardly-clipped": optim.SGD(lr=0.05, momentum=0.9, max_grad_norm=1e6),
    "adam": optim.Adam(lr=0.05),
    "adam-all": optim.Adam(lr=0.05, betas=(0.8, 0.9), weight_decay=0.1, max_grad_norm=0.5),
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("config", CONFIGS)
def test_optimizers_equal_golden(config, optimizer):
    network = PROGRAM_NETWORKS["short"]()
    check(network, CONFIGS[config], 3, 2, optimizer=OPTIMIZERS[optimizer], number=3)


@pytest.mark.parametrize("which", ["train", "train_first", "train_more", "train_last"])
@pytest.mark.parametrize("optimizer", [optim.SGD, optim.Adam])
def test_gradients_of_several_batches(optimizer, which):
    settings = {"lr": 0.05, "accumulation": 3, "max_grad_norm": 1.0}
    network, optimizer = PROGRAM_NETWORKS["short"](), optimizer(**settings)
    program = check(network, SMALL, 3, 2, which, optimizer, number=2, loss_images=8)
    assert set(program.descriptors) == {"train", "infer", "train_first", "train_more", "train_last"}


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("name", ["train", "infer"])
def test_dropout_equals_golden(name, config):
    check(PROGRAM_NETWORKS["dropped"](), CONFIGS[config], 3, 2, name, number=5, seed=77)


LINEAR = nn.Flatten(), nn.Linear(5 * 3, 9)
LAST = {  # what makes the outputs, as fp32
    "linear": LINEAR,
    "linear-relu": (*LINEAR, nn.ReLU()),
    "sigmoid": (*LINEAR, nn.Sigmoid()),
    "sigmoid-of-maps": (nn.Sigmoid(),),
    "leaky-relu": (nn.LeakyReLU(0.2),),
    "batch-norm": (nn.BatchNorm2d(5),),
    "batch-norm-relu": (nn.BatchNorm2d(5, affine=False), nn.ReLU()),
    "addition": (nn.Residual(nn.Conv2d(5, 5, 1)),),
    "average": (nn.AvgPool2d((2, 1), stride=1, padding=(1, 0)), nn.ReLU()),
}


@pytest.mark.parametrize("last", LAST)
@pytest.mark.parametrize("config", CONFIGS)
def test_squared_error_equals_golden(config, last):
    network = nn.Sequential(
        nn.Conv2d(2, 8, 3), nn.ReLU(), nn.Sigmoid(), nn.Conv2d(8, 5, 1), *LAST[last],
        input_shape=(2, 5, 3),
    )  # fmt: skip
    for name in ("train", "infer"):
        check(network, CONFIGS[config], 5, 3, name, loss=nn.MSELoss())


def test_sigmoid_of_large_values():
    """Beyond -87 the exponential is +0, and far beyond it too."""
    network = nn.Sequential(
        nn.Conv2d(2, 8, 3), nn.Sigmoid(), nn.Flatten(), nn.Linear(8 * 3, 3), input_shape=(2, 5, 3)
    )
    check(network, CONFIGS["8x4-fp32"], 5, 5, scale=100.0)


@pytest.mark.parametrize("name", ["residual", "added"])
def test_maps_of_more_vectors_than_a_loop_counts(name, monkeypatch):
    monkeypatch.setattr(walks, "MOST", 20)
    program = check(PROGRAM_NETWORKS[name](), SMALL, 2, 2)
    assert len(program.constants) > 3


def test_a_configuration_without_vector_programs_is_refused():
    message = (
        "1.BatchNorm2d: BatchNorm needs vector programs: AcceleratorConfig.vector_programs must be"
        " True, not False"
    )
    with pytest.raises(ValueError) as caught:
        compiled(PROGRAM_NETWORKS["residual"](), SMALL.replace(vector_programs=False))
    assert str(caught.value) == message


def test_programs_move_with_the_memory():
    base = 1 << 20
    program = compiled(PROGRAM_NETWORKS["added"]())
    state = initial_state(program)
    memory = np.concatenate([np.zeros(base, np.uint8), memory_image(program, state, base)])
    parameters = {**PARAMETERS, "valid_images": 3}
    OrderedMachine(SMALL, memory).run(program.words("train", base), **parameters)
    training_step(program, state, **parameters)
    assert differences(program, memory[base:], state) == []
