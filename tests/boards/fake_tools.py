"""Vivado and the tools of openXC7 as far as a build sees them; called as `fake_tools.py NAME ..`.

What they are asked for must be there and make sense, or they fail. FAKE_FAIL names the program
that fails; FAKE_SLACK, FAKE_MHZ, FAKE_ASKED, FAKE_VERSION, FAKE_UNCLOCKED and FAKE_SILENT (it ends
well and writes nothing) are what they find.
"""

import json
import os
import re
import sys
from pathlib import Path

UTILISATION = """\
+----------------------------+-------+-------+------------+-----------+-------+
|          Site Type         |  Used | Fixed | Prohibited | Available | Util% |
+----------------------------+-------+-------+------------+-----------+-------+
| Slice LUTs                 | 30211 |     0 |          0 |     53200 | 56.79 |
|   LUT as Logic             | 29000 |     0 |          0 |     53200 | 54.51 |
| Slice Registers            | 40100 |     0 |          0 |    106400 | 37.69 |
| Block RAM Tile             | 122.5 |     0 |          0 |       140 | 87.50 |
| DSPs                       |   132 |     0 |          0 |       220 | 60.00 |
"""


def setting(name, default):
    return os.environ.get(f"FAKE_{name}", default)


def require(holds, what):
    if not holds:
        print(f"ERROR: fake tool: {what}")
        sys.exit(3)


def value(arguments, option):
    require(option in arguments, f"no {option}")
    return arguments[arguments.index(option) + 1]


def fails(program):
    if setting("FAIL", "") == program:
        for number in range(100):
            print(f"INFO: step {number}", file=sys.stderr)
        print(f"ERROR: [Fake 1-1] {program} cannot do it", file=sys.stderr)
        sys.exit(1)


def vivado(arguments):
    if arguments == ["-version"]:
        print(f"vivado v{setting('VERSION', '2022.1')} (64-bit)\nSW Build 3526262")
        return
    require(value(arguments, "-mode") == "batch", "not in batch mode")
    script = Path(value(arguments, "-source")).read_text()
    for word in ("synth_design -top eftrain", "route_design", "write_bitstream"):
        require(word in script, f"no {word}")
    part = re.search(r"create_project .* -part (\S+)", script)[1]
    require(part in ("xc7z020clg400-1", "xczu9eg-ffvb1156-2-e"), "another part")
    kind, pin = ("PS7", "FCLKCLK") if part.startswith("xc7") else ("PS8", "PLCLK")
    checked = script.index("timing is not met")
    require(script.index("route_design") < checked < script.index("write_bitstream"), "no check")
    design, pins = Path("eftrain.v").read_text(), Path("eftrain.xdc").read_text()
    require("module eftrain(" in design and kind in design, "no design")
    clock = re.search(r"create_clock -name ps_clk -period ([\d.]+) \[get_pins {(.*)}\]", pins)
    require(clock and clock[2] == f"eftrain/ps/{kind.lower()}/{pin}[0]", "no clock")
    ps = re.search(r"module \\?eftrain\.eftrain\.ps ?\(.*?endmodule", design, re.S)
    cell = rf"{kind} {kind.lower()} \([^;]*\.{pin}\("
    require(ps and re.search(cell, ps[0]), "the clock's pin is elsewhere")
    require("assert (" not in design, "not Verilog-2005")
    Path("eftrain.bit").write_bytes(b"half a ")
    fails("vivado")
    slack = float(setting("SLACK", "0.21"))
    timing = f"period_ns {clock[1]}\nsetup_ns {slack}\nhold_ns 0.03\n"
    if not setting("SILENT", ""):
        Path("timing.txt").write_text(timing)
    Path("eftrain_utilization_place.rpt").write_text(UTILISATION)
    unclocked = setting("UNCLOCKED", "0")
    Path("eftrain_timing.rpt").write_text(f"1. checking no_clock ({unclocked})\n---\n")
    if slack < 0:
        print(f"ERROR: eftrain: timing is not met: worst slack {slack} ns")
        sys.exit(1)
    Path("eftrain.bit").write_bytes(b"a whole bitstream")


def yosys(arguments):
    if arguments == ["-V"]:
        print("Yosys 0.45 (git sha1 9ed031dda)")
        return
    fails("yosys")
    script = Path(arguments[-1]).read_text()
    require("synth_xilinx" in script and "-nobram" not in script, "no block RAM")
    require("PS7" in Path("eftrain.v").read_text(), "no design")
    cells = {"\\LUT6": 100, "RAMB36E1": 3, "RAMB18E1": 1, "FDRE": 50, "DSP48E1": 2, "PS7": 1}
    stat = {"creator": "Yosys", "modules": {}, "design": {"num_cells_by_type": cells}}
    Path("eftrain_openxc7_stat.json").write_text(json.dumps(stat))
    Path("eftrain_openxc7.json").write_text("netlist")


def nextpnr_xilinx(arguments):
    if arguments == ["--version"]:
        version = setting("VERSION", "0.9.6")
        print(f'"nextpnr-xilinx" -- Next Generation Place and Route (Version {version})')
        return
    fails("nextpnr-xilinx")
    require(Path(value(arguments, "--chipdb")).read_text() == "chip", "no chip database")
    require(Path(value(arguments, "--json")).read_text() == "netlist", "no netlist")
    pins = Path(value(arguments, "--xdc")).read_text()
    require('"' not in pins and "set_property LOC R14 [get_ports led_0__io]" in pins, "no pins")
    require("-period 8.0 [get_nets eftrain.ps.ps_clk]" in pins, "no clock")
    asked = float(setting("ASKED", value(arguments, "--freq")))
    reached = float(setting("MHZ", "131.5"))
    verdict = "PASS" if reached >= asked else "FAIL"
    text = "".join(
        f"Info: Max frequency for clock 'clk': {found:.2f} MHz ({verdict} at {asked:.2f} MHz)\n"
        for found in (12.0, reached)  # before and after routing
    )
    if not setting("SILENT", ""):
        print(text)
        Path(value(arguments, "--log")).write_text(text)
    Path(value(arguments, "--fasm")).write_text("fasm")


def fasm2frames(arguments):
    require(arguments != ["--version"], "usage: fasm2frames [-h] --db-root DB_ROOT")
    fails("fasm2frames")
    require(Path(arguments[-1]).read_text() == "fasm", "no fasm")
    require(Path(value(arguments, "--db-root")).is_dir(), "no database")
    print("a deprecation warning", file=sys.stderr)
    print("frames")


def xc7frames2bit(arguments):
    require(arguments != ["--version"], "unknown command line flag 'version'")
    output = Path(value(arguments, "--output_file"))
    output.write_bytes(b"half a ")
    fails("xc7frames2bit")
    require(Path(value(arguments, "--frm_file")).read_text() == "frames\n", "no frames")
    require(Path(value(arguments, "--part_file")).read_text() == "part", "no part")
    output.write_bytes(b"" if setting("EMPTY", "") else b"a whole bitstream")


if __name__ == "__main__":
    globals()[sys.argv[1].replace("-", "_")](sys.argv[2:])
