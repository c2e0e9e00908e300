"""The registry, and what each board says of itself."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from boards import BOARDS, find_board
from boards.toolchains import TOOLCHAINS, find_toolchain
from boards.toolchains.toolchain import Toolchain
from eftrain_hw import AcceleratorConfig
from eftrain_hw.cli import main
from eftrain_hw.config import PRESETS


@pytest.mark.parametrize("name", BOARDS)
def test_a_board_is_complete(name):
    board = find_board(name)
    assert board.name == name and board.description
    assert set(board.resources) == {"lut", "ff", "dsp", "bram"}
    assert board.default_preset in board.presets and set(board.presets) <= set(PRESETS)
    default = AcceleratorConfig.preset(board.default_preset)
    board.check(default)
    assert board.missing(default) == [] and default.clock_hz == board.clock_hz
    assert board.toolchains and set(board.toolchains) <= set(TOOLCHAINS)


@pytest.mark.parametrize("name", TOOLCHAINS)
def test_a_tool_chain_is_complete(name):
    chain = find_toolchain(name)
    assert isinstance(chain, Toolchain) and chain.name == name and chain.looks_for


@pytest.mark.parametrize("name", ["pynq-z2", "pynq-z1", "arty-z7-20"])
def test_pins_of_the_zynq_boards(name):
    platform = find_board(name).make_platform("vivado")
    assert platform.device + platform.package + "-" + platform.speed == find_board(name).device
    pins = [platform.lookup("led", k).ios[0].names for k in range(4)]
    assert pins == [["R14"], ["P14"], ["N16"], ["M14"]]


def test_names_are_checked():
    with pytest.raises(ValueError, match="board must be one of pynq-z2, .*, not 'pynq'"):
        find_board("pynq")
    with pytest.raises(ValueError, match="tool chain must be one of vivado, .*, not 'ise'"):
        find_toolchain("ise")


def test_info_lists_the_boards(capsys, monkeypatch):
    too_many = PRESETS["pynq-z2-32x16"] | {"lut_chains": 0}
    monkeypatch.setitem(PRESETS, "pynq-z2-32x16", too_many)
    assert main(["info", "--boards"]) == 0
    text = capsys.readouterr().out
    assert "pynq-z2: TUL PYNQ-Z2" in text and "53,200 LUT, 106,400 FF, 220 DSP, 140 BRAM" in text
    assert "pynq-z2 (default)" in text
    assert "pynq-z2-32x16 (does not fit: DSP: about 260 are needed" in text
    assert main(["info", "--boards", "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert set(values) == set(BOARDS)
    assert values["pynq-z2"]["device"] == "xc7z020clg400-1"
    assert set(values["pynq-z2"]["toolchains"]) == {"vivado", "openxc7", "yosys"}


def test_info_needs_no_amaranth_boards():
    script = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "amaranth_boards":
            raise ImportError(name)
sys.meta_path.insert(0, Refuse())
from eftrain_hw.cli import main
sys.exit(main(["info", "--boards"]))
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0 and "pynq-z2" in done.stdout, done.stderr
