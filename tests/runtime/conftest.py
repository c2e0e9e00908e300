"""A small machine with the accelerator's ports, which copies memory: the harness's test object."""

import sys
from functools import partial

import pytest
from amaranth.hdl import Assert, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from eftrain_hw.runtime import pynq_clock, pynq_device, pynq_interrupt
from eftrain_hw.runtime.simulation import build_library, to_verilog
from sim.models import fake_pynq
from sim.models.small_networks import LEAST_CONFIG

BEATS = 16
_AXI = {
    "awvalid": Out(1), "awready": In(1), "awaddr": Out(32), "awlen": Out(8), "awsize": Out(3),
    "awburst": Out(2), "wvalid": Out(1), "wready": In(1), "wdata": Out(64), "wstrb": Out(8),
    "wlast": Out(1), "bvalid": In(1), "bready": Out(1), "bresp": In(2), "arvalid": Out(1),
    "arready": In(1), "araddr": Out(32), "arlen": Out(8), "arsize": Out(3), "arburst": Out(2),
    "rvalid": In(1), "rready": Out(1), "rdata": In(64), "rresp": In(2), "rlast": In(1),
}  # fmt: skip
_LITE = {
    "awvalid": In(1), "awready": Out(1), "awaddr": In(8), "wvalid": In(1), "wready": Out(1),
    "wdata": In(32), "wstrb": In(4), "bvalid": Out(1), "bready": In(1), "bresp": Out(2),
    "arvalid": In(1), "arready": Out(1), "araddr": In(8), "rvalid": Out(1), "rready": In(1),
    "rdata": Out(32), "rresp": Out(2),
}  # fmt: skip


class CopyMachine(wiring.Component):
    """Copies bursts of 16 beats; port p takes every `ports`-th of them.

    Registers: 0 source, 4 destination, 8 bursts per port, 12 control (1 start, 2 clear, 4 fail an
    assertion; reads 1 busy, 2 done, 4 error). `length` is one less than the beats of a burst that
    are announced: a protocol fault if it isn't 15.
    """

    def __init__(self, ports=2, length=BEATS - 1):
        self.ports, self.length = ports, length
        super().__init__(
            {
                "axi": Out(wiring.Signature(_AXI)).array(ports),
                "axil": Out(wiring.Signature(_LITE)),
                "irq": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        registers = [Signal(32, name=f"register{i}") for i in range(3)]
        start, error = Signal(), Signal()
        busy = [Signal(name=f"busy{i}") for i in range(self.ports)]
        done = Signal()
        self._lite(m, registers, start, sum(busy) != 0, done, error)
        was_busy = Signal()
        m.d.sync += was_busy.eq(sum(busy) != 0)
        m.d.comb += self.irq.eq(done)
        with m.If(was_busy & (sum(busy) == 0)):
            m.d.sync += done.eq(1)
        for i in range(self.ports):
            self._port(m, i, registers, start, busy[i], error)
        return m

    def _lite(self, m, registers, start, busy, done, error):
        lite = self.axil
        both = lite.awvalid & lite.wvalid & ~lite.bvalid
        m.d.comb += [lite.awready.eq(both), lite.wready.eq(both)]
        m.d.sync += start.eq(0)
        with m.If(lite.bvalid & lite.bready):
            m.d.sync += lite.bvalid.eq(0)
        with m.If(both):
            m.d.sync += [lite.bvalid.eq(1), lite.bresp.eq(0)]
            with m.Switch(lite.awaddr[2:4]):
                for i, register in enumerate(registers):
                    with m.Case(i):
                        m.d.sync += register.eq(lite.wdata)
                with m.Default():
                    m.d.sync += start.eq(lite.wdata[0])
                    m.d.sync += Assert(~lite.wdata[2], "told to fail")
                    with m.If(lite.wdata[1]):
                        m.d.sync += [done.eq(0), error.eq(0)]
            with m.If(lite.awaddr >= 16):
                m.d.sync += lite.bresp.eq(3)
        m.d.comb += lite.arready.eq(~lite.rvalid)
        with m.If(lite.rvalid & lite.rready):
            m.d.sync += lite.rvalid.eq(0)
        with m.If(lite.arvalid & lite.arready):
            m.d.sync += lite.rvalid.eq(1)
            with m.If(lite.araddr == 12):
                m.d.sync += lite.rdata.eq(busy | done << 1 | error << 2)
            with m.Else():
                m.d.sync += lite.rdata.eq(registers[0])

    def _port(self, m, i, registers, start, busy, error):
        axi = self.axi[i]
        m.submodules[f"buffer{i}"] = memory = Memory(shape=64, depth=BEATS, init=[])
        write, read = memory.write_port(), memory.read_port(domain="comb")
        source, destination, left = Signal(32), Signal(32), Signal(32)
        beat = Signal(range(BEATS))
        m.d.comb += [
            axi.arlen.eq(self.length), axi.arsize.eq(3), axi.arburst.eq(1), axi.araddr.eq(source),
            axi.awlen.eq(self.length), axi.awsize.eq(3), axi.awburst.eq(1), axi.wstrb.eq(0xFF),
            axi.awaddr.eq(destination), write.addr.eq(beat), write.data.eq(axi.rdata),
            read.addr.eq(beat), axi.wdata.eq(read.data), axi.wlast.eq(beat == BEATS - 1),
        ]  # fmt: skip
        with m.FSM(name=f"port{i}") as fsm:
            m.d.comb += busy.eq(~fsm.ongoing("idle"))
            with m.State("idle"), m.If(start & (registers[2] != 0)):
                m.d.sync += source.eq(registers[0] + i * BEATS * 8)
                m.d.sync += destination.eq(registers[1] + i * BEATS * 8)
                m.d.sync += left.eq(registers[2])
                m.next = "request"
            with m.State("request"):
                m.d.comb += axi.arvalid.eq(1)
                with m.If(axi.arready):
                    m.next = "read"
            with m.State("read"):
                m.d.comb += [axi.rready.eq(1), write.en.eq(axi.rvalid)]
                with m.If(axi.rvalid):
                    m.d.sync += beat.eq(beat + 1)
                    with m.If(axi.rresp[1]):
                        m.d.sync += error.eq(1)
                    with m.If(axi.rlast):
                        m.next = "announce"
            with m.State("announce"):
                m.d.comb += axi.awvalid.eq(1)
                with m.If(axi.awready):
                    m.next = "write"
            with m.State("write"):
                m.d.comb += axi.wvalid.eq(1)
                with m.If(axi.wready):
                    m.d.sync += beat.eq(beat + 1)
                    with m.If(axi.wlast):
                        m.next = "respond"
            with m.State("respond"):
                m.d.comb += axi.bready.eq(1)
                with m.If(axi.bvalid):
                    with m.If(axi.bresp[1]):
                        m.d.sync += error.eq(1)
                    m.d.sync += source.eq(source + BEATS * 8 * self.ports)
                    m.d.sync += destination.eq(destination + BEATS * 8 * self.ports)
                    m.d.sync += left.eq(left - 1)
                    with m.If(left == 1):
                        m.next = "idle"
                    with m.Else():
                        m.next = "request"


@pytest.fixture(scope="session")
def copy_machine_verilog():
    """Verilog of the copy machine with two ports."""
    return to_verilog(CopyMachine(), "copy")


@pytest.fixture(scope="session")
def copy_machine(copy_machine_verilog):
    """The compiled copy machine."""
    return build_library(verilog=copy_machine_verilog, top="copy")


@pytest.fixture
def make_board(monkeypatch):
    """make_board(config) puts a board (sim.models.fake_pynq) behind `import pynq`."""
    boards = []

    def make(config=LEAST_CONFIG, **options):
        board = fake_pynq.FakeBoard(config, **options)
        boards.append(board)
        monkeypatch.setitem(sys.modules, "pynq", board.module)
        for module in (pynq_device, pynq_clock, pynq_interrupt):
            monkeypatch.setattr(module, "time", board.time)
        monkeypatch.setattr(pynq_device, "find_uio", lambda: None)
        brief = partial(pynq_clock.measure_clock, seconds=0.001)
        monkeypatch.setattr(pynq_device, "measure_clock", brief)
        return board

    yield make
    for board in boards:
        board.close()


@pytest.fixture
def board_config():
    """What `make_board` builds by default."""
    return LEAST_CONFIG
