"""cocotb tests of the whole accelerator: steps over AXI, every tensor against the golden model."""

import itertools
import random
from unittest import mock

import cocotb
import numpy as np
from cocotb.task import bridge, resume
from cocotb.triggers import RisingEdge
from cocotbext.axi import AxiLiteBus, AxiLiteMaster, AxiResp

from eftrain_hw import compile_network, nn, optim
from eftrain_hw.compiler import compile as compiler
from eftrain_hw.golden.network import forward_pass, training_step
from eftrain_hw.runtime.device import DeviceError
from eftrain_hw.runtime.host import Host

from .bus import Image, Memory, cycles, parameters, pauses, start
from .models.networks import NETWORKS
from .models.small_networks import SMALL_NETWORKS
from .models.state import FILL, differences, initial_state, memory_image, stray_writes

CONFIG, OPTIONS = parameters()
BASE = OPTIONS["base"]
LEARNING = {"learning_rate": np.float32(0.05), "momentum": np.float32(0.9)}
FRONT = 0x3000  # room before the tensors
READ_ONLY = ("program", "labels")
WAIT = 2_000  # cycles between two looks at the time limit


class Device:
    """A compiled network in a guarded memory, and the driver at the control port."""

    def __init__(self, dut, name, *, batch, seed, pause=0.0, limit=120_000):
        self.dut, self.limit = dut, limit
        make = SMALL_NETWORKS.get(name) or NETWORKS[name]
        with mock.patch.object(compiler, "GUARD", 192):
            self.program = compile_network(
                make(), CONFIG, batch_size=batch, loss=nn.CrossEntropyLoss(),
                optimizer=optim.SGD(lr=0.05, momentum=0.9),
            )  # fmt: skip
        self.seed, self.pause, self.rng = seed, pause, random.Random(f"{name} {seed} {pause}")

    async def begin(self, valid=None):
        """Reset the design and put a fresh state into memory, and the program once more before."""
        dut = self.dut
        self.valid = valid or self.program.batch_size
        data = np.full(FRONT + self.program.memory_bytes, FILL, np.uint8)
        self.tensors = data[FRONT:]
        self.refill()
        words = self.program.words("train", BASE).view(np.uint8)
        data[: len(words)] = words
        self.image = Image(data, BASE - FRONT, self.writable())
        await start(dut, limit=10 * self.limit)
        self.attach()
        self.host = Host(resume(self._read), resume(self._write), resume(self._wait))
        await cycles(dut, 5)
        await bridge(self.host.check_build)(CONFIG)
        await self.set_window(BASE, BASE + self.program.memory_bytes)

    def attach(self):
        """Models to all ports."""
        dut = self.dut
        self.memory = Memory(dut, self.image, ports=CONFIG.ports, pause=self.pause, rng=self.rng)
        self.lite = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "axil_"), dut.clk, dut.rst)
        if self.pause:
            writes, reads = self.lite.write_if, self.lite.read_if
            for channel in (writes.aw_channel, writes.w_channel, writes.b_channel,
                            reads.ar_channel, reads.r_channel):
                channel.set_pause_generator(pauses(self.pause, self.rng))

    def refill(self):
        """The state as it is at the start."""
        self.state = initial_state(self.program, seed=self.seed, valid=self.valid)
        self.tensors[:] = memory_image(self.program, self.state, BASE)

    async def set_window(self, base, limit):
        await bridge(self.host.set_window)(base, limit)

    def writable(self):
        """Bytes that a step may write: results and parameters, without what pads them to lines."""
        everything = np.zeros(FRONT + self.program.memory_bytes, bool)
        mask = everything[FRONT:]
        for name, spec in self.program.tensors.items():
            if spec.kind in READ_ONLY or name == "x":
                continue
            mask[spec.address : spec.address + spec.nbytes] = True
            if spec.has_exponents:
                mask[spec.exponent_address : spec.exponent_address + spec.exponent_nbytes] = True
        return everything

    async def _read(self, offset):
        return await self.lite.read_dword(offset)

    async def _write(self, offset, value):
        answer = await self.lite.write(offset, value.to_bytes(4, "little"))
        assert answer.resp == AxiResp.OKAY, f"register {offset:#x}: {answer.resp}"

    async def _wait(self):
        edge = RisingEdge(self.dut.clk)
        for _ in range(WAIT):
            if self.dut.irq.value:
                return True
            await edge
        return False

    async def run(self, name="train", address=None):
        """Run a program to its interrupt; DeviceError as the driver reports it."""
        waits = itertools.count(1)

        def limit():
            assert next(waits) * WAIT < self.limit, f"no end after {self.limit} cycles"

        address = self.program.entry(name, BASE) if address is None else address
        result = await bridge(self.host.run)(
            address, **LEARNING, valid_images=self.valid, tags=self.program.tags,
            locate=lambda at: None, limit=limit,
        )  # fmt: skip
        assert not self.dut.irq.value and self.image.stray == []
        return result

    async def step(self):
        """One training step, on the device and in the golden model, compared bit by bit."""
        before = self.tensors.copy()
        result = await self.run()
        training_step(self.program, self.state, **LEARNING, valid_images=self.valid)
        assert differences(self.program, self.tensors, self.state) == []
        assert stray_writes(self.program, before, self.tensors) == 0
        return result

    async def fails(self, name, *, address=None, **about):
        """A run ends with this error; `about` are members of the error."""
        try:
            await self.run(address=address)
        except DeviceError as error:
            found = {key: getattr(error, key) for key in about}
            assert error.name == name and found == about, error
            assert self.image.stray == []
            return error
        raise AssertionError(f"the step ended well; it should have ended with {name}")


@cocotb.test()
@cocotb.parametrize(case=range(len(OPTIONS["steps"])))
async def training_step_equals_golden(dut, case):
    """Two steps, so that the second starts from what the first one left."""
    name, batch, valid, pause = OPTIONS["steps"][case]
    device = Device(dut, name, batch=batch, seed=case, pause=pause)
    await device.begin(valid)
    first = await device.step()
    second = await device.step()
    counts = f"{name}, {valid} of {batch} images, pauses {pause}: {first.cycles} cycles"
    dut._log.warning(counts)
    assert first.counters["descriptors"] == len(device.program.descriptors["train"])
    if not pause:  # nothing but the data differs
        assert first.cycles == second.cycles
    assert first.counters["read_beats"] == second.counters["read_beats"]


@cocotb.test()
async def inference_leaves_all_but_activations_alone(dut):
    device = Device(dut, "strided", batch=2, seed=5, pause=0.2)
    await device.begin()
    before = dict(device.state)
    await device.run("infer")
    forward_pass(device.program, device.state)
    assert set(device.state) > set(before)
    assert differences(device.program, device.tensors, device.state) == []


@cocotb.test()
async def bus_errors_stop_a_step_and_the_next_one_is_exact(dut):
    """SLVERR and DECERR on reads and writes of a tensor in the middle of the step."""
    device = Device(dut, "perceptron", batch=2, seed=6, pause=0.3)
    await device.begin()
    tensors = device.program.tensors
    logits = tensors[device.program.logits]
    weight = tensors[f"{device.program.ops[1].key}.weight"]
    for spec, error, response in (
        (logits, "write_slave", AxiResp.SLVERR),
        (logits, "write_decode", AxiResp.DECERR),
        (weight, "read_slave", AxiResp.SLVERR),
        (weight, "read_decode", AxiResp.DECERR),
    ):
        first = BASE + spec.address
        device.image.faults = {(first, first + spec.nbytes): response}
        found = await device.fails(error)
        assert first - 2048 < found.address < first + spec.nbytes
        device.image.faults = {}
        device.refill()
        await device.step()


@cocotb.test()
async def nothing_outside_the_window_is_touched(dut):
    """Windows that end before the logits, and that begin after the first layer's weights."""
    device = Device(dut, "perceptron", batch=2, seed=7, pause=0.3)
    await device.begin()
    tensors, memory = device.program.tensors, device.memory
    limit = BASE + tensors[device.program.logits].address
    base = BASE + tensors[f"{device.program.ops[1].key}.weight.master"].address
    end = BASE + device.program.memory_bytes
    program = BASE + device.program.addresses["train"]
    for window, start_at, error in (
        ((BASE - FRONT, limit), BASE - FRONT, "write_window"),
        ((BASE - FRONT, limit), program, "read_window"),
        ((base, end), program, "read_window"),
    ):
        memory.reads.clear()
        memory.writes.clear()
        await device.set_window(*window)
        found = await device.fails(error, address=start_at)
        assert not window[0] <= found.address < window[1]
        assert all(
            window[0] <= address and address + 8 * beats <= window[1]
            for address, beats in memory.reads + memory.writes
        )
        device.refill()
    await device.set_window(BASE, end)
    await device.step()


@cocotb.test()
async def a_dead_bus_ends_in_the_watchdog(dut):
    """Nothing moves for as long as the watchdog allows; then the bus comes back."""
    device = Device(dut, "perceptron", batch=2, seed=8)
    await device.begin()
    await bridge(device.host.write)("watchdog", 2_500)
    await device.step()

    async def stall():
        await cycles(dut, 700)
        device.memory.set_pause(1)
        waited = 0
        while not dut.irq.value:
            await RisingEdge(dut.clk)
            waited += 1
        assert 2_400 < waited < 2_800  # the core goes on for a while with what it has
        await cycles(dut, 1_000)
        device.memory.set_pause(0)

    device.refill()
    stalled = cocotb.start_soon(stall())
    await device.fails("watchdog")
    await stalled
    device.refill()
    await device.step()


@cocotb.test()
async def soft_reset_at_any_time(dut):
    device = Device(dut, "perceptron", batch=2, seed=9, pause=0.4)
    await device.begin()
    rng = random.Random(1)

    class Abandoned(Exception):
        pass

    for _ in range(6):
        after = rng.randint(20, 3000)

        async def brief(after=after):
            await cycles(dut, after)
            return False

        def give_up():
            raise Abandoned

        device.host._wait = resume(brief)
        try:
            await bridge(device.host.run)(
                BASE + device.program.addresses["train"], **LEARNING, valid_images=2,
                tags={}, locate=None, limit=give_up,
            )  # fmt: skip
        except Abandoned:
            pass
        await bridge(device.host.soft_reset)()
        assert not dut.irq.value and device.image.stray == []
    device.host._wait = resume(device._wait)
    device.refill()
    await device.step()


@cocotb.test()
async def a_malformed_descriptor_is_refused(dut):
    device = Device(dut, "perceptron", batch=2, seed=10, pause=0.2)
    await device.begin()
    at = device.program.addresses["train"]
    device.tensors[at + 4 * 30] ^= 4  # a bit of the first descriptor
    await device.fails("bad_checksum", layer=device.program.tags[0])
    device.tensors[at] ^= 1
    await device.fails("bad_version")
    device.refill()
    await device.step()
