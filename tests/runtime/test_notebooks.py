"""The notebooks are valid and run, cell by cell."""

import json
from pathlib import Path

import numpy as np
import pytest

from eftrain_hw import open_device
from eftrain_hw.runtime import Trainer
from eftrain_hw.runtime.pynq_bitstream import write_manifest
from sim.models.step_bench import CONFIGS

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
CONFIG = CONFIGS["4x4"]  # compiled for other tests too


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_is_valid_and_clean(path):
    notebook = json.loads(path.read_text())
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert {"kernelspec", "language_info"} <= set(notebook["metadata"])
    assert notebook["metadata"]["kernelspec"].keys() == {"display_name", "language", "name"}
    ids = [cell["id"] for cell in notebook["cells"]]
    assert len(set(ids)) == len(ids)
    for cell in notebook["cells"]:
        assert cell["cell_type"] in ("code", "markdown")
        assert all(isinstance(line, str) for line in cell["source"])
        assert all(line.endswith("\n") for line in cell["source"][:-1])
        if cell["cell_type"] == "code":
            assert cell["outputs"] == [] and cell["execution_count"] is None
            compile("".join(cell["source"]), path.name, "exec")
        else:
            assert "outputs" not in cell


def run(name, parameters, monkeypatch):
    """Execute the code cells, those parameters replaced; returns the names they leave."""
    monkeypatch.setenv("MPLBACKEND", "Agg")
    path = next(path for path in NOTEBOOKS if path.stem == name)
    cells = json.loads(path.read_text())["cells"]
    sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    names = {}
    exec(compile(sources[0], "parameters", "exec"), names)
    assert set(parameters) <= set(names), "no such parameter"
    names.update(parameters)
    for number, source in enumerate(sources[1:], 1):
        exec(compile(source, f"{name}, code cell {number}", "exec"), names)
    return names


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder with a few digits, and the path of a small configuration."""
    from eftrain_hw.runtime import load_dataset

    monkeypatch.chdir(tmp_path)
    x, y, x_test, y_test = load_dataset("digits")
    np.savez("digits.npz", x_train=x[:32], y_train=y[:32], x_test=x_test[:32], y_test=y_test[:32])
    (tmp_path / "config.json").write_text(json.dumps(CONFIG.to_dict()))
    return tmp_path


@pytest.mark.parametrize("device", ["golden", None])
def test_digits(folder, monkeypatch, capsys, device):
    """Without a bitstream it runs in simulation."""
    names = run(
        "digits", {"CONFIG": "config.json", "DEVICE": device, "EPOCHS": 2}, monkeypatch
    )
    assert names["device_name"] == (device or "sim")
    assert (folder / "digits.png").read_bytes().startswith(b"\x89PNG")
    output = capsys.readouterr().out
    assert "epoch 2: loss" in output and ("images/s" in output) == (device is None)
    with open_device("golden", CONFIG) as golden:
        trainer = Trainer.load("digits.safetensors", golden)
        assert trainer.epoch == 2


def test_digits_on_the_board(folder, monkeypatch, capsys, make_board):
    """With a bitstream beside it, it drives the board: here the stand-in."""
    make_board(CONFIG)
    bitstream = folder / "eftrain.bit"
    bitstream.write_bytes(b"bits")
    write_manifest(bitstream, CONFIG)  # which says the configuration
    run("digits", {"EPOCHS": 1}, monkeypatch)
    output = capsys.readouterr().out
    assert "pynq: 4x4 bfp8" in output and "clock 125.0" in output and "waits by polling" in output
