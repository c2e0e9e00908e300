"""The experiment's script, with few images."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn")
SCRIPT = Path(__file__).parents[2] / "scripts" / "tensor_train.py"


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(SCRIPT.parent)
    spec = importlib.util.spec_from_file_location("tensor_train_script", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_images_are_scaled_linearly(script):
    ramp = np.arange(8, dtype=np.float32)
    image = (ramp[:, None] * 10 + ramp)[None, None]
    found = script.scaled(image)
    at = np.clip((np.arange(28) + 0.5) * 8 / 28 - 0.5, 0, 7)
    np.testing.assert_allclose(found[0, 0], at[:, None] * 10 + at, rtol=1e-5, atol=1e-5)


def test_experiment_reports(script, monkeypatch, tmp_path, capsys):
    output = tmp_path / "tt" / "report.json"
    options = ["--images", "16", "--epochs", "2", "--batch", "8", "--threshold", "0.9",
               "--interval", "1", "--strength", "0.1", "--rtl-epochs", "0",
               "--output", str(output)]  # fmt: skip
    digits = script.load_dataset("digits")
    few = [part[:count] for part, count in zip(digits, (24, 24, 16, 16), strict=True)]
    monkeypatch.setattr(script, "load_dataset", lambda source: few)
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *options])
    monkeypatch.chdir(SCRIPT.parents[1])
    assert script.run(script.parsed()) == 0
    report = json.loads(output.read_text())
    assert len(report["history"]) == 2 and (output.parent / "training.png").exists()
    assert report["bit_exact"] is None
    assert report["memory_ratio_end"] > report["memory_ratio_start"] > 1
    for accuracy in (report["accuracy"], report["dense_fp32_accuracy"]):
        assert 0 <= accuracy <= 1
    for name, ranks in report["ranks"].items():
        assert min(ranks) >= 1 and min(ranks) < 8, name
    assert "epoch 2: loss" in capsys.readouterr().out


@pytest.mark.rtl
def test_status_is_that_of_the_rtl(script, monkeypatch):
    """The RTL's run is compared bit by bit."""
    import tensor_train_device as device

    digits = script.load_dataset("digits")
    few = [script.scaled(part[:40]) if part.ndim == 4 else part[:40] for part in digits]
    network = device.nn.Sequential(
        device.nn.Flatten(),
        device.nn.TTLinear(784, 10, in_shape=(28, 28), out_shape=(1, 10), rank=4),
        input_shape=(1, 28, 28),
    )
    settings = {"lanes": 8, "batch": 16, "lr": 0.05, "epochs": 1, "seed": 0}
    result = device.run_on_devices(network, few, **settings)
    assert result["bit_exact"] and result["different"] == []
    assert 0 < result["mac_utilisation"] < 1 and result["cycles_per_sample"] > 100

    learned = device._learned

    def flipped(trainer, x):
        bits = learned(trainer, x)
        if trainer.history.steps[0]["cycles"]:  # the RTL's
            bits["1.bias"] = bits["1.bias"] + np.float32(2**-20)
        return bits

    monkeypatch.setattr(device, "_learned", flipped)
    result = device.run_on_devices(network, few, **settings)
    assert not result["bit_exact"] and result["different"] == ["1.bias"]
