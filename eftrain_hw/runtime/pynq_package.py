"""One zip file to copy to a board: a wheel that needs NumPy alone, the bitstream, data, a notebook.

The wheel is written here, not by a build tool: it says what a board has (Python 3.10, NumPy), where
pyproject.toml says what generating RTL needs.
"""

import base64
import hashlib
import io
import json
import zipfile
from pathlib import Path

import numpy as np

from ..config import PRESETS
from ..version import __version__
from .datasets import DataError, load_dataset
from .pynq_bitstream import write_manifest

__all__ = ["BOARD_PYTHON", "build_wheel", "pack_board"]

BOARD_PYTHON = ">=3.10"  # PYNQ 3.0 and 3.1
_PACKAGE = Path(__file__).parents[1]
_KEPT = {".py", ".npz", ".cpp", ".h"}
_DATE = (1980, 1, 1, 0, 0, 0)  # the same bytes from the same files
_NOTEBOOK = _PACKAGE.parent / "notebooks" / "digits.ipynb"


def _add(archive, name, content):
    info = zipfile.ZipInfo(name, _DATE)
    info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
    archive.writestr(info, content)


def build_wheel(folder):
    """Write the board's wheel into a folder; returns its path.

    Parameters
    ----------
    folder : path
        Is there already.
    """
    name, version = "eftrain_hw", f"{__version__}+board"
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}/{path.relative_to(_PACKAGE).as_posix()}": path.read_bytes()
        for path in sorted(_PACKAGE.rglob("*"))
        if path.suffix in _KEPT and path.is_file()
    }
    files[f"{info}/METADATA"] = (
        f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        "Summary: Training accelerator: driver, compiler and golden model, for the board\n"
        f"License: Apache-2.0\nRequires-Python: {BOARD_PYTHON}\nRequires-Dist: numpy>=1.21\n"
    ).encode()
    files[f"{info}/WHEEL"] = (
        b"Wheel-Version: 1.0\nGenerator: eftrain_hw\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    )
    files[f"{info}/entry_points.txt"] = b"[console_scripts]\neftrain = eftrain_hw.cli:main\n"
    record = []
    for path, content in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        record.append(f"{path},sha256={digest},{len(content)}")
    files[f"{info}/RECORD"] = "\n".join([*record, f"{info}/RECORD,,", ""]).encode()
    wheel = Path(folder) / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, content in files.items():
            _add(archive, path, content)
    return wheel


def _digits():
    """The digits as an npz file, or None where scikit-learn isn't installed."""
    try:
        arrays = load_dataset("digits")
    except DataError:
        return None
    file = io.BytesIO()
    names = ("x_train", "y_train", "x_test", "y_test")
    np.savez_compressed(file, **dict(zip(names, arrays)))
    return file.getvalue()


def _readme(bitstream, config, wheel, extras):
    known = next((name for name in PRESETS if type(config).preset(name) == config), None)
    configuration = known or "config.json"
    lines = [
        f"# Training accelerator, {config.rows}x{config.lanes} {config.format},"
        f" build id {config.build_id:016x}",
        "",
        "On the board, as root, with the image's own Python (`sudo -i`, or a terminal of Jupyter):",
        "",
        f"    pip install --no-deps {wheel}",
        f"    eftrain selftest --device pynq --bitstream {bitstream} --config {configuration}",
    ]
    if "digits.npz" in extras:
        lines += [
            f"    eftrain train --device pynq --bitstream {bitstream} --config {configuration} \\",
            "        --data npz:digits.npz --network network.py --epochs 5 --save"
            " digits.safetensors",
        ]
    if "digits.ipynb" in extras:
        lines += ["", "`digits.ipynb` does the same in Jupyter, and plots."]
    lines += [
        "",
        "`--timeout` is the seconds after which a step is given up. Every command names what is"
        " wrong and ends with a status other than 0.",
        "",
    ]
    return "\n".join(lines)


_NETWORK = '''"""A small CNN for the digits, 8x8 pixels."""

from eftrain_hw.networks import digits

network = digits()
'''


def pack_board(output, *, config, bitstream, hwh=None, board=None, address=None):
    """Write a zip with everything that a board needs.

    Parameters
    ----------
    output : path
        The zip file; its folder is made.
    config : AcceleratorConfig
        What the bitstream was built from.
    bitstream : path
        The .bit file.
    hwh : path or None
        The .hwh file; None takes the one beside the bitstream, if there is one.
    board : str or None
        Noted in the manifest.
    address : int or None
        Bus address of the registers; None leaves it to the .hwh.

    Returns
    -------
    list of str
        Names in the zip.

    Raises
    ------
    ValueError
        A file isn't there.
    """
    bitstream, output = Path(bitstream), Path(output)
    if not bitstream.is_file():
        raise ValueError(f"bitstream {bitstream}: no such file")
    if hwh is not None and not Path(hwh).is_file():
        raise ValueError(f"hwh {hwh}: no such file")
    hwh = bitstream.with_suffix(".hwh") if hwh is None else Path(hwh)
    output.parent.mkdir(parents=True, exist_ok=True)
    manifest = write_manifest(bitstream, config, address=address, board=board)
    wheel = build_wheel(output.parent)
    files = {
        wheel.name: wheel.read_bytes(),
        bitstream.name: bitstream.read_bytes(),
        manifest.name: manifest.read_bytes(),
        "config.json": (json.dumps(config.to_dict(), indent=1) + "\n").encode(),
        "network.py": _NETWORK.encode(),
    }
    wheel.unlink()
    if hwh.is_file():
        files[bitstream.with_suffix(".hwh").name] = hwh.read_bytes()
    digits = _digits()
    if digits is not None:
        files["digits.npz"] = digits
    if _NOTEBOOK.is_file():
        files["digits.ipynb"] = _NOTEBOOK.read_bytes()
    files["README.md"] = _readme(bitstream.name, config, wheel.name, files).encode()
    with zipfile.ZipFile(output, "w") as archive:
        for name, content in files.items():
            _add(archive, name, content)
    return list(files)
