"""Every way in which a step can fail, on the RTL: it stops, drains the bus, reports, and recovers.

After each failure the memory outside what the step may have written is as before, and once the
state is put back the next step ends in the golden model's bits.
"""

from dataclasses import replace

import numpy as np
import pytest

from eftrain_hw.csr.registers import REGISTERS
from eftrain_hw.runtime.device import DeviceError
from eftrain_hw.runtime.simulation import SimulationError
from eftrain_hw.sequencer.program_format import padded
from sim.models.faults import (
    BESIDE,
    CODES,
    DESCRIPTORS,
    DIRECTIONS,
    READS,
    WATCHDOG,
    WRITES,
    Faults,
)

pytestmark = pytest.mark.rtl

ADDRESSES = {register.name: register.address for register in REGISTERS}
BEAT = 8


@pytest.fixture
def faults():
    return Faults()


# -- bus errors


@pytest.mark.parametrize("k", range(DESCRIPTORS))
def test_bus_error_at_every_buffer_of_every_descriptor(k, faults):
    """One descriptor alone: the layer is exact. SLVERR at the first beat, DECERR everywhere."""
    bench = faults.bench
    assert len(faults.layers) == DESCRIPTORS
    bench.run()  # all tensors hold numbers
    for way, fields in DIRECTIONS:
        planes = faults.touched(k, fields)
        assert planes
        for _, start, count in planes:
            for kind, name, size in (("slverr", "slave", BEAT), ("decerr", "decode", count)):
                faults.alone(k)
                faults.set((start, size, kind, way))
                outputs = {n for n, _, _ in faults.touched(k, WRITES)}
                error = faults.fails(f"{way}_{name}", {faults.layers[k]}, outputs)
                assert faults.reported(error, start, size)
                assert f"at address {error.address:#x}" in str(error)
    faults.recovers(soft_reset=k % 2)


@pytest.mark.parametrize(
    "config, options",
    [
        ("4x4", {"latency": 200, "bytes_per_cycle": 5}),
        ("6x8-four-ports", {"stall": 0.3, "seed": 4}),
        ("4x4-fp32-axi3", {"stall": 0.6, "seed": 5}),
    ],
)
def test_bus_error_at_a_random_beat_of_a_step(config, options):
    """The first descriptor that touches the buffer is named, or one that runs beside it."""
    faults = Faults(config, **options)
    bench, rng = faults.bench, np.random.default_rng(11)
    for n in range(10):
        way, fields = DIRECTIONS[n % 2]
        kind, name = (("slverr", "slave"), ("decerr", "decode"))[n // 2 % 2]
        k = int(rng.integers(DESCRIPTORS))
        planes = faults.touched(k, fields)
        tensor, start, count = planes[rng.integers(len(planes))]
        if tensor == "loss":
            count = BEAT  # what follows is padding
        first = next(
            j for j in range(k + 1) if (tensor, start, count) in faults.touched(j, fields)
            or tensor == "loss" and j == k
        )
        beat = start + int(rng.integers(-(-count // BEAT))) * BEAT
        bench.restore()
        faults.set((beat, BEAT, kind, way))
        layers = faults.blamed(first)
        error = faults.fails(f"{way}_{name}", layers, faults.outputs(first, BESIDE))
        burst = BEAT * bench.program.config.max_burst_beats
        assert 0 <= beat - (error.address - bench.base) < burst
        if n % 3 == 0:
            faults.recovers(soft_reset=n % 2)
    faults.recovers()


@pytest.mark.parametrize("k", [0, 5, DESCRIPTORS - 1])
def test_bus_error_when_a_descriptor_is_fetched(k, faults):
    """The layer is one that runs: descriptors are fetched up to three ahead."""
    words = sum(len(padded(descriptor.words())) for descriptor in faults.descriptors[:k])
    start = faults.program.tensors["program.train"].address + 4 * words
    size = 4 * len(faults.descriptors[k].words())
    bench = faults.bench
    bench.run("infer")  # no tag may be left over from it
    bench.restore()
    for offset in (0, (size - BEAT) // BEAT * BEAT):
        faults.set((start + offset, BEAT, "decerr", "read"))
        layers = faults.layers[max(k - 3 - BESIDE, 0) : max(k, 1)]
        error = faults.fails("read_decode", layers, faults.outputs(k, BESIDE))
        assert faults.reported(error, start, size)
        assert faults.layers[bench.host.read("error_index")] == error.layer
        bench.restore()
    faults.recovers()


def test_bus_error_in_inference(faults):
    tensor = faults.program.tensors["6.weight"]
    faults.set((tensor.address, BEAT, "slverr", "read"))
    layers = faults.blamed(3)
    faults.fails("read_slave", layers, faults.outputs(3, BESIDE), program="infer")
    faults.recovers()


# -- addresses outside the window


def test_tight_window(faults):
    """A window from the first tensor to the last byte of the program is enough, but no less."""
    bench, program = faults.bench, faults.program.tensors["program.train"]
    word = bench.program.config.bus_bytes
    low = bench.program.tensors["x"].address
    before = sum(len(padded(descriptor.words())) for descriptor in faults.descriptors[:-1])
    end = program.address + 4 * (before + len(faults.descriptors[-1].words()))
    high = -(-end // word) * word
    for shortage in (0, 1, word):
        bench.host.set_window(bench.base + low, bench.base + high - shortage)
        faults.hold_outside(low, high)
        if not shortage:
            faults.recovers()
            continue
        layers = faults.layers[-4 - BESIDE : -1]
        error = faults.fails("read_window", layers, faults.outputs(DESCRIPTORS - 1))
        assert faults.reported(error, high - 256, 256)
        bench.restore()
    bench.host.set_window(bench.base + low + 1, bench.base + high)
    error = faults.fails("read_window", faults.blamed(0), faults.outputs(0, BESIDE))
    assert error.address == bench.base + low
    bench.host.set_window(bench.base, bench.base + len(bench.memory))
    faults.recovers()


@pytest.mark.parametrize("window", [(0, 0), (1 << 31, 1 << 31), (0x2000_0000, 0x1000_0000)])
def test_empty_window(window, faults):
    bench = faults.bench
    bench.run("infer")
    bench.restore()
    bench.host.set_window(*window)
    faults.set((-bench.base, 1 << 32, "hold", "both"))
    error = faults.fails("read_window", {faults.layers[0]}, set())
    assert error.address == bench.base + bench.program.addresses["train"]
    bench.host.set_window(bench.base, bench.base + len(bench.memory))
    faults.recovers()


@pytest.mark.parametrize("k", range(DESCRIPTORS))
def test_program_with_an_address_outside(k, faults):
    """Each address field of each command in turn points below or above the window, or wraps."""
    bench = faults.bench
    base, size = bench.base // 64, len(bench.memory) // 64
    bench.run()
    faults.hold_outside(0, len(bench.memory))
    lines = {"below": 0, "above": base + size, "end of memory": (1 << 26) - 1}
    outputs = {name for name, _, _ in faults.touched(k, WRITES)}
    number = 0
    for c, command in enumerate(faults.descriptors[k].commands):
        for way, fields in DIRECTIONS:
            for field in fields.get(command.layout.name, ()):
                if command.values.get(field, 0) * 64 not in faults.planes:
                    continue
                if way == "write" and field in READS.get(command.layout.name, ()):
                    continue  # it is read first
                where = list(lines)[(k + number) % 3]
                number += 1
                values = {**command.values, field: lines[where] - base}
                commands = list(faults.descriptors[k].commands)
                commands[c] = replace(command, values=values)
                faults.alone(k, commands=commands)
                error = faults.fails(f"{way}_window", {faults.layers[k]}, outputs)
                wrapped = (error.address - lines[where] * 64) % (1 << 32)
                assert wrapped < 1 << 16
                assert not bench.base <= error.address < bench.base + len(bench.memory)
    assert number
    faults.recovers()


# -- no progress


@pytest.mark.parametrize(
    "tensor, way",
    [
        ("program.train", "read"),
        ("x", "read"),
        ("y0", "write"),
        ("y0", "read"),
        ("3.weight", "read"),
        ("loss", "write"),
        ("6.weight.gradient", "write"),
        ("6.weight.gradient", "read"),
        ("0.weight", "write"),
    ],
)
def test_watchdog_when_the_memory_stops_answering(tensor, way, faults):
    """It answers again when the interrupt has come."""
    bench, spec = faults.bench, faults.program.tensors[tensor]
    middle = 0 if tensor == "loss" else spec.nbytes // 2 // BEAT * BEAT
    if tensor == "program.train":
        middle = 4 * 20  # in the first descriptor
    faults.set((spec.address + middle, BEAT, "hold", way))
    wait = bench.host._wait

    def wait_and_let_go():
        came = wait()
        assert bench.status() == {"error", "resetting"}
        faults.set()
        return came

    bench.host._wait = wait_and_let_go
    k = 0 if tensor == "program.train" else faults.first(tensor, way)
    outputs = faults.outputs(k, BESIDE) if tensor != "program.train" else ()
    error = faults.fails("watchdog", faults.blamed(k), outputs)
    assert error.address is None
    assert bench.host.read("counter_cycles") >= WATCHDOG
    bench.host._wait = wait
    faults.recovers()


def test_watchdog_when_an_engine_waits_for_ever(faults):
    """A program whose loads hand nothing over: the bus is idle, the array waits."""
    for k in (0, 5, 12):
        commands = [c for c in faults.descriptors[k].commands if c.layout.name != "load"]
        assert len(commands) < len(faults.descriptors[k].commands)
        faults.alone(k, commands=[replace(command) for command in commands])
        faults.fails("watchdog", {faults.layers[k]}, ())
    faults.recovers()


def test_no_watchdog():
    """With 0 it waits as long as it takes, and the step ends well."""
    faults = Faults(watchdog=0)
    bench = faults.bench
    faults.set((bench.program.tensors["y2"].address, BEAT, "hold", "both"))
    wait = bench.host._wait

    def wait_long():
        bench.simulation.run(60_000)
        assert bench.status() == {"busy"} and bench.simulation.bus_busy
        faults.set()
        bench.host._wait = wait
        return wait()

    bench.host._wait = wait_long
    faults.bench.step()


# -- a bus that never answers


@pytest.mark.parametrize("way", ["read", "write"])
def test_bus_that_never_answers_again(way, faults):
    """The error names the layer, the registers go on answering, a reset waits for the bus."""
    bench, host = faults.bench, faults.bench.host
    before = bench.memory.copy()
    faults.set((bench.program.tensors["y2"].address, BEAT, "hold", way))
    with pytest.raises(DeviceError) as info:
        bench.run()
    k = faults.first("y2", way)
    assert info.value.name == "watchdog" and info.value.layer in faults.blamed(k)
    assert str(info.value).endswith("; the memory does not answer what it owes")
    assert bench.status() == {"error", "resetting"}
    assert host.read("error_code") == CODES["watchdog"]
    bench.simulation.write_register(ADDRESSES["scratch"], 0x12345678)
    assert bench.simulation.read_register(ADDRESSES["scratch"]) == 0x12345678
    with pytest.raises(SimulationError, match="register write at 0x40: SLVERR"):
        bench.simulation.write_register(ADDRESSES["control"], 1)
    with pytest.raises(SimulationError, match="SLVERR"):
        host.set_window(0, 1 << 31)
    for attempt in (host.soft_reset, bench.run):
        with pytest.raises(DeviceError, match="bus_stuck .*: the memory does not answer"):
            attempt()
        assert bench.status() == {"resetting"}
    assert bench.changes(before) <= faults.outputs(k, BESIDE)
    faults.set()
    bench.simulation.run(1000)
    assert bench.status() == {"idle"} and not bench.simulation.bus_busy
    faults.recovers()


# -- soft reset


@pytest.mark.parametrize(
    "config, options",
    [
        ("4x4", {}),
        ("4x4", {"latency": 300, "bytes_per_cycle": 9}),
        ("6x8-four-ports", {"stall": 0.4, "seed": 21}),
        ("4x4-fp32-axi3", {"stall": 0.7, "seed": 22}),
    ],
)
def test_soft_reset_at_any_moment(config, options):
    faults = Faults(config, **options)
    bench, rng = faults.bench, np.random.default_rng(13)
    cycles = bench.step().cycles
    bench.new_batch(seed=3)
    wait = bench.host._wait
    bench.simulation.run(100)
    bench.host.soft_reset()  # while idle
    for n in range(12):
        moment = int(rng.integers(cycles)) if n % 4 else int(rng.integers(300))
        bench.restore()
        before = bench.memory.copy()

        class Stopped(Exception):
            pass

        def stop(moment=moment):
            bench.simulation.run(moment)
            raise Stopped

        bench.host._wait = stop
        with pytest.raises(Stopped):
            bench.run()
        bench.host._wait = wait
        assert bench.status() == {"busy"}
        bench.host.soft_reset()
        assert bench.status() == {"idle"} and not bench.simulation.irq
        assert not bench.simulation.bus_busy
        assert bench.host.read("error_code") == bench.host.read("irq_status") == 0
        bench.simulation.run(500, until_irq=False)
        assert bench.status() == {"idle"} and not bench.simulation.bus_busy
        assert bench.changes(before) <= faults.outputs(DESCRIPTORS - 1)
        if n % 3 == 0:
            faults.recovers()
    faults.recovers()


def test_step_after_an_exception_in_the_host(faults):
    """Ctrl-C while a step runs: the next run stops it first."""
    bench, wait = faults.bench, faults.bench.host._wait

    def interrupted():
        bench.simulation.run(2000)
        raise KeyboardInterrupt

    bench.host._wait = interrupted
    with pytest.raises(KeyboardInterrupt):
        bench.run()
    bench.host._wait = wait
    faults.recovers()
