"""The Verilator harness: memory, latency, bandwidth, faults, registers, the build cache."""

import threading
from collections import Counter

import numpy as np
import pytest

from eftrain_hw.runtime.simulation import (
    BusFault,
    Simulation,
    SimulationError,
    TopPorts,
    build_library,
)
from eftrain_hw.runtime.simulation import build as build_module

SIZE = 1 << 16
HALF = SIZE // 2


def copy(simulation, bursts, *, source=0, destination=HALF, limit=100_000):
    """Run the copy machine; returns (cycles, whether it saw a bus error)."""
    simulation.write_register(12, 2)
    for register, value in enumerate((source, destination, bursts)):
        simulation.write_register(4 * register, value)
    simulation.write_register(12, 1)
    cycles = simulation.run(limit)
    assert simulation.irq and not simulation.bus_busy
    return cycles, bool(simulation.read_register(12) & 4)


def filled(library, **options):
    simulation = Simulation(library, memory_bytes=SIZE, **options)
    simulation.memory[:HALF] = np.random.default_rng(5).integers(0, 256, HALF, np.uint8)
    return simulation


@pytest.mark.parametrize("stall", [0, 0.5, 0.9])
def test_copies(copy_machine, stall):
    with filled(copy_machine, stall=stall, seed=3) as simulation:
        _, error = copy(simulation, 20)
        moved = 20 * 2 * 128
        assert not error
        assert (simulation.memory[:moved] == simulation.memory[HALF : HALF + moved]).all()
        assert not simulation.memory[HALF + moved :].any()
        counters = simulation.counters()
        assert counters["read_bytes"] == counters["write_bytes"] == moved
        assert counters["read_bursts"] == counters["write_bursts"] == 40


def test_latency(copy_machine):
    cycles = {}
    for latency in (10, 40):
        with filled(copy_machine, latency=latency) as simulation:
            cycles[latency], _ = copy(simulation, 10)
    # each burst waits once for its data and once for its response
    assert cycles[40] - cycles[10] == 2 * 30 * 10


def test_bandwidth_is_shared_by_both_ports_and_directions(copy_machine):
    cycles = {}
    for bandwidth in (1, 4, 8, 16):
        with filled(copy_machine, latency=1, bytes_per_cycle=bandwidth) as simulation:
            cycles[bandwidth], _ = copy(simulation, 20)
    moved = 20 * 2 * 128 * 2  # read and written
    assert moved - 16 <= cycles[1] <= moved * 1.02
    assert moved / 4 <= cycles[4] <= moved / 4 * 1.06
    assert moved / 8 <= cycles[8] < cycles[4]
    # at 16 bytes a cycle both ports move a beat in every cycle of a burst
    assert cycles[16] <= 20 * (2 * 16 + 8)


def test_pauses_depend_on_the_seed_alone(copy_machine):
    cycles = []
    for seed in (1, 1, 2):
        with filled(copy_machine, stall=0.3, seed=seed) as simulation:
            cycles.append(copy(simulation, 10)[0])
    assert cycles[0] == cycles[1] != cycles[2]


@pytest.mark.parametrize("kind", ["slverr", "decerr"])
@pytest.mark.parametrize("reads", [True, False])
def test_fault_is_reported_and_writes_nothing(copy_machine, kind, reads):
    with filled(copy_machine) as simulation:
        start = 0x400 if reads else HALF + 0x400
        simulation.set_faults([BusFault(start, start + 8, kind, reads, not reads)])
        assert copy(simulation, 10)[1]
        assert simulation.memory[HALF : HALF + 0x400].any()
        if not reads:
            assert not simulation.memory[HALF + 0x400 : HALF + 0x408].any()
        simulation.set_faults([])
        assert not copy(simulation, 10)[1]


def test_outside_the_memory_is_an_error(copy_machine):
    with filled(copy_machine) as simulation:
        assert copy(simulation, 1, source=SIZE)[1]
        assert copy(simulation, 1, destination=SIZE)[1]


def test_held_request_is_answered_when_the_fault_goes(copy_machine):
    with filled(copy_machine) as simulation:
        simulation.set_faults([BusFault(0, 8, "hold")])
        simulation.write_register(8, 1)
        simulation.write_register(4, HALF)
        simulation.write_register(12, 1)
        assert simulation.run(2000) == 2000 and simulation.bus_busy
        simulation.set_faults([])
        assert simulation.run(2000) < 200 and simulation.irq


def test_protocol_violations_raise(copy_machine):
    with filled(copy_machine, longest_burst=8) as simulation:
        with pytest.raises(SimulationError, match="burst of 16 beats at 0x0 is too long"):
            copy(simulation, 1)
    with filled(copy_machine) as simulation:
        with pytest.raises(SimulationError, match="at 0xfc0 crosses 4 KiB"):
            copy(simulation, 1, source=0xFC0)


def test_failed_assertion_raises(copy_machine):
    with filled(copy_machine) as simulation:
        with pytest.raises(SimulationError, match="assertion at"):
            simulation.write_register(12, 4)


def test_register_errors(copy_machine):
    with filled(copy_machine) as simulation:
        with pytest.raises(SimulationError, match="register write at 0x10: DECERR"):
            simulation.write_register(16, 0)
        simulation.write_register(0, 0x12345678)
        assert simulation.read_register(0) == 0x12345678


def test_memory_access(copy_machine):
    with Simulation(copy_machine, memory_bytes=256, memory_base=0x1000) as simulation:
        simulation.write(0x1010, np.arange(4, dtype=np.uint16))
        assert simulation.read(0x1010, 8) == bytes([0, 0, 1, 0, 2, 0, 3, 0])
        message = "addresses 0x10fc to 0x1104 are outside the memory, 0x1000 to 0x1100"
        with pytest.raises(ValueError, match=message):
            simulation.read(0x10FC, 8)
    with pytest.raises(ValueError, match="stall must be at least 0 and less than 1, not 1"):
        Simulation(copy_machine, memory_bytes=256, stall=1)
    with pytest.raises(ValueError, match="BusFault.kind must be one of .*, not 'oops'"):
        BusFault(0, 8, "oops")


def test_cache_skips_generation_and_is_shared(copy_machine_verilog, tmp_path, monkeypatch):
    monkeypatch.setenv("EFTRAIN_CACHE", str(tmp_path))
    calls = Counter()

    def fake_compile(verilog, top, trace, library):
        calls["compile"] += 1
        library.write_text("library")

    def generate():
        calls["generate"] += 1
        return copy_machine_verilog

    monkeypatch.setattr(build_module, "_compile", fake_compile)
    threads = [
        threading.Thread(
            target=build_library, kwargs={"verilog": generate, "top": "copy", "key": "k"}
        )
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert calls == {"compile": 1, "generate": 4} or calls["compile"] == 1
    calls.clear()
    path = build_library(verilog=generate, top="copy", key="k")
    assert path.read_text() == "library" and not calls
    # the same Verilog under another key is not compiled again; with tracing it is
    assert build_library(verilog=generate, top="copy", key="other") == path
    assert calls == {"generate": 1}
    assert build_library(verilog=generate, top="copy", key="k", trace=True) != path
    assert calls == {"generate": 2, "compile": 1}


def test_failed_build_says_why_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("EFTRAIN_CACHE", str(tmp_path))
    broken = "module copy(clk);\n  input clk, rst, axi__0__awaddr;\n  assign nothing;\nendmodule"
    with pytest.raises(RuntimeError, match="(?s)verilator failed:.*syntax error"):
        build_library(
            verilog=broken.replace("input clk, rst, axi", "input clk;\n  input rst;\n  input axi"),
            top="copy",
        )
    assert not list(tmp_path.glob("*.so")) and not list(tmp_path.glob("build-*"))


def test_ports_are_found_in_the_verilog(copy_machine_verilog):
    ports = TopPorts.parse(copy_machine_verilog, "copy")
    assert ports.axi == ["axi__0__", "axi__1__"] and ports.lite == "axil__"
    assert ports.widths["axi__1__wdata"] == 64 and ports.widths["irq"] == 1
    header = ports.header()
    assert "m[1].araddr = top.axi___05F1___05Faraddr;" in header
    assert "m[0].wid = 0;" in header  # AXI4 has no WID
    with pytest.raises(ValueError, match="Verilog must have a module 'other'"):
        TopPorts.parse(copy_machine_verilog, "other")


def test_trace(copy_machine_verilog, tmp_path):
    library = build_library(verilog=copy_machine_verilog, top="copy", trace=True)
    path = tmp_path / "copy.vcd"
    with filled(library, trace=path) as simulation:
        copy(simulation, 1)
    text = path.read_text()
    assert "awvalid" in text and text.count("#") > 100


def test_one_port_named_without_underscores():
    verilog = "module t(clk, rst, axi0__awaddr);\n input clk;\n input rst;\n"
    verilog += "  output [39:0] axi0__awaddr;\nendmodule\n"
    ports = TopPorts.parse(verilog, "t")
    assert ports.axi == ["axi0__"] and ports.lite is None and ports.widths["axi0__awaddr"] == 40
