"""Fake tools on PATH: they check what they are given and write what the real ones would."""

import os
import stat
import sys
from pathlib import Path

import pytest
from amaranth.hdl import ClockDomain, ClockSignal, Elaboratable, Module, ResetSignal
from amaranth.lib import io

from boards import find_board
from boards.zynq import ZynqBoard
from eftrain_hw.interop.ps7 import ZYNQ_7000, Ps7
from eftrain_hw.interop.ps8 import ZYNQ_ULTRASCALE, Ps8

FAKES = Path(__file__).parent / "fake_tools.py"
PROGRAMS = {
    "vivado": ["vivado"],
    "openxc7": ["yosys", "nextpnr-xilinx", "fasm2frames", "xc7frames2bit"],
}


class TinyTop(Elaboratable):
    """Everything outside the accelerator: the primitive with all its ports, and the lights."""

    def __init__(self, config, primitive):
        self.config, self.primitive = config, primitive

    def elaborate(self, platform):
        m = Module()
        inner = Module()
        m.submodules.eftrain = inner
        inner.submodules.ps = ps = self.primitive(self.config)
        inner.domains.sync = ClockDomain()
        inner.d.comb += [ClockSignal().eq(ps.clk), ResetSignal().eq(ps.rst)]
        for k in range(self.config.ports):
            memory = getattr(ps, f"memory{k}")
            inner.d.sync += [memory.awaddr.eq(memory.rdata), memory.awvalid.eq(memory.awready)]
        inner.d.sync += ps.control.rdata.eq(ps.control.araddr + 1)
        for k in range(4):
            m.submodules[f"led{k}"] = led = io.Buffer("o", platform.request("led", k, dir="-"))
            m.d.comb += led.o.eq(ps.control.araddr[k])
        return m


@pytest.fixture
def board(monkeypatch):
    """The PYNQ-Z2; next to nothing stands on any Zynq board, so it is synthesised at once."""
    primitives = {ZYNQ_7000.name: Ps7, ZYNQ_ULTRASCALE.name: Ps8}
    monkeypatch.setattr(
        ZynqBoard, "make_top", lambda self, config: TinyTop(config, primitives[self.family.name])
    )
    return find_board("pynq-z2")


@pytest.fixture
def tools(tmp_path, monkeypatch):
    """tools(chain, **behaviour) puts a chain's fake programs onto an otherwise bare PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", os.pathsep.join([str(folder), "/usr/bin", "/bin"]))

    def install(chain, *, without=(), **behaviour):
        for program in PROGRAMS[chain]:
            if program not in without:
                file = folder / program
                file.write_text(f'#!/bin/sh\nexec {sys.executable} {FAKES} {program} "$@"\n')
                file.chmod(file.stat().st_mode | stat.S_IEXEC)
        for name, value in behaviour.items():
            monkeypatch.setenv(f"FAKE_{name.upper()}", str(value))
        if chain == "openxc7":
            chipdb, database = tmp_path / "chipdb", tmp_path / "db"
            part = database / "zynq7" / "xc7z020clg400-1" / "part.yaml"
            part.parent.mkdir(parents=True)
            chipdb.mkdir()
            part.write_text("part")
            (chipdb / "xc7z020clg400.bin").write_text("chip")
            monkeypatch.setenv("CHIPDB", str(chipdb))
            monkeypatch.setenv("PRJXRAY_DB_DIR", str(database))

    return install
