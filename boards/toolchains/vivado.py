"""Vivado: from a Zynq board's top to a bitstream that meets its timing."""

import re
import shutil

from ..board import BuildError
from . import vivado_scripts as scripts
from .project import NAME, make_project
from .toolchain import Toolchain, fresh, run, say, version_of

__all__ = ["TOOLCHAIN", "Vivado"]

_VERSION = re.compile(r"[Vv]ivado v(\d{4}\.\d[\w.]*)")
_OLDEST = (2019, 2)  # nothing older has been written for
_UTILISATION = f"{NAME}_utilization_place.rpt"
_FULL_TIMING = f"{NAME}_timing.rpt"


class Vivado(Toolchain):
    """`vivado` on PATH; its timing check is part of the script that it runs."""

    name = "vivado"
    looks_for = "vivado on PATH (source settings64.sh of its installation)"

    def find(self):
        version = version_of("vivado", ["-version"], _VERSION)
        return None if version is None else {"vivado": version}

    def check(self, board, config):
        versions = self.find()
        number = tuple(map(int, re.findall(r"\d+", versions["vivado"])[:2]))
        if number and number < _OLDEST:
            raise BuildError(
                f"vivado must be {'.'.join(map(str, _OLDEST))} or later, not {versions['vivado']}"
            )
        return []

    def build(self, board, config, top, directory):
        work = directory / self.name
        make_project(board, config, top, work)
        fresh(work, f"{NAME}.bit", scripts.TIMING, _UTILISATION, _FULL_TIMING)
        fresh(directory, f"{NAME}.bit", f"{NAME}.hwh")
        say(f"vivado: synthesis, placement, routing; log {work / 'vivado.log'}")
        log = work / "vivado.log"
        try:
            run(["vivado", *scripts.arguments(NAME)], work, log.name)
        except BuildError as error:
            timing = self._timing(work, log, whole=False)
            if timing and min(timing.get("setup_ns", 0), timing.get("hold_ns", 0)) < 0:
                raise self._missed(work, timing) from None
            raise error
        result = self._read(work, log)
        for name in (f"{NAME}.hwh", f"{NAME}.bit"):  # the bitstream last: it says all is there
            partial = directory / f"{name}.partial"
            shutil.copyfile(work / name, partial)
            partial.replace(directory / name)
        return {"bitstream": f"{NAME}.bit", "hwh": str(directory / f"{NAME}.hwh"), **result}

    def _timing(self, work, log, *, whole=True):
        try:
            return scripts.parse_timing((work / scripts.TIMING).read_text())
        except (OSError, ValueError) as error:
            if not whole:
                return None
            raise BuildError(
                f"vivado's {scripts.TIMING} cannot be read: {error}; log: {log}"
            ) from (None)

    @staticmethod
    def _missed(work, timing):
        return BuildError(
            f"timing is not met: worst setup slack {timing['setup_ns']:g} ns, worst hold slack"
            f" {timing['hold_ns']:g} ns at a period of {timing['period_ns']:g} ns; no bitstream was"
            f" made. Reports: {work}"
        )

    def _read(self, work, log):
        """What the reports say; BuildError where they do not allow the bitstream's use."""
        timing = self._timing(work, log)
        if min(timing["setup_ns"], timing["hold_ns"]) < 0:
            raise self._missed(work, timing)
        try:
            used = scripts.parse_utilisation((work / _UTILISATION).read_text())
            unclocked = re.search(r"checking no_clock \((\d+)\)", (work / _FULL_TIMING).read_text())
        except (OSError, ValueError) as error:
            raise BuildError(f"vivado's reports cannot be read: {error}; log: {log}") from None
        if unclocked and int(unclocked[1]):
            raise BuildError(
                f"{unclocked[1]} registers have no clock, so their timing was not checked;"
                f" report: {work / _FULL_TIMING}"
            )
        bit = work / f"{NAME}.bit"
        if not bit.is_file() or not bit.stat().st_size:
            raise BuildError(f"vivado ended well but wrote no {bit.name}; log: {log}")
        fmax = 1e3 / (timing["period_ns"] - timing["setup_ns"])
        return {**used, "fmax_mhz": round(fmax, 2), "timing": timing}


TOOLCHAIN = Vivado()
