"""The command `eftrain`, called as the console script calls it."""

import json
import re

import numpy as np
import pytest

from eftrain_hw import AcceleratorConfig
from eftrain_hw.cli import main

NETWORK = """
from eftrain_hw import nn
network = nn.Sequential(nn.Flatten(), nn.Linear(12, 3), input_shape=(1, 4, 3))
"""


@pytest.fixture
def inputs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(3)
    y = np.arange(9) % 3
    x = rng.normal(0, 0.1, (9, 4, 3))
    x[np.arange(9), :, y] += 1
    np.savez("data.npz", x_train=x, y_train=y, x_test=x[:6], y_test=y[:6])
    (tmp_path / "network.py").write_text(NETWORK)
    (tmp_path / "config.json").write_text(json.dumps({"rows": 4, "lanes": 4}))
    return tmp_path


def train(*more, network="network.py", data="npz:data.npz", config="config.json"):
    return main(
        ["train", "--config", config, "--data", data, "--network", network, "--device", "golden"]
        + ["--batch-size", "4", "--lr", "0.5", "--quiet", *more]
    )


def test_train(inputs, capsys):
    assert train("--epochs", "20", "--json", "out.json", "--save", "a.safetensors") == 0
    report = json.loads((inputs / "out.json").read_text())
    assert report["test_accuracy"] == 1 and report["epochs"] == 20
    assert len(report["history"]["epochs"]) == 20 and len(report["history"]["steps"]) == 60
    assert report["config"]["rows"] == 4
    assert "test accuracy 1.0000" in capsys.readouterr().out


def test_resume_equals_one_run(inputs):
    assert train("--epochs", "4", "--save", "whole") == 0
    assert train("--epochs", "2", "--save", "half") == 0
    assert train("--epochs", "2", "--resume", "half", "--save", "resumed") == 0
    assert (inputs / "whole").read_bytes() == (inputs / "resumed").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"config": "zynq"}, "configuration must be a JSON file or one of .*'pynq-z2'.*, not"),
        ({"network": "none.py"}, "--network none.py: no such file"),
        ({"network": "data.npz"}, "or a Python file, not 'data.npz'"),
        ({"network": "empty.py"}, "must define `network`, an nn.Sequential, not None"),
        ({"network": "wrong.py"}, "--network wrong.py, line 2"),
        ({"network": "shape.py"}, r"layer 1 \(Linear\): input must be \(13,\), not \(12,\)"),
        ({"data": "npz:none.npz"}, "none.npz: no such file"),
        ({"data": "csv:a"}, "data set must be digits, npz:FILE"),
    ],
)
def test_bad_input_is_named(inputs, capsys, arguments, message):
    (inputs / "empty.py").write_text("x = 1")
    (inputs / "wrong.py").write_text("x = 1\ny = = 2")
    (inputs / "shape.py").write_text(NETWORK.replace("Linear(12", "Linear(13"))
    assert train(**arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("eftrain train: ")
    assert re.search(message, error), error


def test_unknown_device(inputs, capsys):
    assert train("--device", "gpu") == 2
    allowed = "['golden', 'sim', 'serial', 'pynq']"
    assert f"device must be one of {allowed}, not 'gpu'" in capsys.readouterr().err


def test_info(capsys):
    assert main(["info", "--config", "pynq-z2-32x16"]) == 0
    text = capsys.readouterr().out
    assert "MACs a cycle         512" in text and "128.0 GOP/s at 125 MHz" in text
    config = AcceleratorConfig.preset("pynq-z2-32x16")
    assert f"{config.build_id:016x}" in text
    assert main(["info", "--config", "pynq-z2-32x16", "--json"]) == 0
    assert AcceleratorConfig.from_dict(json.loads(capsys.readouterr().out)) == config


def test_verilog(inputs):
    assert main(["verilog", "--config", "config.json", "--output", "a.v"]) == 0
    text = (inputs / "a.v").read_text()
    assert "module eftrain_accelerator(" in text and "DSP48E1" in text


@pytest.mark.parametrize("command", ["train", "selftest"])
def test_serial_port_that_is_not_there(inputs, capsys, command):
    arguments = ["--device", "serial", "--port", "/dev/nowhere", "--timeout", "3"]
    if command == "train":
        assert train(*arguments) != 0
    else:
        assert main(["selftest", "--config", "config.json", *arguments]) != 0
    assert "/dev/nowhere" in capsys.readouterr().err
