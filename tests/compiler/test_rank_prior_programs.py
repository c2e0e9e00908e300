"""Programs of the rank prior, carried out in NumPy, leave what the golden model says."""

import numpy as np
import pytest

from eftrain_hw import AcceleratorConfig, compile_network, nn, optim
from eftrain_hw.compiler.rank_prior import RankPrior
from eftrain_hw.compiler.state import bond_state
from eftrain_hw.golden.network import training_step
from sim.models.order import OrderedMachine
from sim.models.state import differences, initial_state, memory_image
from sim.models.tensor_train_networks import TENSOR_TRAIN_NETWORKS, convolution

CONFIG = AcceleratorConfig.preset("sim-small").replace(vector_programs=True)
PRIOR = RankPrior(strength=0.01, shape=0.5, scale=1e-3, threshold=0.95, interval=2)


def compiled(network, config=CONFIG, prior=PRIOR, **changes):
    settings = {"loss": nn.CrossEntropyLoss(), "optimizer": optim.SGD(lr=0.05, momentum=0.9)}
    return compile_network(network, config, batch_size=3, prior=prior, **settings | changes)


@pytest.mark.parametrize("lanes", [4, 8])
@pytest.mark.parametrize("name", [*TENSOR_TRAIN_NETWORKS, "convolution"])
def test_steps_equal_golden(name, lanes):
    config = CONFIG.replace(rows=lanes, lanes=lanes)
    make = TENSOR_TRAIN_NETWORKS.get(name, lambda: convolution(lanes))
    program = compiled(make(), config)
    state = initial_state(program, seed=1) | bond_state(program)
    memory, removed = memory_image(program, state), set()
    for number in (1, 2, 3):
        parameters = {"learning_rate": 0.05, "momentum": 0.9, "valid_images": 3}
        if number % 2:
            OrderedMachine(config, memory).run(program.words("variances"), **parameters)
        OrderedMachine(config, memory).run(program.words("train"), **parameters)
        training_step(program, state, number=number, **parameters)
        assert set(differences(program, memory, state)) <= {"prior", "scratch"}
        for bond in program.bonds:
            gone = state[bond.mask].reshape(-1)[: bond.rank] == 0
            removed |= {(number, bond.mask, rank) for rank in np.flatnonzero(gone)}
    assert removed, "no rank went"


@pytest.mark.parametrize(("changes", "message"), [
    ({"config": CONFIG.replace(vector_programs=False)}, "needs vector programs"),
    ({"optimizer": optim.SGD(lr=0.1, weight_decay=0.1)}, "a prior with weight decay"),
    ({"optimizer": optim.Adam(lr=0.1, max_grad_norm=0.1)}, "clipped gradients"),
])  # fmt: skip
def test_refusals(changes, message):
    network = nn.Sequential(
        nn.TTLinear(12, 6, (3, 4), (6, 1), rank=2, bias=False), input_shape=(12,)
    )
    with pytest.raises(ValueError, match=message):
        compiled(network, **changes)
