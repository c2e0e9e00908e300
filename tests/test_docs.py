# amaranth: UnusedElaboratable=no
"""What the guides say to type exists, and their Python runs."""

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from eftrain_hw.cli.arguments import command_parser

DOCS = Path(__file__).parents[1] / "docs"
GUIDES = ["pynq.md", "integrate.md"]


def commands(text):
    """Lines of indented blocks and code in tables, continuation lines joined."""
    text = text.replace("\\\n", " ")
    found = re.findall(r"^    (?:\.venv/bin/)?((?:eftrain|python) .*)$", text, re.M)
    return found + re.findall(r"`((?:eftrain|python) [^`]*)`", text)


@pytest.mark.parametrize("guide", GUIDES)
def test_commands_exist(guide, capsys):
    found = commands((DOCS / guide).read_text())
    assert len(found) >= 3
    for command in found:
        program, *arguments = command.split()
        if program == "eftrain":
            assert command_parser().parse_args(arguments).run
        else:
            assert arguments[0] == "-m" and find_spec(arguments[1]), command


@pytest.mark.parametrize("guide", GUIDES)
def test_links_lead_somewhere(guide):
    for target in re.findall(r"\]\(([^)#]+)\)", (DOCS / guide).read_text()):
        assert (DOCS / target).exists(), target


def test_python_of_integrate_runs():
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / "integrate.md").read_text(), re.S)
    assert len(blocks) == 2
    for block in blocks:
        exec(compile(block, __file__, "exec"), {})  # under this file's name: see its first line


def test_python_of_pynq_runs(tmp_path, monkeypatch):
    """With the golden device in the board's place, and few images."""
    import json

    import numpy as np

    import eftrain_hw
    from eftrain_hw import AcceleratorConfig
    from eftrain_hw.runtime import load_dataset

    monkeypatch.chdir(tmp_path)
    config = AcceleratorConfig.preset("sim-small")
    (tmp_path / "config.json").write_text(json.dumps(config.to_dict()))
    x, y, x_test, y_test = load_dataset("digits")
    np.savez("digits.npz", x_train=x[:64], y_train=y[:64], x_test=x_test[:9], y_test=y_test[:9])

    def golden(name, config, *, bitstream):
        assert (name, bitstream) == ("pynq", "eftrain.bit")
        return open_device("golden", config)

    open_device = eftrain_hw.open_device
    monkeypatch.setattr(eftrain_hw, "open_device", golden)
    (block,) = re.findall(r"```python\n(.*?)```", (DOCS / "pynq.md").read_text(), re.S)
    exec(block, {})
    assert (tmp_path / "digits.safetensors").exists()
