"""Run readers and writers of the memory side, modelled in Python with random stalls."""

import numpy as np
import pytest


class Stream:
    """Drives or samples one side of a stream; `stall` is the chance of a pause in a cycle."""

    def __init__(self, stream, rng, stall):
        self.stream, self.rng, self.stall = stream, rng, stall

    def pause(self):
        return self.stall and self.rng.random() < self.stall


class Source(Stream):
    """Offers payloads of a list, in order."""

    def __init__(self, stream, rng, stall, items=()):
        super().__init__(stream, rng, stall)
        self.items, self.offered = list(items), False

    def drive(self, ctx):
        if not self.offered and self.items and not self.pause():
            self.offered = True
            ctx.set(self.stream.payload, self.items[0])
        ctx.set(self.stream.valid, self.offered)

    def sample(self, ctx):
        if self.offered and ctx.get(self.stream.ready):
            self.offered = False
            self.items.pop(0)


class Sink(Stream):
    """Takes payloads into a list and checks that an offer stands until it is taken."""

    def __init__(self, stream, rng, stall):
        super().__init__(stream, rng, stall)
        self.items, self.standing = [], None

    def drive(self, ctx):
        self.taking = not self.pause()
        ctx.set(self.stream.ready, self.taking)

    def sample(self, ctx):
        valid = ctx.get(self.stream.valid)
        if self.standing is not None:
            assert valid and ctx.get(self.stream.payload) == self.standing, "offer withdrawn"
            self.standing = None
        if valid:
            payload = ctx.get(self.stream.payload)
            if self.taking:
                self.take(payload)
            else:
                self.standing = payload

    def take(self, payload):
        self.items.append(payload)


class RunSink(Sink):
    def __init__(self, stream, rng, stall, server):
        super().__init__(stream, rng, stall)
        self.server = server

    def take(self, payload):
        wide = getattr(payload, "wide", 0)
        self.server.start(payload.address, payload.items, self.server.sizes[wide])


class Reader:
    """A run reader: `memory` bytes go out as items of the size that each run selects."""

    def __init__(self, run, items, sizes, memory, rng, stall):
        self.sizes, self.memory = sizes, memory
        self.runs, self.source = RunSink(run, rng, stall, self), Source(items, rng, stall)

    def start(self, address, count, size):
        assert count > 0 and address % size == 0
        assert 0 <= address and address + count * size <= len(self.memory)
        data = self.memory[address : address + count * size].tobytes()
        self.source.items += [
            int.from_bytes(data[at : at + size], "little") for at in range(0, len(data), size)
        ]

    def drive(self, ctx):
        self.runs.drive(ctx)
        self.source.drive(ctx)

    def sample(self, ctx):
        self.runs.sample(ctx)
        self.source.sample(ctx)

    @property
    def idle(self):
        return not self.source.items


class Writer:
    """A run writer: items go to `memory`; `written` counts how often each byte was."""

    def __init__(self, run, items, sizes, memory, written, rng, stall):
        self.sizes, self.memory, self.written = sizes, memory, written
        self.runs, self.sink = RunSink(run, rng, stall, self), Sink(items, rng, stall)
        self.sink.take = self.put
        self.open, self.early, self.count = [], [], 0

    def start(self, address, count, size):
        assert count > 0 and address % size == 0
        self.open.append([address, count, size])
        self.flush()

    def put(self, payload):
        self.early.append(payload)
        self.count += 1
        self.flush()

    def flush(self):
        while self.early and self.open:
            run = self.open[0]
            address, left, size = run
            data = (self.early.pop(0) & (1 << 8 * size) - 1).to_bytes(size, "little")
            self.memory[address : address + size] = np.frombuffer(data, np.uint8)
            self.written[address : address + size] += 1
            run[:2] = address + size, left - 1
            if left == 1:
                self.open.pop(0)

    def drive(self, ctx):
        self.runs.drive(ctx)
        self.sink.drive(ctx)

    def sample(self, ctx):
        self.runs.sample(ctx)
        self.sink.sample(ctx)

    @property
    def idle(self):
        return not self.open and not self.early


class Bench:
    """Memory, its readers and writers, and whatever else acts once a cycle on a component."""

    def __init__(self, dut, *, seed, stall, size=1 << 16):
        self.dut, self.rng, self.stall = dut, np.random.default_rng(seed), stall
        self.memory, self.written = np.zeros(size, np.uint8), np.zeros(size, np.uint8)
        self.actors, self.cycles = [], 0

    def reader(self, run, items, sizes):
        return self._add(Reader(run, items, sizes, self.memory, self.rng, self.stall))

    def writer(self, run, items, sizes):
        return self._add(Writer(run, items, sizes, self.memory, self.written, self.rng, self.stall))

    def source(self, stream, items=()):
        return self._add(Source(stream, self.rng, self.stall, items))

    def sink(self, stream):
        return self._add(Sink(stream, self.rng, self.stall))

    def _add(self, actor):
        self.actors.append(actor)
        return actor

    def store(self, address, array):
        """Put an array's bytes at an address."""
        data = np.frombuffer(np.ascontiguousarray(array).tobytes(), np.uint8)
        assert address + len(data) <= len(self.memory)
        self.memory[address : address + len(data)] = data

    def fetch(self, address, like):
        """What memory holds at an address, as an array like `like`; each byte written once."""
        like = np.asarray(like)
        span = slice(address, address + like.nbytes)
        assert (self.written[span] == 1).all(), "bytes not written exactly once"
        self.written[span] = 0
        return np.frombuffer(self.memory[span].tobytes(), like.dtype).reshape(like.shape)

    def run(self, done, limit=20000):
        """Simulate until `done(ctx)` and everything is idle; returns the cycles that it took."""
        from amaranth.sim import Simulator

        async def bench(ctx):
            while True:
                for actor in self.actors:
                    actor.drive(ctx)
                for actor in self.actors:
                    actor.sample(ctx)
                if done(ctx):
                    break
                assert self.cycles < limit, "timeout"
                self.cycles += 1
                await ctx.tick()
            for actor in self.actors:
                assert getattr(actor, "idle", True), "run left unfinished"

        simulator = Simulator(self.dut)
        simulator.add_clock(1e-8)
        simulator.add_testbench(bench)
        simulator.run()
        return self.cycles

    def assert_nothing_else_written(self):
        """Every byte that was written has been fetched."""
        assert not self.written.any()


class Values:
    """Holds plain inputs at their values."""

    def __init__(self):
        self.values = []

    def drive(self, ctx):
        while self.values:
            ctx.set(*self.values.pop())

    def sample(self, ctx):
        pass


class Unit(Bench):
    """A vector unit with its readers and writers."""

    def __init__(self, config, *, seed=1, stall=0.0, size=1 << 16):
        from eftrain_hw.vector.ports import read_item_bytes, write_item_bytes
        from eftrain_hw.vector.vector_unit import VectorUnit

        super().__init__(VectorUnit(config), seed=seed, stall=stall, size=size)
        self.commands, self.inputs = self.source(self.dut.command), self._add(Values())
        for k, sizes in enumerate(read_item_bytes(config)):
            port = getattr(self.dut, f"read{k}")
            self.reader(port.run, port.items, sizes)
        for k, sizes in enumerate(write_item_bytes(config)):
            port = getattr(self.dut, f"write{k}")
            self.writer(port.run, port.items, sizes)

    def set(self, name, value):
        """Hold an input at an integer or at the bits of a float32."""
        if isinstance(value, np.float32):
            value = int(value.view(np.uint32))
        self.inputs.values.append((getattr(self.dut, name), value))

    def command(self, layout, **fields):
        words = sum(word << 32 * k for k, word in enumerate(layout.pack(**fields)))
        self.commands.items.append({"opcode": layout.opcode, "words": words})

    def finish(self, limit=20000):
        def done(ctx):
            return not self.commands.items and not ctx.get(self.dut.busy)

        return self.run(done, limit)

    def play(self, script, limit=60000):
        """Run a generator up to its next yield whenever everything is done."""

        def done(ctx):
            if self.commands.items or ctx.get(self.dut.busy):
                return False
            return next(script, "end") == "end"

        return self.run(done, limit)


@pytest.fixture
def make_unit():
    return Unit


@pytest.fixture
def make_bench():
    return Bench


@pytest.fixture
def run_program():
    """Run a vector program on a vector unit and on the NumPy machine."""
    from .program_bench import run_program

    return lambda *arguments, **options: run_program(Unit, *arguments, **options)
