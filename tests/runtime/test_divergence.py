"""Training that diverges, and batches that are too small, on the golden model."""

import numpy as np
import pytest

from eftrain_hw import AcceleratorConfig, Trainer, compile_network, nn, open_device, optim
from eftrain_hw.cli import main
from eftrain_hw.runtime import DivergenceError

CONFIG = AcceleratorConfig(rows=4, lanes=4, drain_lanes=4)


def trainer(network, lr=0.1, batch=4, config=CONFIG):
    program = compile_network(
        network, config, batch_size=batch, loss=nn.CrossEntropyLoss(), optimizer=optim.SGD(lr=lr)
    )
    return Trainer(program, open_device("golden", config))


def data(images):
    rng = np.random.default_rng(1)
    return rng.normal(size=(images, 3)).astype(np.float32), rng.integers(0, 3, images)


def test_reported_at_its_step_and_the_checkpoint_survives(tmp_path):
    network = nn.Sequential(nn.Linear(3, 9), nn.ReLU(), nn.Linear(9, 3), input_shape=(3,))
    path, run = tmp_path / "last.safetensors", trainer(network)
    x, y = data(12)
    run.fit(x, y, epochs=1, save=path, progress=False)
    kept = path.read_bytes()
    run.learning_rate = 1e38
    with pytest.raises(DivergenceError, match=r"loss of step \d in epoch 1 is (nan|inf); the par"):
        run.fit(x, y, epochs=3, save=path, progress=False)
    assert path.read_bytes() == kept
    steps = [step["loss"] for step in run.history.steps]
    assert np.isfinite(steps[:-1]).all() and not np.isfinite(steps[-1])
    assert len(steps) == 4 + [s["epoch"] for s in run.history.steps].count(1) - 1
    again = Trainer.load(path, open_device("golden", CONFIG))
    assert again.epoch == 1 and all(np.isfinite(v).all() for v in again.state_dict().values())


def test_the_command_fails_and_says_where(tmp_path, capsys):
    path = tmp_path / "last.safetensors"
    status = main([
        "train", "--config", "sim-small", "--data", "digits", "--network", "digits",
        "--device", "golden", "--epochs", "1", "--lr", "1e30", "--quiet", "--save", str(path),
    ])  # fmt: skip
    assert status == 1 and not path.exists()
    assert "eftrain train: the training diverged: the loss of step" in capsys.readouterr().err


def test_a_single_value_in_the_last_batch():
    network = nn.Sequential(
        nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 3), input_shape=(3, 1, 1)
    )
    config = CONFIG.replace(vector_programs=True)
    run = trainer(network, config=config)
    x, y = data(9)
    message = r"^1.BatchNorm2d: there must be more than one value of each channel, but the last"
    with pytest.raises(ValueError, match=message):
        run.fit(x.reshape(9, 3, 1, 1), y, progress=False)
    run.fit(x[:8].reshape(8, 3, 1, 1), y[:8], progress=False)
    with pytest.raises(ValueError, match="1.BatchNorm2d: .* valid_images must be at least 2"):
        run.device.run("train", valid_images=1)


def test_label_smoothing_is_kept_and_may_change(tmp_path):
    network = nn.Sequential(nn.Linear(3, 3), input_shape=(3,))
    program = compile_network(
        network, CONFIG, batch_size=4, loss=nn.CrossEntropyLoss(label_smoothing=0.5),
        optimizer=optim.SGD(lr=1e-30),
    )  # fmt: skip
    run = Trainer(program, open_device("golden", CONFIG))
    x, y = data(4)
    losses = []
    for smoothing in (0.5, 0.0):
        run.label_smoothing = smoothing
        run.fit(x, y, progress=False)
        losses.append(run.history.steps[-1]["loss"])
    assert losses[1] == pytest.approx(run.evaluate(x, y)["loss"], rel=1e-5) != losses[0]
    run.save(tmp_path / "c")
    again = Trainer.load(tmp_path / "c", open_device("golden", CONFIG))
    assert again.program.loss.label_smoothing == 0.5 and again.label_smoothing == 0.0
    for value, kind in ((1.5, ValueError), ("much", TypeError)):
        with pytest.raises(kind, match="^label_smoothing must be "):
            run.device.run("train", label_smoothing=value)
