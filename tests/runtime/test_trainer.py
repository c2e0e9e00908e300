"""Trainer and checkpoints on the golden device; the RTL's turn is in test_sim_device.py."""

import numpy as np
import pytest
import safetensors.numpy

from eftrain_hw import AcceleratorConfig, Trainer, compile_network, nn, open_device, optim
from eftrain_hw.runtime import CheckpointError, checkpoint

CONFIG = AcceleratorConfig.preset("sim-small").replace(lanes=4, rows=4)
LAYERS = (
    nn.Conv2d(1, 5, 3, padding=1),
    nn.ReLU(),
    nn.MaxPool2d(2),
    nn.Flatten(),
    nn.Linear(20, 3),
)


def compiled(*layers, batch_size=4, config=CONFIG, lr=0.1):
    network = nn.Sequential(*(layers or LAYERS), input_shape=(1, 5, 4))
    return compile_network(
        network,
        config,
        batch_size=batch_size,
        loss=nn.CrossEntropyLoss(),
        optimizer=optim.SGD(lr=lr, momentum=0.9),
    )


def trainer(seed=0, **changes):
    program = compiled(**changes)
    return Trainer(program, open_device("golden", program.config), seed=seed)


@pytest.fixture(scope="module")
def data():
    """Three classes of noisy stripes; 10 images: the last batch of 4 has 2."""
    rng = np.random.default_rng(8)
    y = np.arange(10) % 3
    x = rng.normal(0, 0.1, (10, 1, 5, 4)).astype(np.float32)
    x[np.arange(10), 0, :, y] += 1
    return x, y


def same_state(one, other):
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(
            one[name].view(np.uint32), other[name].view(np.uint32), err_msg=name, strict=True
        )


def test_initial_parameters_have_pytorchs_names_shapes_and_bounds():
    state = trainer().state_dict()
    assert {name: value.shape for name, value in state.items()} == {
        "0.weight": (5, 1, 3, 3), "0.bias": (5,), "4.weight": (3, 20), "4.bias": (3,),
    }  # fmt: skip
    for name, fan_in in (("0.weight", 9), ("0.bias", 9), ("4.weight", 20), ("4.bias", 20)):
        bound = fan_in**-0.5
        assert 0.5 * bound < np.abs(state[name]).max() <= bound
        assert state[name].dtype == np.float32
    same_state(state, trainer().state_dict())
    assert (state["0.weight"] != trainer(seed=1).state_dict()["0.weight"]).all()


def test_fit_learns_and_reports(data):
    x, y = data
    t = trainer()
    before = t.evaluate(x, y)
    history = t.fit(x, y, epochs=30, validation=(x, y), progress=False)
    after = t.evaluate(x, y)
    assert after["loss"] < 0.1 < before["loss"] and after["accuracy"] == 1
    assert len(history.steps) == 30 * 3 and len(history.epochs) == 30 and t.epoch == 30
    last = history.epochs[-1]
    assert last["validation_accuracy"] == 1 and last["validation_loss"] == after["loss"]
    assert last["train_accuracy"] == 1 and last["epoch"] == 29
    assert set(history.steps[0]) == {"epoch", "loss", "cycles"}
    np.testing.assert_array_equal(t.predict(x), y)
    assert t.logits(x).shape == (10, 3) and t.logits(x).dtype == np.float32


def test_schedule_is_the_learning_rate_of_each_epoch(data):
    one, other = trainer(), trainer()
    rates = [0.1, 0.02]
    one.fit(*data, epochs=2, schedule=lambda epoch: rates[epoch], progress=False)
    for rate in rates:
        other.learning_rate = rate
        other.fit(*data, progress=False)
    same_state(one.state_dict(), other.state_dict())
    same = trainer()
    same.fit(*data, epochs=2, progress=False)
    assert (one.state_dict()["4.weight"] != same.state_dict()["4.weight"]).any()


def test_partial_batch_equals_its_images_alone(data):
    """2 images in a batch of 4 train as those 2 would in a batch of 2."""
    x, y = data
    states = []
    for batch_size in (4, 2):
        t = trainer(batch_size=batch_size)
        t.fit(x[:2], y[:2], epochs=3, progress=False)
        states.append((t.state_dict(), [step["loss"] for step in t.history.steps]))
    assert states[0][1] == pytest.approx(states[1][1], rel=0.02)
    for name, value in states[0][0].items():  # strips differ, so bits do
        np.testing.assert_allclose(value, states[1][0][name], atol=0.01)


def test_each_image_is_used_once_an_epoch(data, monkeypatch):
    x, y = data
    seen = []
    t = trainer()
    step = t._step
    monkeypatch.setattr(t, "_step", lambda a, *rest: seen.append(a.copy()) or step(a, *rest))
    t.fit(x, y, epochs=2, progress=False)
    assert [len(part) for part in seen] == [4, 4, 2] * 2
    first, second = np.concatenate(seen[:3]), np.concatenate(seen[3:])
    assert (first != second).any()
    order = x[:, 0, 0, 0].argsort()
    for epoch in (first, second):
        np.testing.assert_array_equal(epoch[epoch[:, 0, 0, 0].argsort()], x[order])


def test_checkpoint_resumes_bit_exactly(data, tmp_path):
    x, y = data
    whole = trainer(seed=5)
    whole.fit(x, y, epochs=4, progress=False)
    first = trainer(seed=5)
    first.learning_rate = 0.1
    first.fit(x, y, epochs=2, progress=False)
    first.save(tmp_path / "c.safetensors")
    resumed = Trainer.load(tmp_path / "c.safetensors", open_device("golden", CONFIG))
    assert resumed.seed == 5 and resumed.epoch == 2
    assert resumed.program.batch_size == 4
    resumed.fit(x, y, epochs=2, progress=False)
    same_state(resumed.state_dict(), whole.state_dict())
    same_state(resumed.momentum_dict(), whole.momentum_dict())
    assert whole.momentum_dict()["0.weight"].any()


def test_interrupted_epoch_resumes_bit_exactly(data, tmp_path, monkeypatch):
    x, y = data
    whole = trainer()
    whole.fit(x, y, epochs=2, progress=False)
    t = trainer()
    step, count = t._step, []

    def interrupted(*arguments):
        count.append(0)
        if len(count) == 5:
            import signal

            signal.raise_signal(signal.SIGINT)  # the step still ends
        return step(*arguments)

    monkeypatch.setattr(t, "_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        t.fit(x, y, epochs=2, progress=False)
    assert (t.epoch, t._batch) == (1, 2)
    t.save(tmp_path / "c")
    resumed = Trainer.load(tmp_path / "c", open_device("golden", CONFIG))
    resumed.fit(x, y, epochs=1, progress=False)
    same_state(resumed.state_dict(), whole.state_dict())


def test_checkpoint_is_safetensors(data, tmp_path):
    t = trainer()
    t.fit(*data, epochs=1, progress=False)
    path = tmp_path / "c.safetensors"
    t.save(path)
    read = safetensors.numpy.load_file(path)
    same_state({name: read[name] for name in t.state_dict()}, t.state_dict())
    assert sorted(read) == sorted([*t.state_dict(), *(n + ".momentum" for n in t.state_dict())])
    # and the other way
    other = {name: value + 1 for name, value in t.state_dict().items()}
    safetensors.numpy.save_file(other, path)
    t.load_state_dict(checkpoint.read_safetensors(path)[0])
    same_state(t.state_dict(), other)
    assert not t.momentum_dict()["4.weight"].any()


def test_checkpoint_of_another_network_is_refused(tmp_path):
    path = tmp_path / "c"
    trainer().save(path)
    device = open_device("golden", CONFIG)
    layers = (nn.Conv2d(1, 5, 3), *LAYERS[1:4], nn.Linear(5, 3))
    message = r"is of another network: layer 0 is Conv2d\(.*padding=\(1, 1\).* there, Conv2d\("
    with pytest.raises(CheckpointError, match=message):
        Trainer.load(path, device, compiled(*layers))


def test_damaged_checkpoints_are_refused(tmp_path):
    device = open_device("golden", CONFIG)
    path = tmp_path / "c"
    trainer().save(path)
    content = path.read_bytes()
    for damaged, message in (
        (b"", "is not a safetensors file: its header is cut off"),
        (content[:100], "is not a safetensors file: its header is cut off"),
        (content[:-1], "is not a safetensors file: tensor .* is cut off"),
        (b"hello world, this is no checkpoint", "is not a safetensors file"),
        (content[:8] + b"!" + content[9:], "is not a safetensors file"),
    ):
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError, match=message):
            Trainer.load(path, device)
    safetensors.numpy.save_file({"a": np.zeros(3, np.float32)}, path)
    with pytest.raises(CheckpointError, match="is not a checkpoint of this program"):
        Trainer.load(path, device)


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "c"
    path.write_text("old")
    t = trainer()
    monkeypatch.setattr(checkpoint.os, "replace", lambda *names: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        t.save(path)
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("4.bias"), "exactly the names .*: '4.bias' is missing"),
        (lambda s: s.update({"5.bias": 0}), "exactly the names .*: '5.bias' is not among them"),
        (
            lambda s: s.update({"4.weight": np.zeros((3, 21))}),
            r"state_dict\['4.weight'\] must have shape \(3, 20\), not \(3, 21\)",
        ),
        (lambda s: s["0.bias"].fill(np.nan), r"state_dict\['0.bias'\] must be finite"),
    ],
)
def test_bad_state_is_refused_whole(change, message):
    t = trainer()
    before = t.state_dict()
    state = {name: value + 1 for name, value in before.items()}
    change(state)
    with pytest.raises(ValueError, match=message):
        t.load_state_dict(state)
    same_state(t.state_dict(), before)


def test_bad_data_is_named(data):
    x, y = data
    t = trainer()
    with pytest.raises(ValueError, match=r"x must have shape \(N, \*\(1, 5, 4\)\), .* not \(10,"):
        t.fit(x[:, 0], y)
    with pytest.raises(ValueError, match=r"N at least 1, not \(0, 1, 5, 4\)"):
        t.predict(x[:0])
    bad = x.copy()
    bad[3, 0, 2, 1] = np.nan
    with pytest.raises(ValueError, match=r"x must be finite: x\[3, 0, 2, 1\] is nan \(1 of 200"):
        t.fit(bad, y)
    bad[3, 0, 2, 1] = -np.inf
    with pytest.raises(ValueError, match=r"validation x\[3, 0, 2, 1\] is -inf"):
        t.fit(x, y, validation=(bad, y))
    with pytest.raises(ValueError, match="x must be numbers, not <U1"):
        t.fit(np.full(x.shape, "a"), y)
    labels = y.copy()
    labels[7] = 3
    with pytest.raises(ValueError, match=r"y must be 0 to 2 for .* 3 outputs: y\[7\] is 3"):
        t.fit(x, labels)
    labels[7] = -1
    with pytest.raises(ValueError, match=r"validation y\[7\] is -1"):
        t.fit(x, y, validation=(x, labels))
    with pytest.raises(ValueError, match="y must be integers, not float64"):
        t.fit(x, y.astype(float))
    with pytest.raises(ValueError, match=r"y must have shape \(10,\), .*, not \(9,\)"):
        t.fit(x, y[:9])
    with pytest.raises(ValueError, match="epochs must be an integer, at least 0, not -1"):
        t.fit(x, y, epochs=-1)
    assert not t.history.steps


def test_bad_devices_and_programs(data):
    with pytest.raises(ValueError, match=r"device must be one of .*'golden', 'sim', .*, not 'gpu'"):
        open_device("gpu", CONFIG)
    with pytest.raises(ValueError, match="device 'golden' has no option 'latency'"):
        open_device("golden", CONFIG, latency=3)
    with pytest.raises(TypeError, match="config must be AcceleratorConfig, not 'pynq-z2'"):
        open_device("golden", "pynq-z2")
    device = open_device("golden", CONFIG)
    with pytest.raises(ValueError, match="the device has no program yet"):
        device.run("train")
    with pytest.raises(ValueError, match="rows is 8 in the program, 4 in the device"):
        Trainer(compiled(config=CONFIG.replace(rows=8)), device)
    with pytest.raises(ValueError, match="Trainer.seed must be an integer, at least 0, not -1"):
        Trainer(compiled(), device, seed=-1)
    t = Trainer(compiled(), device)
    with pytest.raises(ValueError, match=r"program must be one of \['train', 'infer'\], not 'tri"):
        device.run("trian")
    with pytest.raises(ValueError, match="valid_images must be 1 to 4, not 5"):
        device.run("train", valid_images=5)
    with pytest.raises(ValueError, match="tensor must be one of .*, not 'z'"):
        device.read_tensor("z")
    with pytest.raises(ValueError, match="tensor labels must have shape"):
        device.write_tensor("labels", np.zeros(3))
    assert t.fit(*data, progress=False).epochs


def test_nested_network_with_frozen_layers(data, tmp_path):
    """Trains as the flat one does; what is frozen stays, and a checkpoint knows it."""
    x, y = data
    g = nn.Graph((1, 5, 4))
    features = g(nn.Sequential(*LAYERS[:3]), g.input, name="features")
    network = g.output(g(LAYERS[4], g(LAYERS[3], features), name="head"))
    network = nn.freeze(network, "features")
    program = compile_network(
        network,
        CONFIG,
        batch_size=4,
        loss=nn.CrossEntropyLoss(),
        optimizer=optim.SGD(lr=0.1, momentum=0.9),
    )
    flat, own = trainer(), Trainer(program, open_device("golden", CONFIG), seed=0)
    names = dict(zip(own.state_dict(), flat.state_dict(), strict=True))
    own.load_state_dict({name: flat.state_dict()[other] for name, other in names.items()})
    before = own.state_dict()
    first = own.fit(x[:4], y[:4], epochs=1, progress=False).steps[0]["loss"]
    flat.fit(x[:4], y[:4], epochs=1, progress=False)
    after = own.state_dict()
    assert first == flat.history.steps[0]["loss"]
    same_state(
        {name: after[name] for name in ("head.weight", "head.bias")},
        {name: flat.state_dict()[names[name]] for name in ("head.weight", "head.bias")},
    )
    kept = [name for name in after if name.startswith("features")]
    same_state({name: after[name] for name in kept}, {name: before[name] for name in kept})
    assert list(own.momentum_dict()) == ["head.weight", "head.bias"]
    own.save(tmp_path / "c")
    resumed = Trainer.load(tmp_path / "c", open_device("golden", CONFIG))
    assert resumed.program.network == network
    same_state(resumed.state_dict(), after)
    same_state(resumed.momentum_dict(), own.momentum_dict())
