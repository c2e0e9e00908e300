"""Rewriting Verilog for the simulator: fewer statements, fewer modules, the same behaviour."""

import re

import numpy as np
import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from eftrain_hw.runtime.simulation import Simulation, build_library, to_verilog
from eftrain_hw.runtime.simulation.memories import simplify_memories
from eftrain_hw.runtime.simulation.modules import share_modules

LANES = 4


class Lane(wiring.Component):
    """A memory of four bytes a word with a write enable for each, and its reader."""

    def __init__(self, start=0):
        self.start = start
        super().__init__(
            {"address": In(4), "data": In(32), "enable": In(4), "read": In(4), "value": Out(32)}
        )

    def elaborate(self, platform):
        m = Module()
        init = [[self.start] * 4] * 16 if self.start else []
        m.submodules.bank = bank = Memory(shape=data.ArrayLayout(8, 4), depth=16, init=init)
        write, read = bank.write_port(granularity=1), bank.read_port()
        m.d.comb += [
            write.addr.eq(self.address),
            write.data.as_value().eq(self.data),
            write.en.eq(self.enable),
            read.addr.eq(self.read),
            self.value.eq(read.data),
        ]
        return m


class Lanes(wiring.Component):
    """Lanes behind AXI4-Lite ports, written and read without a handshake."""

    def __init__(self, starts):
        self.starts = starts
        lite = {
            "awvalid": In(1), "awready": Out(1), "awaddr": In(12), "wvalid": In(1),
            "wready": Out(1), "wdata": In(32), "bvalid": Out(1), "bready": In(1),
            "arvalid": In(1), "arready": Out(1), "araddr": In(12), "rvalid": Out(1),
            "rready": In(1), "rdata": Out(32),
        }  # fmt: skip
        axi = {"awaddr": Out(32), "arvalid": Out(1), "awvalid": Out(1), "wvalid": Out(1)}
        super().__init__({"axil": Out(wiring.Signature(lite)), "axi0": Out(wiring.Signature(axi))})

    def elaborate(self, platform):
        """Byte address: bits 2..5 the word, 6..9 enables (writes), 10..11 the lane."""
        m = Module()
        lite = self.axil
        both = Signal()
        m.d.comb += [
            both.eq(lite.awvalid & lite.wvalid & ~lite.bvalid),
            lite.awready.eq(both),
            lite.wready.eq(both),
            lite.arready.eq(~lite.rvalid),
        ]
        with m.If(lite.bvalid):
            m.d.sync += lite.bvalid.eq(0)
        with m.If(both):
            m.d.sync += lite.bvalid.eq(1)
        asked = Signal()
        m.d.sync += [asked.eq(lite.arvalid & ~asked & ~lite.rvalid), lite.rvalid.eq(asked)]
        for number, start in enumerate(self.starts):
            m.submodules[f"lane{number}"] = lane = Lane(start)
            m.d.comb += [
                lane.address.eq(lite.awaddr[2:6]),
                lane.data.eq(lite.wdata),
                lane.read.eq(lite.araddr[2:6]),
            ]
            with m.If(both & (lite.awaddr[10:12] == number)):
                m.d.comb += lane.enable.eq(lite.awaddr[6:10])
            with m.If(lite.araddr[10:12] == number):
                m.d.comb += lite.rdata.eq(lane.value)
        return m


@pytest.fixture(scope="module")
def verilog():
    """Three equal lanes and one whose memory starts with other words."""
    return to_verilog(Lanes([0, 0, 0, 0x5A]), "lanes")


def test_equal_modules_are_shared(verilog):
    shared = share_modules(verilog)
    lanes = re.findall(r"^module \\lanes.lane(\d)", shared, re.M)
    assert len(re.findall(r"^module ", verilog, re.M)) > len(re.findall(r"^module ", shared, re.M))
    assert lanes == ["0", "3"]
    used = re.findall(r"^  \\lanes.lane(\d) +lane(\d) \($", shared, re.M)
    assert sorted(used) == [("0", "0"), ("0", "1"), ("0", "2"), ("3", "3")]


def test_equal_modules_of_different_clocks_are_shared():
    part = """module \\top.{0} ({1}_clk, {1}_rst, o);
  input {1}_clk;
  input {1}_rst;
  output o;
  reg o;
  always @(posedge {1}_clk)
    o <= {1}_rst | ~o;
endmodule
"""
    instance = """  \\top.{0}  {0} (
    .{1}_clk(clk_{1}),
    .{1}_rst(rst),
    .o(o{2})
  );
"""
    top = "module top (clk_one, clk_two, rst, o1, o2);\n  input clk_one, clk_two, rst;\n"
    top += instance.format("a", "one", 1) + instance.format("b", "two", 2) + "endmodule\n"
    shared = share_modules(part.format("a", "one") + "\n" + part.format("b", "two") + "\n" + top)
    assert re.findall(r"^module (\S+) ", shared, re.M) == ["\\top.a", "top"]
    assert re.findall(r"\.clk\((\w+)\)", shared) == ["clk_one", "clk_two"]
    assert re.findall(r"\.rst\((\w+)\)", shared) == ["rst", "rst"]


def test_memories_have_one_write_and_no_table_of_zeros(verilog):
    simple = simplify_memories(verilog)
    assert len(re.findall(r"\]\[\d+:0?\d+\] <=", verilog)) == 4 * LANES
    assert not re.findall(r"\]\[\d+:\d+\] <=", simple)
    assert len(re.findall(r"\] <= word;", simple)) == LANES
    zero, start = r"\[\d+\] = 32'[hd]0+;", rf"\[\d+\] = 32'd{0x5A5A5A5A};"
    assert len(re.findall(zero, verilog)) == 3 * 16 and not re.findall(zero, simple)
    assert len(re.findall(start, verilog)) == len(re.findall(start, simple)) == 16


def test_memories_that_are_written_elsewhere_stay():
    text = (
        "module m(clk);\n  reg [15:0] a [3:0];\n  reg [15:0] b [3:0];\n"
        "  always @(posedge clk) begin\n    if (e)\n      a[x][7:0] <= d;\n"
        "    if (f)\n      b[x][7:0] <= d;\n  end\nendmodule\n"
    )
    assert simplify_memories(text) == text


def test_behaviour_is_that_of_the_memory(verilog):
    """`build_library` rewrites; random byte writes end as NumPy says."""
    library = build_library(verilog=verilog, top="lanes")
    rng = np.random.default_rng(7)
    expected = np.zeros((4, 16, 4), np.uint8)
    expected[3] = 0x5A
    with Simulation(library, memory_bytes=4096) as simulation:
        for _ in range(400):
            lane, word, enable = rng.integers(4), rng.integers(16), rng.integers(16)
            value = rng.integers(0, 256, 4, np.uint8)
            chosen = (enable >> np.arange(4) & 1).astype(bool)
            expected[lane, word, chosen] = value[chosen]
            address = int(word << 2 | enable << 6 | lane << 10)
            simulation.write_register(address, int(value.view(np.uint32)[0]))
        for lane in range(4):
            for word in range(16):
                found = simulation.read_register(lane << 10 | word << 2)
                assert found == expected[lane, word].view(np.uint32)[0], (lane, word)
