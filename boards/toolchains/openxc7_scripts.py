"""What the tools of openXC7 are told, and what the placer's log says."""

import re

__all__ = ["MINIMUM", "constraints", "frequencies", "parse_version", "shell", "steps", "yosys"]

MINIMUM = (0, 9, 6)
"""Before this nextpnr-xilinx configured simple dual-port block RAMs of 36 and 72 bits wrongly
(openXC7/nextpnr-xilinx #112, #150), lost every ninth bit of 9-bit ports (#94), dropped clock
constraints without a word (#99), did not carry them through a BUFG (#155), and had no
single-port LUT RAM (#20). The lane buffers are such block RAMs; in true dual-port shape they
would take twice as many, more than an xc7z020 has."""

# -noiopad is missing: the LEDs need their buffers. $scopeinfo means nothing to the placer.
_YOSYS = """\
read_verilog {name}.v
hierarchy -top {name}
proc
flatten
opt_clean -purge
scratchpad -set abc9.D {period}
synth_xilinx -family xc7 -flatten -abc9 -nosrl -top {name}
delete t:$scopeinfo
tee -q -o {name}_openxc7_stat.json stat -json
write_json {name}_openxc7.json
"""

_SHELL = """\
#!/bin/sh
# Makes {name}.bit with openXC7: experimental. A failed build leaves no {name}.bit.
set -e
cd "$(dirname "$0")"
CHIPDB=${{CHIPDB:-/usr/share/nextpnr/xilinx-chipdb}}
PRJXRAY_DB_DIR=${{PRJXRAY_DB_DIR:-/usr/share/nextpnr/prjxray-db}}
for tool in yosys nextpnr-xilinx fasm2frames xc7frames2bit; do
  command -v $tool >/dev/null || {{ echo "$tool is not on PATH" >&2; exit 1; }}
done
for file in "$CHIPDB/{chip}.bin" "$PRJXRAY_DB_DIR/{family}/{device}/part.yaml"; do
  test -e "$file" || {{ echo "$file is missing: set CHIPDB, PRJXRAY_DB_DIR" >&2; exit 1; }}
done
yosys -V; nextpnr-xilinx --version
rm -f {name}.bit {name}.bit.partial
{steps}
grep "Max frequency" {log}
if grep -q "(FAIL at" {log} || ! grep -q "(PASS at {mhz:.2f} MHz)" {log}; then
  echo "timing is not met, or not checked at {mhz:g} MHz: see {log}" >&2; exit 1
fi
{last}
mv {name}.bit.partial {name}.bit
ls -l {name}.bit {name}.hwh
"""


def family(device):
    """prjxray's name of a device's family."""
    return {"xc7z": "zynq7", "xc7a": "artix7", "xc7k": "kintex7"}[device[:4]]


def chip(device):
    """Name of the placer's database of a device: the part without its speed grade."""
    return re.sub(r"-\d\w*$", "", device)


def yosys(name, clock_hz):
    """The synthesis script."""
    return _YOSYS.format(name=name, period=10**12 * 3 // (8 * clock_hz))


def constraints(vivado):
    """nextpnr's dialect of Amaranth's constraints: no quotes, and dots between the names."""
    lines = []
    for line in vivado.splitlines():
        if line.startswith("set_property"):
            lines.append(line.replace('"', ""))
        elif line.startswith("create_clock"):
            head, net = line.split("[get_nets ")
            net = net.rstrip("]").strip('"').replace("/", ".")
            lines.append(f"{head}[get_nets {net}]")
    return "\n".join(lines) + "\n"


def steps(name, device, clock_hz, chipdb, database):
    """Command lines from Verilog to bitstream, each with the file that its output goes to.

    Parameters
    ----------
    name, device : str
    clock_hz : int
    chipdb, database : str
        Folder of the placer's databases, and prjxray's.

    Returns
    -------
    list of (list of str, str or None)
    """
    tiles = f"{database}/{family(device)}"
    return [
        (["yosys", "-q", "-l", f"{name}_yosys.log", f"{name}_openxc7.ys"], None),
        (["nextpnr-xilinx", "--chipdb", f"{chipdb}/{chip(device)}.bin",
          "--xdc", f"{name}_openxc7.xdc", "--json", f"{name}_openxc7.json",
          "--freq", f"{clock_hz / 1e6:g}", "--seed", "1", "--log", f"{name}_nextpnr.log",
          "--fasm", f"{name}.fasm"], None),
        (["fasm2frames", "--part", device, "--db-root", tiles, f"{name}.fasm"], f"{name}.frames"),
        (["xc7frames2bit", "--part_file", f"{tiles}/{device}/part.yaml", "--part_name", device,
          "--frm_file", f"{name}.frames", "--output_file", f"{name}.bit.partial"], None),
    ]  # fmt: skip


def shell(name, device, clock_hz):
    """The script that builds on a machine with openXC7 and nothing else."""

    def quoted(word):
        return f'"{word}"' if "$" in word else word

    lines = [
        " ".join(map(quoted, words)) + (f" > {output}" if output else "")
        for words, output in steps(name, device, clock_hz, "$CHIPDB", "$PRJXRAY_DB_DIR")
    ]
    return _SHELL.format(
        name=name, device=device, family=family(device), chip=chip(device), mhz=clock_hz / 1e6,
        log=f"{name}_nextpnr.log", steps="\n".join(lines[:2]), last="\n".join(lines[2:]),
    )  # fmt: skip


def parse_version(text):
    """(major, minor, patch) in a version, or None."""
    match = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", text)
    return match and (int(match[1]), int(match[2]), int(match[3] or 0))


def frequencies(log):
    """[(clock, MHz reached, MHz asked for)] as the placer's log says last."""
    found = {}
    for name, reached, asked in re.findall(
        r"Max frequency for clock\s+'([^']+)':\s+([\d.]+) MHz \((?:PASS|FAIL) at ([\d.]+) MHz\)",
        log,
    ):
        found[name] = (name, float(reached), float(asked))
    return list(found.values())
