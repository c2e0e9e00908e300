"""openXC7: yosys, nextpnr-xilinx, fasm2frames, xc7frames2bit. Experimental."""

import os
import re
import shutil
from pathlib import Path

from ..board import BuildError
from . import openxc7_scripts as scripts
from .project import NAME, make_project
from .toolchain import Toolchain, fresh, run, say, version_of
from .xc7_cells import by_amount, cells_of, count

__all__ = ["TOOLCHAIN", "OpenXC7"]

_PROGRAMS = {
    "yosys": (["-V"], re.compile(r"Yosys (\S+)")),
    "nextpnr-xilinx": (["--version"], re.compile(r"Version ([^)\s]+)")),
    "fasm2frames": (["--version"], re.compile(r"(\d+\.\d+\S*)")),
    "xc7frames2bit": (["--version"], re.compile(r"(\d+\.\d+\S*)")),
}
_DATA = {  # environment variable: where its data are unless it says so
    "CHIPDB": "/usr/share/nextpnr/xilinx-chipdb",
    "PRJXRAY_DB_DIR": "/usr/share/nextpnr/prjxray-db",
}


class OpenXC7(Toolchain):
    """The open tools for the 7 series; scripts of our own: block RAM on, the clock constrained."""

    name = "openxc7"
    looks_for = f"{', '.join(_PROGRAMS)} on PATH (experimental)"

    def find(self):
        if not all(map(shutil.which, _PROGRAMS)):
            return None
        return {program: version_of(program, *how) for program, how in _PROGRAMS.items()}

    def check(self, board, config):
        self._data(board.device)
        return self._check_version(self.find()["nextpnr-xilinx"])

    def build(self, board, config, top, directory):
        chipdb, database = self._data(board.device)
        work = directory / self.name
        make_project(board, config, top, work)
        fresh(work, f"{NAME}.bit", f"{NAME}.bit.partial", f"{NAME}.fasm", f"{NAME}.frames")
        fresh(directory, f"{NAME}.bit", f"{NAME}.hwh")
        steps = scripts.steps(NAME, board.device, config.clock_hz, chipdb, database)
        text, used = "", None
        for command, output in steps:
            say(f"openxc7 (experimental): {command[0]}")
            printed = run(command, work, f"{command[0]}.log", output=output)
            if command[0] == "nextpnr-xilinx":
                text = printed
                reached = self._frequency(text, config.clock_hz, work / f"{command[0]}.log")
            elif command[0] == "yosys":
                used = self._used(work / f"{NAME}_openxc7_stat.json")
        bit = work / f"{NAME}.bit.partial"
        if not bit.is_file() or not bit.stat().st_size:
            raise BuildError(f"xc7frames2bit ended well but wrote no bitstream; logs: {work}")
        for source, name in ((work / f"{NAME}.hwh", f"{NAME}.hwh"), (bit, f"{NAME}.bit")):
            partial = directory / f"{name}.partial"
            shutil.copyfile(source, partial)
            partial.replace(directory / name)
        return {
            "bitstream": f"{NAME}.bit",
            "hwh": str(directory / f"{NAME}.hwh"),
            **used,
            "fmax_mhz": reached,
            "experimental": True,
        }

    @staticmethod
    def _check_version(version):
        wanted = ".".join(map(str, scripts.MINIMUM))
        number = scripts.parse_version(version)
        if number is None:
            return [
                f"nextpnr-xilinx says version {version!r}: it must be {wanted} or later, older ones"
                " make wrong block RAMs"
            ]
        if number < scripts.MINIMUM:
            raise BuildError(
                f"nextpnr-xilinx must be {wanted} or later, not {version}: older ones make wrong"
                " block RAMs without a word (see docs/boards.md)"
            )
        return []

    @staticmethod
    def _data(device):
        folders = {name: os.environ.get(name, default) for name, default in _DATA.items()}
        chip = f"{scripts.chip(device)}.bin"
        part = f"{scripts.family(device)}/{device}/part.yaml"
        for name, file in (("CHIPDB", chip), ("PRJXRAY_DB_DIR", part)):
            if not (Path(folders[name]) / file).exists():
                raise BuildError(
                    f"openxc7 needs {Path(folders[name]) / file}, which is not there; the"
                    f" environment variable {name} says where to look"
                )
        return (str(Path(folders[name]).absolute()) for name in ("CHIPDB", "PRJXRAY_DB_DIR"))

    @staticmethod
    def _frequency(text, clock_hz, log):
        """MHz that the slowest clock reaches; BuildError unless every one meets the clock."""
        wanted = clock_hz / 1e6
        clocks = scripts.frequencies(text)
        if not clocks:
            raise BuildError(f"nextpnr-xilinx says nothing about the clock's frequency; log: {log}")
        for name, _, asked in clocks:
            if asked < 0.999 * wanted:
                raise BuildError(
                    f"nextpnr-xilinx checked clock {name} at {asked:g} MHz, not at {wanted:g} MHz:"
                    f" the constraint got lost; log: {log}"
                )
        slowest = min(reached for _, reached, _ in clocks)
        if slowest < wanted:
            raise BuildError(
                f"timing is not met: {slowest:g} MHz of {wanted:g} MHz; no bitstream was made."
                f" Log: {log}"
            )
        return slowest

    @staticmethod
    def _used(stat):
        try:
            return by_amount(count(cells_of(stat.read_text())))
        except (OSError, ValueError, KeyError) as error:
            raise BuildError(f"yosys' {stat.name} cannot be read: {error}") from None


TOOLCHAIN = OpenXC7()
