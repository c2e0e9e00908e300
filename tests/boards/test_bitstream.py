"""From a board's name to a bitstream and its record, with tools that are not the real ones."""

import json
import re
import subprocess
import zipfile
from pathlib import Path

import pytest

from boards import find_board
from boards.build import build_bitstream
from eftrain_hw import AcceleratorConfig
from eftrain_hw.cli import main

KEYS = {
    "board", "device", "toolchain", "bitstream", "build_id", "lut", "ff", "dsp", "bram",
    "logic_levels", "clock_mhz", "fmax_mhz", "tools",
}  # fmt: skip
BUILD_ID = f"{AcceleratorConfig.preset('pynq-z2').build_id:016x}"


def build(tmp_path, *more):
    return main(["bitstream", "--board", "pynq-z2", "--output", str(tmp_path / "out"), *more])


def report(tmp_path):
    return json.loads((tmp_path / "out" / "report.json").read_text())


def leftovers(tmp_path):
    """Names of bitstreams, whole or not, where a user looks for one."""
    return sorted(file.name for file in (tmp_path / "out").glob("*.bit*"))


@pytest.fixture(autouse=True)
def _tiny(board):
    """Every build here is of the tiny top."""


def test_vivado(tmp_path, tools, capfd):
    tools("vivado")
    assert build(tmp_path) == 0
    found = report(tmp_path)
    assert set(found) >= KEYS
    assert found["toolchain"] == "vivado" and found["tools"] == {"vivado": "2022.1"}
    assert found["bitstream"] == str(tmp_path / "out" / "eftrain.bit")
    assert found["build_id"] == BUILD_ID and found["device"] == "xc7z020clg400-1"
    assert found["lut"] == {"used": 30211, "available": 53200}
    assert found["ff"]["used"] == 40100 and found["dsp"]["used"] == 132
    assert found["bram"] == {"used": 122.5, "available": 140}
    assert found["clock_mhz"] == 125 and found["fmax_mhz"] == round(1000 / (8 - 0.21), 2)
    assert found["timing"] == {"period_ns": 8.0, "setup_ns": 0.21, "hold_ns": 0.03}
    assert (tmp_path / "out" / "eftrain.bit").read_bytes() == b"a whole bitstream"
    assert "processing_system7" in (tmp_path / "out" / "eftrain.hwh").read_text()
    with zipfile.ZipFile(tmp_path / "out" / found["package"]) as archive:
        names = set(archive.namelist())
        assert archive.read("eftrain.bit") == b"a whole bitstream"
    assert {"eftrain.hwh", "config.json", "README.md"} <= names
    assert any(name.endswith(".whl") for name in names)
    text = capfd.readouterr().out
    assert found["package"] in text
    assert "30,211 LUT (57%)" in text and "128.37 MHz reached, 125 MHz needed" in text


def test_openxc7(tmp_path, tools, capfd):
    tools("openxc7")
    assert build(tmp_path) == 0
    found = report(tmp_path)
    assert set(found) >= KEYS
    assert found["toolchain"] == "openxc7" and found["experimental"] is True
    assert found["tools"]["nextpnr-xilinx"] == "0.9.6" and found["tools"]["yosys"] == "0.45"
    assert found["fmax_mhz"] == 131.5 and found["warnings"] == []
    assert [found[each]["used"] for each in ("lut", "ff", "dsp", "bram")] == [100, 50, 2, 3.5]
    assert (tmp_path / "out" / "eftrain.bit").read_bytes() == b"a whole bitstream"
    assert (tmp_path / "out" / "eftrain.hwh").exists()
    assert "experimental" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("chain", "behaviour", "message"),
    [
        ("vivado", {"fail": "vivado"}, r"vivado ended with status 1; .*ERROR: \[Fake 1-1\] vivado"),
        ("vivado", {"slack": -0.31}, "timing is not met: worst setup slack -0.31 ns, .* 8 ns"),
        ("vivado", {"silent": 1}, "timing.txt cannot be read"),
        ("vivado", {"unclocked": 7}, "7 registers have no clock"),
        ("openxc7", {"fail": "yosys"}, "yosys ended with status 1"),
        ("openxc7", {"fail": "nextpnr-xilinx"}, "nextpnr-xilinx ended with status 1"),
        ("openxc7", {"fail": "fasm2frames"}, "fasm2frames ended with status 1"),
        ("openxc7", {"fail": "xc7frames2bit"}, "xc7frames2bit ended with status 1"),
        ("openxc7", {"mhz": 99.5}, "timing is not met: 99.5 MHz of 125 MHz"),
        ("openxc7", {"asked": 12}, "checked clock clk at 12 MHz, not at 125 MHz"),
        ("openxc7", {"silent": 1}, "says nothing about the clock's frequency"),
        ("openxc7", {"empty": 1}, "wrote no bitstream"),
    ],
)
def test_a_failed_build_leaves_no_bitstream(tmp_path, tools, capfd, chain, behaviour, message):
    """Not even one of an earlier build, and its record says what failed."""
    (tmp_path / "out").mkdir()
    for name in ("eftrain.bit", "eftrain.hwh"):
        (tmp_path / "out" / name).write_text("of an earlier build")
    tools(chain, **behaviour)
    assert build(tmp_path) == 1
    error = capfd.readouterr().err.replace("\n", " ")
    assert error.startswith("eftrain bitstream: ")
    assert re.search(message, error), error
    found = report(tmp_path)
    assert found["bitstream"] is None and found["error"]
    assert leftovers(tmp_path) == []
    if "fail" in behaviour:
        log = error.rsplit("log: ", 1)[1].strip()
        assert "step 99" in Path(log).read_text()


@pytest.mark.parametrize(
    ("chain", "version", "message"),
    [
        ("vivado", "2018.3", "vivado must be 2019.2 or later, not 2018.3"),
        ("openxc7", "0.9.5", "nextpnr-xilinx must be 0.9.6 or later, not 0.9.5"),
    ],
)
def test_an_old_version_is_refused_at_once(tmp_path, tools, capfd, chain, version, message):
    tools(chain, version=version)
    assert build(tmp_path) == 1
    assert message in capfd.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_unknown_version_is_warned_of(tmp_path, tools, capfd):
    tools("openxc7", version="b9f013d")
    assert build(tmp_path) == 0
    (warning,) = report(tmp_path)["warnings"]
    assert "'b9f013d'" in warning and warning in capfd.readouterr().out


@pytest.mark.parametrize("missing", ["CHIPDB", "PRJXRAY_DB_DIR"])
def test_missing_data_are_named(tmp_path, tools, capfd, monkeypatch, missing):
    tools("openxc7")
    monkeypatch.setenv(missing, "/nowhere")
    assert build(tmp_path) == 1
    error = capfd.readouterr().err
    assert "openxc7 needs /nowhere/" in error and f"environment variable {missing}" in error


def test_the_first_chain_that_is_whole_is_taken(tmp_path, tools):
    tools("openxc7", without=["xc7frames2bit"])
    assert build(tmp_path, "--toolchain", "openxc7") == 1
    tools("vivado")
    assert build(tmp_path) == 0
    assert report(tmp_path)["toolchain"] == "vivado"


def test_without_tools_everything_but_the_bitstream_is_made(tmp_path, tools, capfd):
    assert build(tmp_path) == 1
    captured = capfd.readouterr()
    assert "no bitstream was made: yosys makes none" in captured.err
    assert "vivado on PATH" in captured.err and "xc7frames2bit on PATH" in captured.err
    assert captured.err.count("\n  - ") == 2 and "sh build_vivado.sh" in captured.err
    found = report(tmp_path)
    assert set(found) >= KEYS and found["bitstream"] is None and found["fmax_mhz"] is None
    assert found["lut"]["used"] > 0 and found["ff"]["used"] > 50 and found["dsp"]["used"] == 0
    assert found["logic_levels"] and set(found["logic_levels"][0]) == {"levels", "from", "to"}
    assert found["tools"]["yosys"].startswith("Yosys 0.")
    assert "processor interface" in captured.out and "longest paths" in captured.out
    with zipfile.ZipFile(found["archive"]) as archive:
        names = {name.split("/")[1] for name in archive.namelist()}
        assert {name.split("/")[0] for name in archive.namelist()} == {"eftrain-pynq-z2"}
    assert names == {
        "README.txt", "build_openxc7.sh", "build_vivado.sh", "eftrain.hwh", "eftrain.tcl",
        "eftrain.v", "eftrain.xdc", "eftrain_openxc7.xdc", "eftrain_openxc7.ys",
    }  # fmt: skip
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("chain", ["vivado", "openxc7"])
@pytest.mark.parametrize("fails", [False, True])
def test_the_archive_builds_elsewhere_by_one_script(tmp_path, tools, capfd, chain, fails):
    """The script of the archive gives the same tools the same work."""
    assert build(tmp_path, "--toolchain", "yosys") == 1
    with zipfile.ZipFile(report(tmp_path)["archive"]) as archive:
        archive.extractall(tmp_path)
    folder = tmp_path / "eftrain-pynq-z2"

    def run():
        script = ["sh", f"build_{chain}.sh"]
        return subprocess.run(script, cwd=folder, capture_output=True, text=True, check=False)

    missing = run()
    assert missing.returncode == 1 and "is not on PATH" in missing.stderr
    (folder / "eftrain.bit").write_text("of an earlier build")
    tools(chain, **({"slack": -1, "mhz": 80} if fails else {}))
    done = run()
    assert (done.returncode != 0) == fails, done.stdout + done.stderr
    assert (folder / "eftrain.bit").exists() != fails


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--board", "pynq"], 2, "board must be one of pynq-z2, .*, not 'pynq'"),
        (["--toolchain", "quartus"], 2, "tool chain must be one of vivado, .*, not 'quartus'"),
        (["--toolchain", "vivado"], 1, "vivado is not installed. Looked for vivado on PATH"),
        (["--toolchain", "openxc7"], 1, "openxc7 is not installed. Looked for yosys, nextpnr"),
        (["--config", "nothing"], 2, "configuration must be a JSON file or one of"),
        (["--config", "sim-small"], 2, "axi must be 'axi3' on a Zynq-7000, not 'axi4'"),
        (["--config", "TOO_BIG"], 2, "a 32x16 bfp8 .* does not fit pynq-z2: DSP: about 260 "
         "are needed, xc7z020clg400-1 has 220"),
    ],
)  # fmt: skip
def test_what_cannot_be_built_is_said_at_once(tmp_path, tools, capfd, arguments, status, message):
    too_big = tmp_path / "too_big.json"
    too_big.write_text('{"rows": 32, "axi": "axi3"}')
    arguments = [str(too_big) if each == "TOO_BIG" else each for each in arguments]
    assert build(tmp_path, *arguments) == status
    assert re.search(message, capfd.readouterr().err)
    assert not (tmp_path / "out").exists()


def test_without_amaranth_boards_it_says_what_to_install(tmp_path, monkeypatch, capfd):
    def missing(self, toolchain):
        raise ModuleNotFoundError("No module named 'amaranth_boards'", name="amaranth_boards")

    monkeypatch.setattr(type(find_board("pynq-z2")), "make_platform", missing)
    assert build(tmp_path) == 1
    assert "pynq-z2 needs the package amaranth-boards" in capfd.readouterr().err


def test_an_ultrascale_board(tmp_path, tools, capfd):
    """Without Vivado: no synthesis for the 7 series, the model's figures."""
    out = ["--board", "zcu102", "--output", str(tmp_path / "out")]
    assert main(["bitstream", *out]) == 1
    error = capfd.readouterr().err
    assert "no bitstream was made" in error and "openxc7" not in error
    found = report(tmp_path)
    assert found["estimated"] and found["dsp"] == {"used": 516, "available": 2520}
    with zipfile.ZipFile(found["archive"]) as archive:
        assert not [name for name in archive.namelist() if "openxc7" in name]
    tools("vivado")
    assert main(["bitstream", *out]) == 0
    assert report(tmp_path)["bitstream"] and report(tmp_path)["clock_mhz"] == 150


def test_the_function_takes_a_configuration(tmp_path, tools):
    tools("vivado")
    config = AcceleratorConfig.preset("pynq-z2").replace(clock_hz=100_000_000)
    found = build_bitstream("pynq-z2", config=config, directory=tmp_path / "out")
    assert found["clock_mhz"] == 100 and found["config"]["clock_hz"] == 100_000_000
