"""Load commands stated in Python; a bench of loader, buffers and a memory that keeps order."""

from collections import deque
from types import SimpleNamespace

import numpy as np
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.sim import Simulator

from eftrain_hw.buffers.moving import MovingBuffer
from eftrain_hw.buffers.weight_reuse import WeightReuseBuffer
from eftrain_hw.config import AcceleratorConfig
from eftrain_hw.dma.commands import DESTINATIONS, LOAD, MODES
from eftrain_hw.dma.loader import Loader

__all__ = [
    "BIASES",
    "ELEMENTS",
    "EXPONENTS",
    "LOW",
    "LoaderBench",
    "config_of",
    "expected_slot",
    "load_and_check",
    "low_digits",
    "strips",
    "tensor",
    "tile",
    "walk",
]

CYCLE_LIMIT = 30_000
ELEMENTS, EXPONENTS, BIASES, LOW = 3, 4100, 5200, 5600  # lines


def config_of(lanes, ports, format="bfp8", **changes):
    return AcceleratorConfig(
        rows=4, lanes=lanes, ports=ports, format=format, drain_lanes=1, **changes,
        moving_words=256, stationary_words=64, bias_depth=128,
    )


def tensor(config, vectors, seed):
    """DRAM image: element vectors, exponents and biases on their lines, and those as arrays."""
    rng = np.random.default_rng(seed)
    dram = rng.integers(0, 256, 400_000 + vectors * config.vector_bytes, dtype=np.uint8)
    size = config.vector_bytes
    elements = dram[ELEMENTS * 64:][: vectors * size].reshape(vectors, config.lanes, -1).copy()
    exponents = dram[EXPONENTS * 64:][:vectors].copy()
    if not config.has_exponents:
        exponents[:] = 0
    return SimpleNamespace(dram=dram, elements=elements, exponents=exponents, vectors=vectors)


def low_digits(config, source):
    """The same tensor's low digits: other bytes of the DRAM image."""
    start, size = LOW * 64, config.vector_bytes
    low = source.dram[start:][: source.vectors * size].reshape(source.elements.shape)
    return SimpleNamespace(**{**vars(source), "elements": low})


def walk(command):
    """(lane, number in the lane's walk, vector index or None) in the order of docs/contract.md."""
    f = SimpleNamespace(**LOAD.unpack(LOAD.pack(**command)))
    strip = f.mode == MODES["strip"]
    a_count, b_count, c_count = (
        (f.lane_images, f.lane_rows, f.lane_columns) if strip else (1, 1, 1)
    )
    lane = 0
    for a in range(a_count):
        for b in range(b_count):
            for c in range(c_count):
                q = 0
                for n in range(f.images):
                    image = f.image + n * a_count + a
                    for block in range(f.blocks):
                        for row in range(f.rows):
                            for column in range(f.columns):
                                r = f.row + b * f.lane_row_step * strip + row
                                x = f.column + c * f.lane_column_step * strip + column
                                inside = (
                                    image < f.image_limit and 0 <= r < f.height and 0 <= x < f.width
                                )
                                v = (
                                    f.vector + (image - f.image) * f.image_stride
                                    + block * f.block_stride + r * f.width + x
                                )
                                yield lane, q, v if inside else None
                                q += 1
                lane += 1


def expected_slot(config, command, source):
    """{(lane, address): element bytes}, {(word, lane): exponent} after a load."""
    lanes, mode = config.lanes, command["mode"]
    elements, exponents = {}, {}
    for lane, q, v in walk(command):
        vector = np.zeros((lanes, config.element_bytes), np.uint8)
        exponent = 0
        if v is not None:
            vector, exponent = source.elements[v], source.exponents[v]
        for j in range(lanes):
            if mode == MODES["scatter"]:
                place = (j, q)
            elif mode == MODES["strip"]:
                place = (lane, q * lanes + j)
            else:
                place = (q % lanes, q // lanes * lanes + j)
            elements[place] = int.from_bytes(vector[j].tobytes(), "little")
        place = (q, lane) if mode == MODES["strip"] else (q // lanes, q % lanes)
        exponents[place] = int(exponent)
    return elements, exponents


class LoaderBench:
    """Loader, buffers and a memory that answers in order, a cycle at a time."""

    def __init__(self, config, source, *, latency=12, pause=0.0, seed=0):
        self.config, self.source = config, source
        self.latency, self.pause = latency, pause
        self.rng = np.random.default_rng(seed)
        self.top = Module()
        self.top.submodules.loader = self.loader = Loader(config=config)
        self.top.submodules.moving = self.moving = MovingBuffer(config=config)
        self.top.submodules.stationary = self.stationary = WeightReuseBuffer(config=config)
        m, loader = self.top, self.loader
        wiring.connect(m, loader.moving, self.moving.write)
        wiring.connect(m, loader.stationary, self.stationary.write)
        wiring.connect(m, loader.bias, self.stationary.bias_write)
        for name in ("moving", "stationary"):
            buffer = getattr(self, name)
            m.d.comb += [
                getattr(loader, f"{name}_free").eq(buffer.free),
                buffer.acquire.eq(getattr(loader, f"{name}_acquire")),
                buffer.publish.eq(getattr(loader, f"{name}_publish")),
            ]
        self.commands = deque()
        self.requests = []  # (cycle, address, beats)
        self.beats = deque()  # (earliest cycle, data)
        self.cycle = 0
        self.writes = []  # cycles with a write
        self.taken = []  # cycles in which memory data were taken
        self.waited = 0  # cycles in which ready data were not taken

    def run(self, body):
        async def bench(ctx):
            self.ctx = ctx
            await body(self)

        simulator = Simulator(self.top)
        simulator.add_clock(1e-6)
        simulator.add_testbench(bench)
        simulator.run()

    def send(self, **command):
        words = LOAD.pack(**command)
        self.commands.append(sum(word << 32 * i for i, word in enumerate(words)))

    async def step(self, held=False):
        """One clock cycle; `held`: memory takes no request."""
        ctx, loader, memory = self.ctx, self.loader, self.loader.memory
        assert self.cycle < CYCLE_LIMIT
        pauses = self.rng.random(2) < self.pause if self.pause else (False, False)
        ctx.set(loader.command.valid, bool(self.commands))
        if self.commands:
            ctx.set(loader.command.payload.as_value(), self.commands[0])
        ctx.set(memory.request.ready, not held and not pauses[0])
        there = bool(self.beats) and self.beats[0][0] <= self.cycle and not pauses[1]
        ctx.set(memory.data.valid, there)
        if there:
            ctx.set(memory.data.payload, self.beats[0][1])

        if self.commands and ctx.get(loader.command.ready):
            assert ctx.get(loader.busy)
            self.commands.popleft()
        if there and ctx.get(memory.data.ready):
            self.beats.popleft()
            self.taken.append(self.cycle)
        elif there:
            self.waited += 1
        if not held and not pauses[0] and ctx.get(memory.request.valid):
            self._answer(ctx.get(memory.request.payload))
        ports = (loader.moving, loader.stationary)
        if any(ctx.get(port.lanes) or ctx.get(port.positions) for port in ports) or ctx.get(
            loader.bias.enable
        ):
            self.writes.append(self.cycle)
        await ctx.tick()
        self.cycle += 1

    def _answer(self, request):
        address, beats, size = request["address"], request["beats"], self.config.bus_bytes
        assert address % size == 0 and 1 <= beats <= 256
        self.requests.append((self.cycle, address, beats))
        start = max(self.cycle + self.latency, self.beats[-1][0] + 1 if self.beats else 0)
        for i in range(beats):
            raw = self.source.dram[address + i * size:][:size].tobytes()
            self.beats.append((start + i, int.from_bytes(raw, "little")))

    async def idle(self):
        while self.commands or self.ctx.get(self.loader.busy):
            await self.step()

    async def read(self, buffer, serial, addresses, wide=False):
        """Elements, exponents (and low digits) of all lanes at each address of the full slot."""
        ctx, answers = self.ctx, []
        if self.config.bfp16:
            ctx.set(buffer.read.wide, wide)
        ctx.set(buffer.read.slot, ctx.get(buffer.read_slot))
        ctx.set(buffer.read.serial, serial)
        for i in range(len(addresses) + buffer.read_latency):
            if i < len(addresses):
                ctx.set(buffer.read.address, addresses[i])
            if i >= buffer.read_latency:
                elements, exponents = ctx.get(buffer.read.elements), ctx.get(buffer.read.exponents)
                low = list(ctx.get(buffer.read.low)) if self.config.bfp16 else None
                answers.append((list(elements), list(exponents), low))
            await self.step()
        return dict(zip(addresses, answers))

    async def check(self, buffer, command):
        """The published slot holds what the contract says; then releases it."""
        ctx, lanes = self.ctx, self.config.lanes
        assert ctx.get(buffer.full)
        elements, exponents = expected_slot(self.config, command, self.source)
        serial, wide = command["mode"] != MODES["scatter"], command.get("wide", 0)
        addresses = sorted({address for _, address in elements})
        got = await self.read(buffer, serial, addresses, wide)
        if wide:
            low, _ = expected_slot(self.config, command, low_digits(self.config, self.source))
            for (lane, address), digit in low.items():
                assert got[address][2][lane] == digit, (lane, address)
        for (lane, address), element in elements.items():
            assert got[address][0][lane] == element, (lane, address)
            if serial:
                known = exponents[address // lanes, lane]
            else:
                known = exponents[address // lanes, address % lanes]
            assert got[address][1][lane] == known, (lane, address)
        ctx.set(buffer.release, 1)
        await self.step()
        ctx.set(buffer.release, 0)

    def check_requests(self, commands):
        """Exactly the bus beats that hold a vector of the tiles were asked for, and enough."""
        wanted = set()
        size, config = self.config.bus_bytes, self.config
        for command in commands:
            for _, _, v in walk(command):
                if v is not None:
                    start = ELEMENTS * 64 + v * config.vector_bytes
                    wanted |= set(range(start // size, -(-(start + config.vector_bytes) // size)))
                    if config.has_exponents:
                        wanted.add((EXPONENTS * 64 + v) // size)
        asked = set()
        for _, address, beats in self.requests:
            asked |= set(range(address // size, address // size + beats))
        assert asked == wanted


def tile(mode, destination="moving", **changes):
    """A load command of a 3-image, 2-block tensor with maps of 7 x 5, all of it unless changed."""
    command = dict(
        destination=DESTINATIONS[destination], mode=MODES[mode], acquire=1, publish=1,
        base=ELEMENTS, exponent_base=EXPONENTS, vector=0, image=0, image_limit=3,
        images=1, image_stride=70, blocks=1, block_stride=35,
        row=0, rows=7, height=7, column=0, columns=5, width=5,
    )
    return command | changes


def strips(a, b, c, **changes):
    """Strips of a 7 x 5 map with a halo of one for a 3x3 kernel, a * b * c lanes."""
    rows, columns = -(-7 // b), -(-5 // c)
    return tile(
        "strip", lane_images=a, lane_rows=b, lane_columns=c, lane_row_step=rows,
        lane_column_step=columns, row=-1, rows=rows + 2, column=-1, columns=columns + 2,
    ) | changes


async def load_and_check(bench, buffer, commands, slow=False):
    for command in commands:
        if command.get("wide"):  # low digits first: both bring the exponents
            bench.send(**command | {"low": 1, "base": LOW, "publish": 0})
            bench.send(**command | {"acquire": 0})
        else:
            bench.send(**command)
    for command in commands:
        while not bench.ctx.get(buffer.full):
            await bench.step()
        if slow:
            for _ in range(60):
                await bench.step()
        await bench.check(buffer, command)
    await bench.idle()
    assert bench.ctx.get(buffer.free) and not bench.ctx.get(buffer.full)
