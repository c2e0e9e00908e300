"""cocotb bench of vector programs: random ones on the vector unit and on the NumPy machine."""

import cocotb
import numpy as np
from cocotb.triggers import FallingEdge, RisingEdge

from eftrain_hw.vector.commands import PROCESS
from eftrain_hw.vector.ports import read_item_bytes, write_item_bytes

from .bus import parameters, start
from .models.vector_examples import EXAMPLES
from .models.vector_machine import VectorMachine
from .models.vector_memory import place
from .models.vector_programs import random_program

CONFIG, OPTIONS = parameters()
INPUTS = {"learning_rate": 0.125, "momentum": 0.75, "inverse_images": 0.5}
READS, WRITES = read_item_bytes(CONFIG), write_item_bytes(CONFIG)
PORTS = [f"read{k}" for k in range(len(READS))] + [f"write{k}" for k in range(len(WRITES))]
IDLE = {"command__valid": 0} | {
    f"{port}__run__ready": 0 for port in PORTS
} | {f"{port}__items__{'valid' if port[0] == 'r' else 'ready'}": 0 for port in PORTS}  # fmt: skip
MACHINE = VectorMachine(CONFIG, None)  # its registers outlast a test, as the unit's do


class Port:
    """A run reader or writer: takes runs, then items go between memory and the unit, in order."""

    def __init__(self, dut, name, sizes, bench):
        self.sizes, self.bench, self.reads = sizes, bench, name.startswith("read")
        handles = {n: getattr(dut, f"{name}__{n}") for n in (
            "run__payload", "run__valid", "run__ready", "items__payload", "items__valid",
            "items__ready")}  # fmt: skip
        self.handles, self.offered, self.items, self.runs = handles, None, [], []
        self.ready = {"run__ready": 0, "items__ready": 0, "items__valid": 0}

    def _set(self, name, value):
        if self.ready[name] != value:
            self.handles[name].value = value
            self.ready[name] = value

    def drive(self):
        self._set("run__ready", int(not self.bench.pause()))
        if not self.reads:
            self._set("items__ready", int(not self.bench.pause()))
            return
        if self.offered is None and self.items and not self.bench.pause():
            self.offered = self.items.pop(0)
            self.handles["items__payload"].value = self.offered
        self._set("items__valid", int(self.offered is not None))

    def sample(self):
        handles = self.handles
        if self.ready["run__ready"] and handles["run__valid"].value:
            value = int(handles["run__payload"].value)
            address = value & (1 << CONFIG.address_bits) - 1
            items, wide = value >> CONFIG.address_bits & 0xFFFFFF, value >> CONFIG.address_bits + 24
            size = self.sizes[wide]
            assert items and address % size == 0
            if self.reads:
                data = self.bench.memory[address : address + items * size].tobytes()
                assert len(data) == items * size, "a read beyond the memory"
                self.items += [
                    int.from_bytes(data[k : k + size], "little") for k in range(0, len(data), size)
                ]
            else:
                self.runs.append([address, items, size])
        if self.reads:
            if self.offered is not None and handles["items__ready"].value:
                self.offered = None
        elif self.ready["items__ready"] and handles["items__valid"].value:
            self.items.append(int(handles["items__payload"].value))
        while not self.reads and self.items and self.runs:
            address, left, size = self.runs[0]
            data = (self.items.pop(0) & (1 << 8 * size) - 1).to_bytes(size, "little")
            self.bench.memory[address : address + size] = np.frombuffer(data, np.uint8)
            self.runs[0] = [address + size, left - 1, size]
            if left == 1:
                self.runs.pop(0)


class Bench:
    """The unit, its ports and a memory."""

    def __init__(self, dut):
        self.dut, self.stall, self.cycles = dut, 0.0, 0
        self.ports = [Port(dut, n, s, self) for n, s in zip(PORTS, READS + WRITES)]

    def pause(self):
        return self.stall and self.rng.random() < self.stall

    async def cycle(self):
        await RisingEdge(self.dut.clk)
        for port in self.ports:
            port.drive()
        await FallingEdge(self.dut.clk)
        for port in self.ports:
            port.sample()
        self.cycles += 1

    async def run(self, memory, fields, rng, stall, limit=60000):
        """Run a command; returns the memory and the cycles that it took."""
        self.memory, self.rng, self.stall = memory.copy(), rng, stall
        words = [PROCESS.opcode, *PROCESS.pack(**fields)]
        payload = words[0] | sum(word << 8 + 32 * k for k, word in enumerate(words[1:]))
        dut, begin = self.dut, self.cycles
        await RisingEdge(dut.clk)
        dut.command__payload.value = payload
        dut.command__valid.value = 1
        await FallingEdge(dut.clk)
        while not dut.command__ready.value:
            await self.cycle()
        await RisingEdge(dut.clk)
        dut.command__valid.value = 0
        await FallingEdge(dut.clk)
        while dut.busy.value:
            await self.cycle()
            assert self.cycles - begin < limit, "no end"
        for port in self.ports:
            assert not port.items and not port.runs and port.offered is None, "items left over"
        return self.memory, self.cycles - begin


@cocotb.test()
async def written_programs_equal_the_numpy_machine(dut):
    await start(dut, limit=10_000_000, **IDLE)
    bench, machine = Bench(dut), MACHINE
    for name, value in INPUTS.items():
        getattr(dut, name).value = int(np.float32(value).view(np.uint32))
    dut.valid_images.value = 2
    for name, make in EXAMPLES.items():
        program, rng = make(CONFIG.lanes), np.random.default_rng(len(name))
        memory, fields = place(program, CONFIG, rng, count=2 if program.outer else 1)
        for stall in (0.0, 0.6):
            got, cycles = await bench.run(memory, fields, rng, stall)
            machine.memory = memory.copy()
            machine.run(**INPUTS, valid_images=2, **fields)
            cocotb.log.info("%s: %s cycles with stall %s", name, cycles, stall)
            assert (got == machine.memory).all(), name


@cocotb.test()
async def random_programs_equal_the_numpy_machine(dut):
    await start(dut, limit=10_000_000, **IDLE)
    for name, value in INPUTS.items():
        getattr(dut, name).value = int(np.float32(value).view(np.uint32))
    bench = Bench(dut)
    machine = MACHINE
    for seed in range(OPTIONS["first"], OPTIONS["first"] + OPTIONS["programs"]):
        rng = np.random.default_rng(seed)
        program = random_program(rng, CONFIG)
        memory, fields = place(program, CONFIG, rng, count=1 + seed % 3, special=seed % 4 == 0)
        valid_images = int(rng.integers(4))
        dut.valid_images.value = valid_images
        stall = (0.0, 0.3, 0.8)[seed % 3]
        got, cycles = await bench.run(memory, fields, rng, stall)
        machine.memory = memory
        machine.run(**INPUTS, valid_images=valid_images, **fields)
        different = np.flatnonzero(got != memory)
        if len(different):
            line, byte = divmod(int(different[0]), 64)
            where = f"the first in line {line}, byte {byte}"
            raise AssertionError(f"program {seed}: {len(different)} bytes, {where}: {fields}")
        cocotb.log.info("program %s: %s cycles", seed, cycles)
