"""cocotb tests of a Zynq board's design: the processing system's ports are all that it sees."""

import random

import cocotb
from cocotb.task import bridge
from cocotb.triggers import RisingEdge

from eftrain_hw.csr.registers import REGISTERS
from eftrain_hw.interop.ps7 import ZYNQ_7000
from eftrain_hw.interop.ps8 import ZYNQ_ULTRASCALE

from .bench_accelerator import BASE, CONFIG, OPTIONS, Device
from .bus import cycles
from .processing_system import ProcessingSystem

OKAY, SLVERR, DECERR = 0, 2, 3
FAMILY = {"axi3": ZYNQ_7000, "axi4": ZYNQ_ULTRASCALE}[CONFIG.axi]
CONTROL_BASE = FAMILY.control_base
ADDRESS = {register.name: CONTROL_BASE + register.address for register in REGISTERS}


class Board(Device):
    """A compiled network in the PS's memory, and the driver on M_AXI_GP0."""

    def attach(self):
        self.ps = ProcessingSystem(
            self.dut, self.image, config=CONFIG, pause=self.pause, rng=self.rng
        )

    async def _read(self, offset):
        (value,), (response,) = await self.ps.read(CONTROL_BASE + offset)
        assert response == OKAY, f"register {offset:#x}"
        return value

    async def _write(self, offset, value):
        assert await self.ps.write(CONTROL_BASE + offset, value) == OKAY, f"register {offset:#x}"


@cocotb.test()
@cocotb.parametrize(case=range(len(OPTIONS["steps"])))
async def training_step_equals_golden(dut, case):
    """Two steps while the processor looks at the status, in bursts, all the time."""
    name, batch, valid, pause = OPTIONS["steps"][case]
    board = Board(dut, name, batch=batch, seed=case, pause=pause)
    await board.begin(valid)
    identity, _ = await board.ps.read(ADDRESS["id"], 2)
    seen, over = set(), False

    async def look():
        while not over:
            await cycles(dut, board.rng.randint(1, 40))
            data, responses = await board.ps.read(ADDRESS["id"], 2)
            assert data == identity and responses == [OKAY, OKAY]
            seen.add((await board.ps.read(ADDRESS["status"]))[0][0])

    looking = cocotb.start_soon(look())
    for _ in range(2):
        result = await board.step()
        assert result.counters["descriptors"] == len(board.program.descriptors["train"])
    over = True
    await looking
    assert len(seen) > 1, "the status never changed"
    assert all(port.reads and port.writes for port in board.ps.memory), "a port is not used"
    beats = sum(n for port in board.ps.memory for _, n in port.reads)
    dut._log.warning(f"{name}, pauses {pause}: {result.cycles} cycles, {beats} beats read")


@cocotb.test()
async def what_the_registers_refuse_is_refused(dut):
    """By the accelerator, word by word, or before it; and the next step is exact."""
    board = Board(dut, "perceptron", batch=2, seed=1, pause=0.3)
    await board.begin()
    _, responses = await board.ps.read(CONTROL_BASE + 0xFF8, 2)
    assert responses == [DECERR, DECERR]
    assert await board.ps.write(ADDRESS["id"], 1) == SLVERR
    for beyond in (0x1000, 0x10_0000, (1 << FAMILY.aperture_bits) - 0x1000):
        data, responses = await board.ps.read(CONTROL_BASE + beyond, 4)
        assert data == [0] * 4 and responses == [DECERR] * 4
        assert await board.ps.write(CONTROL_BASE + beyond, *range(4)) == DECERR
    window = ADDRESS["window_base_low"]
    pattern = [0x1234_5678, 0, 0x2345_6789, 0]
    assert await board.ps.write(window, *pattern) == OKAY, "four registers in one burst"
    assert await board.ps.read(window, 4) == (pattern, [OKAY] * 4)
    await board.set_window(BASE, BASE + board.program.memory_bytes)
    await board.step()


@cocotb.test()
async def lights_show_what_happens(dut):
    board = Board(dut, "perceptron", batch=2, seed=2)
    await board.begin()
    shown = [0, 0]
    running = True

    async def watch():
        while running:
            await RisingEdge(dut.clk)
            value = int(dut.lights.value)
            shown[0] |= value
            shown[1] |= ~value & 15

    cocotb.start_soon(watch())
    await cycles(dut, 600)
    assert shown == [1, 15], "only the first light blinks while nothing happens"
    await bridge(board.host.set_window)(BASE, BASE + board.program.memory_bytes)
    await board.step()
    assert shown[0] & 0b0111 == 0b0111
    running = False


@cocotb.test()
async def soft_reset_with_bursts_in_flight(dut):
    board = Board(dut, "perceptron", batch=2, seed=3, pause=0.4)
    await board.begin()
    rng = random.Random(4)
    for _ in range(3):
        await bridge(board.host.write)("program_address", BASE + board.program.addresses["train"])
        await bridge(board.host.write)("control", board.host._bits("control", start=1))
        await cycles(dut, rng.randint(50, 2000))
        await bridge(board.host.soft_reset)()
    board.refill()
    await board.step()
