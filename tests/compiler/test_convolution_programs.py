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


def concatenation(relu, pool=False):
    """Two convolutions side by side, one of them followed by a ReLU, or by a pooling as well."""
    g = nn.Graph((3, 4, 4))
    x = g(nn.Conv2d(3, 5, 1), g.input, name="a")
    y = g(nn.Conv2d(3, 6, 1), g.input, name="b")
    y = g(nn.ReLU(), y) if relu else y
    y = g(nn.MaxPool2d(1), y, name="pool") if pool else y
    z = g(nn.Flatten(), g(nn.Concat(), x, y, name="both"))
    return g.output(g(nn.Linear(11 * 16, 2), z, name="end"))


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (concatenation(True), "both.Concat: the concatenation of tensors with and without a ReLU"),
        (concatenation(False, pool=True), "pool.MaxPool2d fan-out: Fanout needs vector programs"),
    ],
)
def test_what_has_no_program_is_named(network, message):
    settings = {"loss": nn.CrossEntropyLoss(), "optimizer": optim.SGD(lr=0.1)}
    with pytest.raises(ValueError, match=message):
        compile_network(network, AcceleratorConfig(), batch_size=2, **settings)


def test_parts_of_a_concatenation_lie_in_it():
    program = compile_network(
        concatenation(False), AcceleratorConfig(lanes=4, rows=4), batch_size=3,
        loss=nn.CrossEntropyLoss(), optimizer=optim.SGD(lr=0.1),
    )  # fmt: skip
    whole, first, second = (program.tensors[name] for name in ("yboth", "ya", "yb"))
    spans = [*first.spans(), *second.spans()]
    assert len(spans) == 6 and sum(count for _, count in spans) == whole.nbytes
    starts = sorted(spans)
    assert starts[0][0] == whole.address and starts[-1][0] + starts[-1][1] == (
        whole.address + whole.nbytes
    )
    assert all(a + n == b for (a, n), (b, _) in zip(starts, starts[1:], strict=False))
