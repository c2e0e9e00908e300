"""LUT, FF, DSP and BRAM of each part of the accelerator against an FPGA, by yosys synth_xilinx.

One run: the parts keep their boundaries, everything below them is flattened, so the whole is the
sum of the parts. Afterwards the netlist is flattened too, and its longest paths are listed. Exits
with 1 when a limit is exceeded, and with 2 when a tool fails.
"""

import argparse
import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from boards import BuildError
from boards.toolchains.toolchain import run
from boards.toolchains.xc7_cells import Netlist, by_column, table, total
from boards.toolchains.xc7_synthesis import synthesise, yosys_command
from eftrain_hw import AcceleratorConfig
from eftrain_hw.compiler import devices
from eftrain_hw.runtime.simulation import to_verilog
from eftrain_hw.runtime.simulation.build import verilator_environment
from eftrain_hw.soc.accelerator import Accelerator

ROOT = Path(__file__).parents[1]
TOP = "eftrain_accelerator"
DEVICES = {
    name: by_column(amounts)
    for name, amounts in devices.DEVICES.items()
    if name.startswith("xc7")  # what it synthesises for
}
# share of the device that a configuration may take; the rest of the LUTs is for the user's logic
LIMITS = {"LUT": 1.0, "FF": 1.0, "DSP48E1": 1.0, "BRAM36": 1.0}
DEFAULT_LIMITS = LIMITS | {"LUT": 0.75, "BRAM36": 0.9}


def say(text):
    """Print a line of progress at once."""
    print(f"[report] {text}", flush=True)


def lint(folder, models):
    """Verilator's warnings about design.v, as a number; its errors raise BuildError."""
    command = "verilator --lint-only -Wno-fatal".split()
    command += ["--top-module", TOP, "-v", os.path.relpath(models, folder), "design.v"]
    text = run(command, folder, "verilator.log", environment=verilator_environment())
    return sum(line.startswith("%Warning-") for line in text.splitlines())


def exceeded(whole, device, limits):
    """One sentence for each resource of which there is too little."""
    return [
        f"{column}: {whole[column]:,g} are needed, {limits[column]:.0%} of {device[column]:,}"
        f" are {int(limits[column] * device[column]):,}"
        for column in device
        if whole[column] > limits[column] * device[column]
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


def synthesis(config, folder):
    """(Yosys version, resources by part, longest paths) of the accelerator."""
    _, models = yosys_command()
    say("generating Verilog")
    design = to_verilog(Accelerator(config, primitives="xilinx7"), TOP)
    (folder / "design.v").write_text(design)
    say("verilator --lint-only and yosys synth_xilinx, which takes some minutes")
    with ThreadPoolExecutor(2) as pool:
        linted = pool.submit(lint, folder, models)
        synthesised = pool.submit(synthesise, folder, Netlist(TOP), config.clock_hz)
        say(f"lint: no errors, {linted.result()} warnings")
        return synthesised.result()


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
    default = config == AcceleratorConfig.preset("pynq-z2")
    limits = DEFAULT_LIMITS if default else LIMITS
    arguments.out.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    try:
        version, parts, paths = synthesis(config, arguments.out)
    except BuildError as error:
        print(error, file=sys.stderr)
        return 2

    whole = total(parts)
    head = f"{config.rows}x{config.lanes} {config.format}, {version}, synth_xilinx -family xc7"
    lines = table(parts, device, arguments.device)
    print("\n".join([head, *lines]))
    file = arguments.page
    if file is None and default and arguments.device == "xc7z020":
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
