"""The bitstream on a board: the file, what was built into it, its way into the fabric."""

import json
from pathlib import Path

from ..config import AcceleratorConfig
from .pynq_memory import BoardError

__all__ = [
    "DEFAULT_ADDRESS",
    "KIND",
    "check_bitstream",
    "download",
    "import_pynq",
    "manifest_path",
    "read_manifest",
    "registers_of",
    "write_manifest",
]

KIND = "eftrain_hw bitstream 1"
DEFAULT_ADDRESS = 0x4000_0000  # where M_AXI_GP0 of a Zynq-7000 begins


def import_pynq():
    """The module `pynq`; BoardError where it is missing."""
    try:
        import pynq
    except ImportError as error:
        raise BoardError(
            f"device 'pynq' needs the Python package pynq of a board's image ({error}):"
            " run this on the board, with its own Python (as root)"
        ) from None
    return pynq


def manifest_path(bitstream):
    """Path of the file that says what a bitstream holds: beside it, ending in .json."""
    return Path(bitstream).with_suffix(".json")


def write_manifest(bitstream, config, *, address=None, board=None):
    """Write the manifest of a bitstream; returns its path.

    Parameters
    ----------
    bitstream : path
    config : AcceleratorConfig
        What it was built from.
    address : int or None
        Bus address of the registers; None leaves it to the .hwh.
    board : str or None
    """
    path = manifest_path(bitstream)
    content = {
        "kind": KIND,
        "board": board,
        "build_id": f"{config.build_id:016x}",
        "address": address,
        "config": config.to_dict(),
    }
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return path


def read_manifest(bitstream):
    """(configuration, address of the registers) of a bitstream; (None, None) without a manifest.

    Raises
    ------
    BoardError
        The manifest is damaged.
    """
    path = manifest_path(bitstream)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content.get("kind") != KIND:
            raise ValueError(f"it must say kind {KIND!r}")
        config = AcceleratorConfig.from_dict(content["config"])
        if f"{config.build_id:016x}" != content["build_id"]:
            raise ValueError("its build_id is not that of its config")
        address = content["address"]
        return config, None if address is None else int(address)
    except FileNotFoundError:
        return None, None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BoardError(f"{path} does not describe a bitstream: {error}") from None


def check_bitstream(bitstream, config):
    """Refuse a file that isn't there or was built from another configuration, before it is loaded.

    Returns
    -------
    (pathlib.Path, int or None)
        The file, and the address of the registers if its manifest says it.

    Raises
    ------
    ValueError
        Naming the file and the first field that differs.
    """
    if bitstream is None:
        raise ValueError("device 'pynq' needs a bitstream: open_device(..., bitstream='FILE.bit')")
    path = Path(bitstream).expanduser().absolute()
    if not path.is_file():
        raise ValueError(f"bitstream {path}: no such file")
    built, address = read_manifest(path)
    if built is not None and built != config:
        theirs, ours = built.to_dict(), config.to_dict()
        name = next(name for name in ours if ours[name] != theirs[name])
        raise ValueError(
            f"bitstream {path} has build id {built.build_id:016x}, the configuration"
            f" {config.build_id:016x}: {name} is {theirs[name]!r} there, {ours[name]!r} here"
        )
    return path, address


def download(pynq, path):
    """Program the fabric; BoardError with the reason where that fails.

    With a .hwh beside it the bitstream becomes PYNQ's present overlay; without, it is only loaded.
    """
    try:
        if path.with_suffix(".hwh").is_file():
            return pynq.Overlay(str(path))
        loaded = pynq.Bitstream(str(path))
        loaded.download()
        return loaded
    except Exception as error:  # pynq raises whatever its parsers and the kernel's driver raise
        raise BoardError(f"bitstream {path} could not be loaded: {error}") from error


def registers_of(loaded):
    """Address of the accelerator's registers in what `download` returned; None where it has no
    map (a bitstream without .hwh)."""
    for name, entry in (getattr(loaded, "ip_dict", None) or {}).items():
        if name.startswith("eftrain"):
            return int(entry["phys_addr"])
    return None
