"""What Vivado is told, and what its reports say."""

import re

from eftrain_hw.interop.ps7 import ZYNQ_7000
from eftrain_hw.interop.ps8 import ZYNQ_ULTRASCALE

__all__ = [
    "TIMING",
    "arguments",
    "constraints",
    "overrides",
    "parse_timing",
    "parse_utilisation",
    "shell",
]

TIMING = "timing.txt"
"""What the build script writes after routing: `name value` lines."""

_CLOCK_PINS = {ZYNQ_7000.name: "ps7/FCLKCLK[0]", ZYNQ_ULTRASCALE.name: "ps8/PLCLK[0]"}

# Before the bitstream is written. A clock whose net was not found leaves paths without a
# requirement, and those never fail: so no clock and no path are errors as well.
_CHECK = """\
set file [open {timing} w]
set clocks [get_clocks -quiet ps_clk]
if {{[llength $clocks] != 1}} {{ close $file; error "{name}: the clock ps_clk is not constrained" }}
puts $file "period_ns [get_property PERIOD $clocks]"
set worst 0
foreach {{kind option}} {{setup -setup hold -hold}} {{
    set path [get_timing_paths -quiet $option -max_paths 1 -nworst 1]
    if {{[llength $path] != 1}} {{ close $file; error "{name}: no path has a $kind requirement" }}
    set slack [get_property SLACK $path]
    puts $file "${{kind}}_ns $slack"
    if {{$slack < $worst}} {{ set worst $slack }}
}}
close $file
if {{$worst < 0}} {{ error "{name}: timing is not met: worst slack $worst ns" }}"""

_SHELL = """\
#!/bin/sh
# Makes {name}.bit with Vivado. A failed build leaves no {name}.bit.
set -e
cd "$(dirname "$0")"
command -v "${{VIVADO:=vivado}}" >/dev/null || {{
  echo "vivado is not on PATH: source its settings64.sh, or set VIVADO" >&2; exit 1; }}
rm -f {name}.bit {timing}
"$VIVADO" {arguments} || {{
  rm -f {name}.bit; echo "Vivado failed, see {name}_vivado.log" >&2; exit 1; }}
test -s {name}.bit || {{ echo "Vivado made no {name}.bit, see {name}_vivado.log" >&2; exit 1; }}
cat {timing}
ls -l {name}.bit {name}.hwh
"""

_ROWS = {
    "lut": ("Slice LUTs", "CLB LUTs"),
    "ff": ("Slice Registers", "CLB Registers"),
    "dsp": ("DSPs",),
    "bram": ("Block RAM Tile",),
}
"""Rows of Vivado's utilisation report by resource: 7 series and UltraScale+."""


def arguments(name):
    """Vivado's arguments."""
    log = f"{name}_vivado.log"
    return ["-mode", "batch", "-nojournal", "-notrace", "-log", log, "-source", f"{name}.tcl"]


def overrides(name):
    """For `platform.prepare`: the check between routing and the bitstream."""
    return {"script_before_bitstream": _CHECK.format(name=name, timing=TIMING)}


def constraints(amaranth, family):
    """Amaranth's constraints, with the clock on the primitive's pin, whose name nothing changes.

    Amaranth names the net behind it, which is an alias of another.
    """
    pin = _CLOCK_PINS[family.name]
    return re.sub(r"\[get_nets \"(\S+)/ps_clk\"\]", rf"[get_pins {{\1/{pin}}}]", amaranth)


def shell(name):
    """The script that builds on a machine with Vivado and nothing else."""
    return _SHELL.format(name=name, timing=TIMING, arguments=" ".join(arguments(name)))


def parse_timing(text):
    """{name: float} of the file `TIMING`; ValueError where a line or a figure is missing."""
    values = {}
    for line in text.splitlines():
        name, _, value = line.partition(" ")
        values[name] = float(value)
    missing = {"period_ns", "setup_ns", "hold_ns"} - set(values)
    if missing:
        raise ValueError(f"no {', '.join(sorted(missing))}")
    return values


def parse_utilisation(text):
    """{resource: used} of Vivado's utilisation report; ValueError names a row that is missing."""
    used = {}
    for resource, labels in _ROWS.items():
        for label in labels:
            row = re.search(rf"^\|\s*{label}\*?\s*\|\s*([\d.]+)\s*\|", text, re.M)
            if row:
                used[resource] = float(row[1])
                break
        else:
            raise ValueError(f"no row {' or '.join(labels)}")
    return {name: int(value) if value == int(value) else value for name, value in used.items()}
