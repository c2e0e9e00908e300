# amaranth: UnusedElaboratable=no

import itertools

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.sim import Simulator

from eftrain_hw.array.commands import COMPUTE
from eftrain_hw.array.compute_engine import ComputeEngine
from eftrain_hw.buffers.slots import SlotController
from eftrain_hw.config import AcceleratorConfig

CYCLE_LIMIT = 30_000
LOOPS = ("outer0", "outer1", "outer2")
INNER = ("inner0", "inner1", "inner2", "inner3")


def config_of(rows, lanes, **more):
    shape = {
        "rows": rows,
        "lanes": lanes,
        "drain_lanes": 2,
        "accumulator_depth": 64,
        "moving_words": 64,
        "stationary_words": 64,
        "ports": 2,
    }
    return AcceleratorConfig(**(shape | more))


class Slot:
    """What a slot holds: elements of every lane, exponents as both kinds of vectors, biases."""

    def __init__(self, reference, config, rng, elements):
        self.elements = reference.elements(config, rng, (elements, config.lanes))
        self.low = reference.elements(config, rng, (elements, config.lanes))
        self.shared = reference.exponents(rng, elements)
        self.serial = reference.exponents(rng, (elements // config.lanes, config.lanes))
        self.bias = rng.standard_normal(config.bias_depth).astype(np.float32)

    def read(self, address, serial):
        lanes = self.elements.shape[1]
        if serial:
            return self.elements[address], self.serial[address // lanes]
        return self.elements[address], np.full(lanes, self.shared[address])


def indices(command, loops):
    return itertools.product(*(range(command[name]) for name in loops))


def offset(command, prefix, names, index):
    return sum(i * command[f"{prefix}_{name}"] for i, name in zip(index, names))


class Model:
    """The loop nest of docs/contract.md, "compute", on slots that are filled in turn."""

    def __init__(self, reference, config, slots):
        self.reference, self.config, self.slots = reference, config, slots
        self.turn = {"moving": 0, "stationary": 0}
        self.bank = 0
        self.sums = np.zeros((2, config.rows, config.accumulator_depth), np.float32)
        self.published = []
        self.positions = 0

    def slot(self, side):
        return self.slots[side][self.turn[side]]

    def run(self, command):
        for tile in range(command["m_tiles"]):
            base = command["accumulator_base"] + tile * command["accumulator_m_step"]
            for outer in indices(command, LOOPS):
                self.sweeps(command, tile, base, outer)
        for side in ("moving", "stationary"):
            self.turn[side] += command[f"release_{side}"]
        if command["release_accumulator"]:
            self.published.append(self.sums[self.bank].copy())
            self.bank ^= 1

    def sweeps(self, command, tile, base, outer):
        """One sweep, in bfp16 one for each pair of digits."""
        pairs = [(0, 0)]
        pairs += [(0, 1)] * command.get("moving_wide", 0)
        pairs += [(1, 0)] * command.get("stationary_wide", 0)
        for digits in pairs:
            self.sweep(command, tile, base, outer, digits)

    def read(self, command, side, address, digit):
        slot = self.slot(side)
        elements, exponents = slot.read(address, command[f"{side}_serial"])
        if command.get(f"{side}_wide"):
            return self.reference.digit(elements, slot.low[address], exponents, digit)
        return self.reference.values(self.config, elements, exponents)

    def sweep(self, command, tile, base, outer, digits):
        rows, lanes = self.config.rows, self.config.lanes
        first = command["init"] and not any(outer) and not any(digits)
        stationary, starts = [], []
        for channel in range(tile * rows, tile * rows + rows):
            address = command["stationary_base"] + offset(command, "stationary", LOOPS, outer)
            address += channel // lanes * command["stationary_block_step"] + channel % lanes
            stationary.append(self.read(command, "stationary", address, digits[0]))
            bias = self.slot("stationary").bias[channel]
            starts.append(bias if command["bias"] else np.float32(0))
        stationary = np.stack(stationary), np.array(starts) if first else None
        for inner in indices(command, INNER):
            address = command["moving_base"] + offset(command, "moving", LOOPS, outer)
            address += offset(command, "moving", INNER, inner)
            if command["zero"]:
                moving = self.constant(False)
            else:
                moving = self.read(command, "moving", address, digits[1])
            place = base + offset(command, "accumulator", INNER, inner)
            self.add(place % self.config.accumulator_depth, stationary, moving)
        if command["ones"] and not digits[1]:
            place = base + command["ones_position"]
            self.add(place, stationary, self.constant(True))

    def constant(self, ones):
        return self.reference.values(self.config, *self.reference.constant(self.config, ones))

    def add(self, position, stationary, moving):
        self.positions += 1
        rows, starts = stationary
        terms = self.reference.terms(self.config, rows, moving)
        sums = self.sums[self.bank, :, position]
        sums[:] = self.reference.add(sums if starts is None else starts, terms)


class RandomCommands:
    """Commands with odd counts, negative steps and all flags; tiles of one to three commands."""

    def __init__(self, config, rng):
        self.config, self.rng = config, rng
        self.holds = {"moving": False, "stationary": False}

    def affine(self, counts, span, low=-9, high=10):
        """Steps and a base whose addresses lie in range(span)."""
        steps = [int(step) for step in self.rng.integers(low, high, len(counts))]
        ends = [(count - 1) * step for count, step in zip(counts, steps)]
        below, above = sum(min(0, end) for end in ends), sum(max(0, end) for end in ends)
        assert above - below < span
        return steps, int(self.rng.integers(-below, span - above))

    def tile(self):
        rng = self.rng
        m_tiles = int(rng.integers(1, 4))
        while True:
            inner = [int(count) for count in rng.integers(1, 6, 4)]
            if (np.prod(inner) + 1) * m_tiles <= 60:
                break
        places = int(np.prod(inner)) + 1
        order, steps, stride = rng.permutation(4), [0] * 4, 1
        for loop in order:
            steps[loop] = stride
            stride *= inner[loop]
        last = int(rng.integers(1, 4))
        for number in range(last):
            command = self.command(inner, m_tiles)
            command |= {f"accumulator_{name}": step for name, step in zip(INNER, steps)}
            command |= {
                "accumulator_base": 3,
                "accumulator_m_step": places,
                "ones_position": places - 1,
                "acquire_accumulator": int(number == 0),
                "release_accumulator": int(number == last - 1),
                "init": int(number == 0),
            }
            yield command

    def command(self, inner, m_tiles):
        rng, config = self.rng, self.config
        outer = [int(count) for count in rng.integers(1, 4, 3)]
        command = {"m_tiles": m_tiles}
        command |= dict(zip(LOOPS, outer)) | dict(zip(INNER, inner))
        steps, base = self.affine(outer + inner, config.moving_elements)
        command |= dict(zip((f"moving_{name}" for name in LOOPS + INNER), steps))
        channels = m_tiles * config.rows
        blocks = -(-channels // config.lanes)
        block_step = int(rng.integers(config.lanes, config.lanes + 4))
        span = config.stationary_elements - (blocks - 1) * block_step - config.lanes
        s_steps, s_base = self.affine(outer, span)
        command |= dict(zip((f"stationary_{name}" for name in LOOPS), s_steps))
        command |= {
            "moving_base": base,
            "stationary_base": s_base,
            "stationary_block_step": block_step,
        }
        for name in ("bias", "ones", "moving_serial", "stationary_serial"):
            command[name] = int(rng.integers(2))
        if config.bfp16:
            command["moving_wide"], command["stationary_wide"] = rng.integers(0, 2, 2).tolist()
        command["zero"] = int(rng.integers(8) == 0)
        for side in ("moving", "stationary"):
            command[f"acquire_{side}"] = int(not self.holds[side])
            command[f"release_{side}"] = int(rng.integers(2))
            self.holds[side] = not command[f"release_{side}"]
        return command


class Bench:
    """An engine between slot controllers, buffers that refill at once, and a drain."""

    def __init__(self, reference, config, commands, *, seed=0, pauses=0.0, read_latency=3):
        self.reference, self.config, self.commands = reference, config, commands
        self.pauses, self.read_latency = pauses, read_latency
        rng = np.random.default_rng(seed)
        self.rng = rng
        sizes = {"moving": config.moving_elements, "stationary": config.stationary_elements}
        self.slots = {
            side: [Slot(reference, config, rng, size) for _ in range(len(commands) + 2)]
            for side, size in sizes.items()
        }
        self.model = Model(reference, config, self.slots)
        self.ends = [0]  # positions up to each command
        for command in commands:
            self.model.run(command)
            self.ends.append(self.model.positions)
        self.dut = ComputeEngine(config, read_latency=read_latency, checks=True)
        self.controllers = {
            "moving": SlotController(ahead=False),
            "stationary": SlotController(ahead=False),
            "accumulator": SlotController(ahead=True),
        }
        self.issued, self.stalls, self.taken, self.begun = [], [], [], []
        self.drained = 0

    def run(self):
        m = Module()
        m.submodules.dut = dut = self.dut
        for name, controller in self.controllers.items():
            m.submodules[name] = controller
        banks = self.controllers["accumulator"]
        m.d.comb += [
            dut.moving_full.eq(self.controllers["moving"].full),
            self.controllers["moving"].release.eq(dut.moving_release),
            dut.stationary_full.eq(self.controllers["stationary"].full),
            self.controllers["stationary"].release.eq(dut.stationary_release),
            dut.accumulator_free.eq(banks.free),
            banks.acquire.eq(dut.accumulator_acquire),
            banks.publish.eq(dut.accumulator_publish),
        ]
        sim = Simulator(m)
        sim.add_clock(1e-6)
        sim.add_testbench(self.issue)
        sim.add_testbench(self.drain)
        for side in ("moving", "stationary"):
            sim.add_testbench(self.load(side), background=True)
            sim.add_process(self.buffer(side))
        sim.add_testbench(self.watch, background=True)
        sim.run()
        return self

    def pause(self):
        return self.rng.random() < self.pauses

    async def issue(self, ctx):
        port = self.dut.command
        for command in self.commands:
            while self.pause():
                await ctx.tick().repeat(7)
            words = COMPUTE.pack(**command)
            value = sum(word << 32 * k for k, word in enumerate(words))
            ctx.set(port.payload.as_value(), value)
            ctx.set(port.valid, 1)
            await ctx.tick().until(port.ready)
            ctx.set(port.valid, 0)

    def load(self, side):
        """Writes a slot whenever one is free: in the cycle after it is seen free, at best."""
        controller = self.controllers[side]
        self.contents = getattr(self, "contents", {}) | {side: [None, None]}

        async def testbench(ctx):
            for slot in self.slots[side]:
                while not ctx.get(controller.free) or self.pause():
                    await ctx.tick()
                await ctx.tick()
                ctx.set(controller.publish, 1)
                filled = ctx.get(controller.fill_slot)
                await ctx.tick()
                ctx.set(controller.publish, 0)
                self.contents[side][filled] = slot

        return testbench

    def buffer(self, side):
        """Answers reads `read_latency` cycles later; the RAM is read in the cycle after."""
        port = getattr(self.dut, side)
        bits = 8 * self.config.element_bytes

        async def process(ctx):
            raw, value = self.reference.raw, self.reference.bits
            answers = [None] * (self.read_latency - 2)
            wide = self.config.bfp16
            sampled = [port.slot, port.address, port.serial]
            sampled += [port.wide] if wide else []
            if side == "stationary":
                sampled += [self.dut.bias.slot, self.dut.bias.word]
            asked = None
            async for _, _, *now in ctx.tick().sample(*sampled):
                answers.append(self.look_up(side, asked))
                asked = now
                answer = answers.pop(0)
                if answer is None:
                    continue
                elements, exponents, bias, low = answer
                if wide:
                    word = sum(raw(digit) << bits * lane for lane, digit in enumerate(low))
                    ctx.set(port.low.as_value(), word)
                word = sum(raw(element) << bits * lane for lane, element in enumerate(elements))
                ctx.set(port.elements.as_value(), word)
                word = sum(int(exponent) << 8 * lane for lane, exponent in enumerate(exponents))
                ctx.set(port.exponents.as_value(), word)
                if side == "stationary":
                    ctx.set(self.dut.bias.value, value(bias))

        return process

    def look_up(self, side, asked):
        if asked is None or self.contents[side][asked[0]] is None:
            return None
        slot, address, serial, *more = asked
        wide = more.pop(0) if self.config.bfp16 else 0
        content = self.contents[side][slot]
        word = content.bias[more[1]] if more else None
        return *content.read(address, serial), word, content.low[address] * wide

    async def drain(self, ctx):
        banks, port, lanes = self.controllers["accumulator"], self.dut.accumulator, 2
        groups = self.config.rows // lanes
        for number, expected in enumerate(self.model.published):
            await ctx.tick().until(banks.full)
            while self.pause():
                await ctx.tick().repeat(20)
            ctx.set(port.bank, number & 1)
            reads = list(itertools.product(range(self.config.accumulator_depth), range(groups)))
            for k in range(len(reads) + self.dut.drain_latency):
                if k < len(reads):
                    ctx.set(port.position, reads[k][0])
                    ctx.set(port.group, reads[k][1])
                if k >= self.dut.drain_latency:
                    position, group = reads[k - self.dut.drain_latency]
                    for lane in range(lanes):
                        want = self.reference.bits(expected[group * lanes + lane, position])
                        assert ctx.get(port.values[lane]) == want, (number, position, group, lane)
                await ctx.tick()
            ctx.set(banks.release, 1)
            await ctx.tick()
            ctx.set(banks.release, 0)
            self.drained += 1

    async def watch(self, ctx):
        dut = self.dut
        reasons = [dut.stall_moving, dut.stall_stationary, dut.stall_accumulator, dut.stall_hazard]
        takes = dut.command.valid & dut.command.ready
        sampled = [dut.mac_busy, dut.busy, takes, dut.begins, *reasons]
        cycle = 0
        async for _, _, mac, busy, take, begins, *stalls in ctx.tick().sample(*sampled):
            assert cycle < CYCLE_LIMIT
            if mac:
                assert busy and not any(stalls)
                self.issued.append(cycle)
            if take:
                assert busy
                self.taken.append(cycle)
            if begins:  # after the last position of the one before, a cycle after it was taken
                taken = self.taken[len(self.begun)]
                assert taken < cycle
                self.begun.append(len(self.issued))
            assert sum(stalls) <= 1
            self.stalls.append(stalls)
            cycle += 1


def check(bench):
    assert len(bench.taken) == len(bench.commands)
    assert len(bench.issued) == bench.model.positions
    assert bench.begun == bench.ends[:-1]
    assert bench.drained == len(bench.model.published)
    return bench


RANDOM = [
    (config_of(2, 4), 0.0),
    (config_of(4, 4), 0.5),
    (config_of(6, 8), 0.9),
    (config_of(8, 4), 0.0),
    (config_of(4, 8), 0.5),
    (config_of(2, 4, format="fp32"), 0.9),
    (config_of(4, 4, bfp16=True), 0.5),
    (config_of(6, 8, bfp16=True), 0.0),
]


@pytest.mark.parametrize(
    "config, pauses", RANDOM, ids=lambda value: str(getattr(value, "format", value))
)
def test_random_commands(reference, config, pauses):
    rng = np.random.default_rng([config.rows, config.lanes, int(10 * pauses)])
    generator = RandomCommands(config, rng)
    commands = [command for _ in range(2) for command in generator.tile()]
    check(Bench(reference, config, commands, seed=int(rng.integers(1000)), pauses=pauses).run())


def steady(config, lengths, **fields):
    """Commands of one reduction over sweeps of given lengths, whose slots are all ready."""
    for length, sweeps in lengths:
        command = {"m_tiles": 1, "outer0": 1, "outer1": 1, "outer2": sweeps}
        command |= {"inner0": 1, "inner1": 1, "inner2": 1, "inner3": length}
        command |= {"moving_inner3": 1, "accumulator_inner3": 1, "stationary_block_step": 0}
        command |= {f"moving_{name}": 0 for name in LOOPS + INNER[:3]}
        command |= {f"stationary_{name}": 0 for name in LOOPS}
        command |= {f"accumulator_{name}": 0 for name in INNER[:3]}
        command |= {"moving_base": 0, "stationary_base": 0, "accumulator_base": 0}
        command |= {"accumulator_m_step": 0, "ones_position": 63, "init": 1}
        command |= {name: 0 for name in ("bias", "ones", "zero", "moving_serial")}
        command["stationary_serial"] = 0
        for side in ("moving", "stationary", "accumulator"):
            command |= {f"acquire_{side}": 1, f"release_{side}": 1}
        yield command | fields


@pytest.mark.parametrize("rows, length", [(4, 11), (12, 12)])
def test_no_bubble_between_sweeps_and_commands(reference, rows, length):
    config = config_of(rows, 4)
    # the last command of a bank lasts until the bank before is drained
    commands = list(steady(config, [(length, 3), (length, 4), (length, 2)]))
    commands[2] |= {"acquire_accumulator": 0, "release_accumulator": 0, "init": 0}
    commands[1]["release_accumulator"] = 0
    commands[2]["release_accumulator"] = 1
    bench = check(Bench(reference, config, commands).run())
    total = length * 9
    assert bench.issued == list(range(bench.issued[0], bench.issued[0] + total))
    assert bench.issued[0] - bench.taken[0] == bench.dut.overhead


def test_ones_are_one_position_a_sweep(reference):
    config = config_of(4, 4)
    bench = check(Bench(reference, config, list(steady(config, [(15, 4)], ones=1))).run())
    assert bench.issued == list(range(bench.issued[0], bench.issued[0] + 4 * 16))


def test_short_sweeps_are_stretched(reference):
    config = config_of(4, 4)
    bench = check(Bench(reference, config, list(steady(config, [(3, 4), (3, 2)]))).run())
    starts = bench.issued[::3]
    assert {b - a for a, b in itertools.pairwise(starts)} == {bench.dut.update_latency}
    moving, stationary, accumulator, hazard = (sum(column) for column in zip(*bench.stalls))
    loading = config.rows - 3 + bench.issued[0]  # rows of the next sweep, then of the first
    assert hazard == 5 * (bench.dut.update_latency - config.rows)
    assert moving == accumulator == 0 and 5 < stationary <= loading + 5


def test_rows_limit_short_sweeps(reference):
    config = config_of(12, 4)
    bench = check(Bench(reference, config, list(steady(config, [(11, 4)]))).run())
    assert {b - a for a, b in itertools.pairwise(bench.issued[::11])} == {config.rows}


@pytest.mark.parametrize("read_latency", [2, 4])
def test_other_read_latencies(reference, read_latency):
    config = config_of(2, 4)
    generator = RandomCommands(config, np.random.default_rng(read_latency))
    commands = [command for _ in range(2) for command in generator.tile()]
    check(Bench(reference, config, commands, read_latency=read_latency).run())


def test_published_bank_can_be_read_at_once_and_not_before(reference):
    # the drain reads position 0 first, so make it the last one that is written
    config = config_of(4, 4)
    command = next(steady(config, [(11, 1)], accumulator_base=10))
    command["accumulator_inner3"] = (1 << 16) - 1  # downwards
    check(Bench(reference, config, [command]).run())


def test_rejects_bad_parameters():
    config = config_of(2, 4)
    with pytest.raises(TypeError, match="ComputeEngine config must be an AcceleratorConfig, not 3"):
        ComputeEngine(3)
    with pytest.raises(TypeError, match="ComputeEngine read_latency must be an int, not '3'"):
        ComputeEngine(config, read_latency="3")
    with pytest.raises(ValueError, match="ComputeEngine read_latency must be 2 to 8, not 1"):
        ComputeEngine(config, read_latency=1)
    with pytest.raises(ValueError, match="primitives must be one of .* not 'lut'"):
        ComputeEngine(config, primitives="lut")
