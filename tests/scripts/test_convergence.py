"""The script that compares the formats, with few images."""

import importlib.util
import json
from concurrent.futures import Future
from pathlib import Path

import pytest

pytest.importorskip("sklearn")
SCRIPT = Path(__file__).parents[2] / "scripts" / "convergence.py"


@pytest.fixture
def script():
    spec = importlib.util.spec_from_file_location("convergence_script", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_formats_differ_and_start_alike(script):
    runs = {format: script.train(format, 1, 1, images=96) for format in script.FORMATS}
    losses = {run["training_loss"] for run in runs.values()}
    assert len(losses) == 4 and max(losses) - min(losses) < 0.01
    near = abs(runs["bfp16"]["training_loss"] - runs["fp32"]["training_loss"])
    assert near < abs(runs["bfp8"]["training_loss"] - runs["fp32"]["training_loss"])


class Here:
    """A pool of this process."""

    def __init__(self, *arguments, **options):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        pass

    def submit(self, function, *arguments):
        future = Future()
        future.set_result(function(*arguments))
        return future


@pytest.mark.parametrize("worse, close", [(0.004, True), (0.006, False)])
def test_ends_by_how_far_they_are_apart(script, monkeypatch, tmp_path, capsys, worse, close):
    def train(format, seed, epochs, images):
        accuracy = 0.98 + 0.01 * (seed - 1) - worse * (format == "bfp16")
        accuracy -= 0.1 * ("=" in format)  # which is shown, not judged
        return {"format": format, "seed": seed, "test_accuracy": accuracy, "test_loss": 0.1,
                "training_loss": 0.01, "seconds": 1.0}  # fmt: skip

    monkeypatch.setattr(script, "train", train)
    monkeypatch.setattr(script, "ProcessPoolExecutor", Here)
    output = tmp_path / "new" / "convergence.json"
    assert script.run(script.parsed(["--output", str(output)])) is close
    report = json.loads(output.read_text())
    assert report["points_apart"] == pytest.approx(100 * worse)
    assert len(report["runs"]) == 12
    assert ("NOT within" in capsys.readouterr().out) is not close


def test_bad_numbers_are_refused(script, capsys):
    with pytest.raises(SystemExit) as ended:
        script.parsed(["--seeds", "0"])
    assert ended.value.code == 2 and "--seeds must be at least 1, not 0" in capsys.readouterr().err
