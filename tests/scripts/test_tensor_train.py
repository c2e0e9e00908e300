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
def script():
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
               "--interval", "1", "--strength", "0.1", "--output", str(output)]  # fmt: skip
    digits = script.load_dataset("digits")
    few = [part[:count] for part, count in zip(digits, (24, 24, 16, 16), strict=True)]
    monkeypatch.setattr(script, "load_dataset", lambda source: few)
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *options])
    monkeypatch.chdir(SCRIPT.parents[1])
    script.run(script.parsed())
    report = json.loads(output.read_text())
    assert len(report["history"]) == 2
    assert report["memory_ratio_end"] > report["memory_ratio_start"] > 1
    for accuracy in (report["accuracy"], report["dense_fp32_accuracy"]):
        assert 0 <= accuracy <= 1
    for name, ranks in report["ranks"].items():
        assert min(ranks) >= 1 and min(ranks) < 8, name
    assert "epoch 2: loss" in capsys.readouterr().out
