"""The trainer with batch normalisation, dropout, Adam, and gradients of several batches."""

import numpy as np
import pytest

from eftrain_hw import AcceleratorConfig, Trainer, compile_network, nn, open_device, optim

CONFIG = AcceleratorConfig.preset("sim-small").replace(vector_programs=True)
OPTIMIZERS = {
    "adam": optim.Adam(lr=0.02, weight_decay=0.01),
    "added-up": optim.Adam(lr=0.02, accumulation=2, max_grad_norm=1.0),
    "nesterov": optim.SGD(lr=0.05, momentum=0.9, nesterov=True),
}


def network():
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.1),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2), input_shape=(1, 4, 4),
    )  # fmt: skip


def data(count=22):
    """Two kinds of stripes; batches of four leave two images over."""
    rng = np.random.default_rng(5)
    y = rng.integers(0, 2, count)
    x = rng.normal(0, 0.2, (count, 1, 4, 4)).astype(np.float32)
    x[y == 0, :, ::2] += 1
    x[y == 1, :, :, ::2] += 1
    return x, y


def trainer(optimizer, device="golden"):
    program = compile_network(
        network(), CONFIG, batch_size=4, loss=nn.CrossEntropyLoss(), optimizer=optimizer
    )
    return Trainer(program, open_device(device, CONFIG), seed=3)


def state(one):
    return {**one.state_dict(), **one._state.read_kept()}


def same(ours, theirs):
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        assert value.tobytes() == theirs[name].tobytes(), name


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_learns_and_resumes_bit_exactly(optimizer, tmp_path, monkeypatch):
    x, y = data()
    whole = trainer(OPTIMIZERS[optimizer])
    history = whole.fit(x, y, epochs=12, progress=False)
    assert whole.evaluate(x, y)["accuracy"] > 0.9
    assert history.epochs[-1]["loss"] < history.epochs[0]["loss"]
    per_epoch = 3 if optimizer == "added-up" else 6
    assert whole.updates == 12 * per_epoch

    part = trainer(OPTIMIZERS[optimizer])
    step, count = part._step, []

    def interrupted(*arguments):
        count.append(0)
        if len(count) == 6 * 5 + 3:  # between two batches that are added up
            raise KeyboardInterrupt
        return step(*arguments)

    monkeypatch.setattr(part, "_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        part.fit(x, y, epochs=12, progress=False)
    part.save(tmp_path / "c")
    with open_device("golden", CONFIG) as device:
        resumed = Trainer.load(tmp_path / "c", device)
        assert resumed.program.optimizer == OPTIMIZERS[optimizer]
        resumed.fit(x, y, epochs=7, progress=False)
        same(state(resumed), state(whole))


@pytest.mark.rtl
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_rtl_trains_like_the_golden_model(optimizer):
    x, y = data()
    rtl, golden = trainer(OPTIMIZERS[optimizer], "sim"), trainer(OPTIMIZERS[optimizer])
    losses = []
    for one in (rtl, golden):
        history = one.fit(x, y, epochs=2, progress=False)
        losses.append([step["loss"] for step in history.steps])
    assert losses[0] == losses[1]
    same(state(rtl), state(golden))
    assert rtl.logits(x).tobytes() == golden.logits(x).tobytes()
    rtl.device.close()


def test_batches_are_not_added_up_where_the_optimizer_does_not():
    one = trainer(OPTIMIZERS["adam"])
    message = "first and update must be True where the optimizer's accumulation is 1, not True and"
    with pytest.raises(ValueError, match=message):
        one.device.run("train", update=False)


def test_squared_error(tmp_path):
    """Learns to say how bright an image is; the trainer says the loss, and no accuracy."""
    x, _ = data()
    y = x.mean(axis=(1, 2, 3)).reshape(-1, 1)
    network = nn.Sequential(nn.Flatten(), nn.Linear(16, 1), input_shape=(1, 4, 4))
    settings = {"batch_size": 4, "loss": nn.MSELoss(), "optimizer": optim.SGD(lr=0.05)}
    program = compile_network(network, CONFIG, **settings)
    one = Trainer(program, open_device("golden", CONFIG), seed=3)
    before = one.evaluate(x, y)
    assert before.keys() == {"loss"}
    history = one.fit(x, y, epochs=20, validation=(x, y), progress=False)
    after = one.evaluate(x, y)["loss"]
    assert after < before["loss"] / 10
    assert history.epochs[-1]["validation_loss"] == after
    assert "train_accuracy" not in history.epochs[-1]
    one.save(tmp_path / "c")
    again = Trainer.load(tmp_path / "c", open_device("golden", CONFIG))
    assert again.evaluate(x, y)["loss"] == after
    with pytest.raises(ValueError, match=r"y must have shape \(N, \*\(1,\)\)"):
        one.fit(x, y.reshape(-1), progress=False)
