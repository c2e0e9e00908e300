"""The files that a tool chain for Zynq boards starts from, and an archive of them."""

import contextlib
import os
import zipfile
from pathlib import Path

from eftrain_hw.interop.processing_system import CONTROL_BITS

from . import openxc7_scripts, vivado_scripts
from .hwh import hardware_handoff
from .toolchain import say, write

__all__ = ["NAME", "make_project", "pack"]

NAME = "eftrain"
"""Stem of every file: pynq.Overlay wants the .bit and the .hwh to share theirs."""

_GUIDE = """\
{board}, {rows}x{lanes} {format}, {mhz:g} MHz, build id {build_id:016x}: no bitstream was made here.

On a machine with Vivado (2019.2 or later, with a licence for {device} where it needs one):

    sh build_vivado.sh
{openxc7}
It ends with eftrain.bit beside eftrain.hwh, or with an error; a bitstream that misses the timing is
not made. Copy both files to the board and name the .bit to the runtime.
"""
_GUIDE_OPENXC7 = """
or, experimental, with openXC7 (nextpnr-xilinx {minimum} or later; the script says where it looks):

    sh build_openxc7.sh
"""


def make_project(board, config, top, directory):
    """Write Verilog, constraints, scripts and the .hwh file.

    Parameters
    ----------
    board : boards.Board
    config : AcceleratorConfig
    top : Elaboratable
    directory : pathlib.Path
        Made if it is not there.

    Returns
    -------
    list of str
        Names of the files.
    """
    platform = board.make_platform("vivado")
    say("generating Verilog")
    with _own_yosys():
        plan = platform.prepare(top, NAME, **vivado_scripts.overrides(NAME))
    constraints = plan.files[f"{NAME}.xdc"]
    files = {
        f"{NAME}.v": plan.files[f"{NAME}.v"],
        f"{NAME}.hwh": hardware_handoff(
            config, board.family, name=NAME, device=board.device, size=1 << CONTROL_BITS
        ),
        f"{NAME}.tcl": plan.files[f"{NAME}.tcl"],
        f"{NAME}.xdc": vivado_scripts.constraints(constraints, board.family),
        "build_vivado.sh": vivado_scripts.shell(NAME),
    }
    guide = ""
    if "openxc7" in board.toolchains:
        files |= {
            f"{NAME}_openxc7.ys": openxc7_scripts.yosys(NAME, config.clock_hz),
            f"{NAME}_openxc7.xdc": openxc7_scripts.constraints(constraints),
            "build_openxc7.sh": openxc7_scripts.shell(NAME, board.device, config.clock_hz),
        }
        guide = _GUIDE_OPENXC7.format(minimum=".".join(map(str, openxc7_scripts.MINIMUM)))
    files["README.txt"] = _GUIDE.format(
        board=board.name,
        device=board.device,
        rows=config.rows,
        lanes=config.lanes,
        format=config.format,
        mhz=config.clock_hz / 1e6,
        build_id=config.build_id,
        openxc7=guide,
    )
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        write(directory / name, content)
    return sorted(files)


@contextlib.contextmanager
def _own_yosys():
    """Verilog comes from the Yosys that is installed with Amaranth, whatever else is on PATH."""
    before = os.environ.get("AMARANTH_USE_YOSYS")
    os.environ["AMARANTH_USE_YOSYS"] = "builtin"
    try:
        yield
    finally:
        if before is None:
            del os.environ["AMARANTH_USE_YOSYS"]
        else:
            os.environ["AMARANTH_USE_YOSYS"] = before


def pack(directory, names, archive):
    """Zip files of a directory, all under one folder; the archive is whole or not there."""
    archive = Path(archive)
    partial = archive.with_name(archive.name + ".partial")
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as file:
        for name in names:
            file.write(directory / name, f"{archive.stem}/{name}")
    partial.replace(archive)
