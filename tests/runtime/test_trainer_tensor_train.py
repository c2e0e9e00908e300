"""Trainer, checkpoints and the devices with tensor-train layers."""

import numpy as np
import pytest

from eftrain_hw import AcceleratorConfig, Trainer, compile_network, nn, open_device, optim
from eftrain_hw.compiler.rank_prior import RankPrior
from eftrain_hw.compiler.tensor_train import dense_weight
from eftrain_hw.runtime.checkpoint import CheckpointError

CONFIG = AcceleratorConfig.preset("sim-small").replace(vector_programs=True)


def program(network=None, **changes):
    network = network or nn.Sequential(
        nn.Flatten(),
        nn.TTLinear(30, 16, in_shape=(6, 5), out_shape=(2, 8), rank=3),
        nn.ReLU(),
        nn.TTLinear(16, 3, in_shape=(2, 8), out_shape=(3, 1), rank=2),
        input_shape=(1, 6, 5),
    )
    settings = {"loss": nn.CrossEntropyLoss(), "optimizer": optim.SGD(lr=0.05, momentum=0.9)}
    return compile_network(network, CONFIG, batch_size=8, **settings | changes)


def data(images=44):
    """Classes that a linear map tells apart."""
    rng = np.random.default_rng(5)
    x = rng.normal(0, 1, (images, 1, 6, 5)).astype(np.float32)
    return x, (x.reshape(images, -1) @ rng.normal(0, 1, (30, 3))).argmax(axis=1)


def learned(trainer):
    state = {**trainer.state_dict(), **{f"m{n}": v for n, v in trainer.momentum_dict().items()}}
    return {name: value.tobytes() for name, value in state.items()}


def test_trains_and_resumes(tmp_path):
    x, y = data()
    with open_device("golden", CONFIG) as device:
        trainer = Trainer(program(), device, seed=3)
        assert set(trainer.state_dict()) == {
            "1.cores.0", "1.cores.1", "1.bias", "3.cores.0", "3.cores.1", "3.bias",
        }  # fmt: skip
        history = trainer.fit(x, y, epochs=4, progress=False)
        trainer.save(tmp_path / "tt.safetensors")
        trainer.fit(x, y, epochs=4, progress=False)
        assert history.epochs[-1]["loss"] < 0.8 * history.epochs[0]["loss"]
        again = Trainer.load(tmp_path / "tt.safetensors", device)
        again.fit(x, y, epochs=4, progress=False)
        assert learned(again) == learned(trainer)
        assert (again.predict(x) == y).mean() > 0.7


def test_cores_start_with_the_variance_of_a_linear_layer():
    layer = nn.TTLinear(240, 240, in_shape=(8, 6, 5), out_shape=(6, 5, 8), rank=(8, 7))
    last = nn.TTLinear(240, 2, in_shape=(6, 5, 8), out_shape=(1, 1, 2), rank=2)
    network = nn.Sequential(layer, nn.ReLU(), last, input_shape=(240,))
    with open_device("golden", CONFIG) as device:
        state = Trainer(program(network), device).state_dict()
    assert np.abs(state["0.bias"]).max() <= 240**-0.5
    cores = {name.removeprefix("0."): v for name, v in state.items() if name.startswith("0.cores")}
    assert dense_weight(layer, cores).std() == pytest.approx((3 * 240) ** -0.5, rel=0.2)


PRIORS = {"no prior": None, "prior": RankPrior(strength=0.05, threshold=0.9, interval=2)}


def test_a_prior_starts_anew(tmp_path):
    x, y = data()
    compiled = program(prior=PRIORS["prior"])
    with open_device("golden", CONFIG) as device:
        trainer = Trainer(compiled, device)
        trainer.fit(x, y, progress=False)
        masks = [device.read_tensor(bond.mask) for bond in compiled.bonds]
        assert min(mask.sum() for mask in masks) < 2
        trainer.save(tmp_path / "tt.safetensors")
        with pytest.raises(CheckpointError, match="a program with a prior must start anew"):
            Trainer.load(tmp_path / "tt.safetensors", device, compiled)
        again = Trainer(compiled, device)
        masks = [device.read_tensor(bond.mask) for bond in compiled.bonds]
        assert [mask.sum() for mask in masks] == [3, 2]
        again.fit(x, y, progress=False)
        assert learned(again) == learned(trainer)


@pytest.mark.rtl
@pytest.mark.parametrize("prior", PRIORS)
def test_an_epoch_on_the_rtl(prior):
    x, y = data(36)  # the last batch is partial
    bits = []
    for kind in ("golden", "sim"):
        with open_device(kind, CONFIG) as device:
            trainer = Trainer(program(prior=PRIORS[prior]), device, seed=1)
            trainer.fit(x, y, progress=False)
            bits.append({**learned(trainer), "logits": trainer.logits(x).tobytes()})
            for bond in trainer.program.bonds:
                for name in (bond.mask, bond.variance):
                    bits[-1][name] = device.read_tensor(name).tobytes()
    assert bits[0] == bits[1]
