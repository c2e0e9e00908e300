# amaranth: UnusedElaboratable=no
"""Commands reach their engines in order, and wait only for what was issued before them."""

import random

import pytest
from amaranth.sim import Simulator

from eftrain_hw.array.commands import COMPUTE
from eftrain_hw.dma.commands import LOAD
from eftrain_hw.soc.dispatch import Dispatch
from eftrain_hw.vector.commands import DRAIN, UPDATE

ENGINE = {LOAD: "load", COMPUTE: "compute", DRAIN: "drain", UPDATE: "vector"}
FIELD = {LOAD: "vector", COMPUTE: "moving_base", DRAIN: "vector", UPDATE: "vectors"}
CYCLES = 20_000


class Bench:
    """Issues numbered commands; engines take them and work for random times."""

    def __init__(self, program, *, seed=0, work=20, least=1):
        self.dut = Dispatch()
        self.program, self.work, self.least = program, work, least
        self.rng = random.Random(seed)
        self.slow = {}  # cycles of certain commands
        self.idle = 0  # cycles from the drain's last command until it is not busy any more
        self.starts, self.ends, self.order = {}, {}, {name: [] for name in ENGINE.values()}
        self.marks = []

    async def issue(self, ctx):
        for number, (layout, values) in enumerate(self.program):
            words = layout.pack(**{FIELD[layout]: number, **values})
            port = getattr(self.dut, f"issue_{layout.name}")
            ctx.set(self.dut.mark, number % 16)
            for k, word in enumerate(words):
                ctx.set(port.payload, {"data": word, "last": k == len(words) - 1})
                ctx.set(port.valid, 1)
                await ctx.tick().until(port.ready)
                ctx.set(port.valid, 0)

    def engine(self, name):
        port, layout = getattr(self.dut, name), {v: k for k, v in ENGINE.items()}[name]
        busy = getattr(self.dut, f"{name}_busy", None)

        async def run(ctx):
            cycle = left = rest = 0
            current = None
            async for _ in ctx.tick():
                cycle += 1
                if left:
                    left -= 1
                    if left == 0:
                        self.ends[current] = cycle
                if name == "compute" and current is not None:  # of the one that was taken
                    assert ctx.get(self.dut.compute_mark) == current % 16
                if not left and ctx.get(port.valid):
                    payload = ctx.get(port.payload.words if name == "vector" else port.payload)
                    if name == "vector":
                        assert ctx.get(port.payload.opcode) == UPDATE.opcode
                        words = [payload >> 32 * k & 0xFFFFFFFF for k in range(UPDATE.words)]
                        current = UPDATE.unpack(words)[FIELD[UPDATE]]
                    else:
                        current = getattr(payload, FIELD[layout])
                    if name != "compute":
                        assert ctx.get(getattr(self.dut, f"{name}_mark")) == current % 16
                    self.order[name].append(current)
                    self.starts[current] = cycle
                    left = self.slow.get(current) or self.rng.randint(self.least, self.work)
                    ctx.set(port.ready, 1)
                else:
                    ctx.set(port.ready, 0)
                rest = self.idle if left and name == "drain" else max(0, rest - 1)
                if busy is not None:
                    ctx.set(busy, left > 0 or rest > 0)

        return run

    def run(self):
        async def until_done(ctx):
            for _ in range(CYCLES):
                await ctx.tick()
                if len(self.ends) == len(self.program):
                    await ctx.tick().repeat(3)
                    assert not ctx.get(self.dut.busy)
                    return
            raise AssertionError(f"only {len(self.ends)} of {len(self.program)} finished")

        simulator = Simulator(self.dut)
        simulator.add_clock(1e-8)
        for name in ENGINE.values():
            simulator.add_testbench(self.engine(name), background=True)
        simulator.add_testbench(self.issue, background=True)
        simulator.add_testbench(until_done)
        simulator.run()
        return self


def random_program(seed, count=120):
    rng = random.Random(seed)
    program = []
    for _ in range(count):
        layout = rng.choice(list(ENGINE))
        values = {}
        if layout is LOAD:
            values = {"wait_drain": rng.random() < 0.3, "wait_vector": rng.random() < 0.3}
        program.append((layout, values))
    return program


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("work", [3, 60])
def test_commands_wait_for_what_was_issued_before(seed, work):
    program = random_program(seed)
    bench = Bench(program, seed=seed, work=work).run()
    for layout, name in ENGINE.items():
        assert bench.order[name] == [k for k, (kind, _) in enumerate(program) if kind is layout]
    for number, (layout, values) in enumerate(program):
        awaited = []
        if values.get("wait_drain") or layout is UPDATE:
            awaited += [k for k in bench.order["drain"] if k < number]
        if values.get("wait_vector") or layout is UPDATE:
            awaited += [k for k in bench.order["vector"] if k < number]
        assert all(bench.ends[k] <= bench.starts[number] for k in awaited), number


def test_a_drain_that_is_never_idle():
    """Whatever waits for a drain goes on, however many follow without a pause."""
    program = [(DRAIN, {})] * 30 + [(UPDATE, {}), (LOAD, {"wait_drain": 1})] + [(DRAIN, {})] * 570
    bench = Bench(program, work=2)
    bench.idle = 60  # cycles without a command until the drain is idle
    bench.run()
    assert bench.order["vector"] == [30] and bench.order["load"] == [31]
    assert all(bench.ends[k] <= min(bench.starts[30], bench.starts[31]) for k in range(30))


def test_what_waits_for_nothing_overtakes():
    """Loads go on while the vector unit waits for a drain."""
    program = [(DRAIN, {}), (UPDATE, {}), (LOAD, {}), (LOAD, {}), (UPDATE, {}), (LOAD, {})]
    bench = Bench(program, work=400, least=300).run()
    assert bench.starts[1] >= bench.ends[0] and bench.starts[2] < bench.ends[0]


def test_a_vector_command_may_wait_while_many_drains_finish():
    program = [(DRAIN, {}), (UPDATE, {}), (UPDATE, {})] + [(DRAIN, {})] * 110
    bench = Bench(program, seed=4, work=1)
    bench.slow[1] = 5000
    bench.run()
    assert bench.starts[2] > bench.ends[1] > bench.ends[80]


def test_started_names_the_descriptor_of_what_waited_last():
    program = [(LOAD, {}), (DRAIN, {}), (LOAD, {"wait_drain": 1})]
    bench = Bench(program, seed=3)
    seen = []

    async def watch(ctx):
        async for _ in ctx.tick():
            seen.append((len(bench.starts), ctx.get(bench.dut.started)))

    simulator = Simulator(bench.dut)
    simulator.add_clock(1e-8)
    for name in ENGINE.values():
        simulator.add_testbench(bench.engine(name), background=True)
    simulator.add_testbench(watch, background=True)
    simulator.add_testbench(bench.issue, background=True)

    async def wait(ctx):
        await ctx.tick().repeat(300)
        ctx.set(bench.dut.restart, 1)
        await ctx.tick()
        await ctx.tick()
        assert ctx.get(bench.dut.started) == 0

    simulator.add_testbench(wait)
    simulator.run()
    assert (3, 2) in seen and (1, 0) in seen and (1, 2) not in seen


def seen_values(program, signal, slow=0, cycles=1200, **options):
    """Values of an output of Dispatch while the engines carry out a program."""
    bench = Bench(program, **options)
    bench.slow[0] = slow
    seen = []

    async def watch(ctx):
        for _ in range(cycles):
            await ctx.tick()
            seen.append(ctx.get(getattr(bench.dut, signal)))

    simulator = Simulator(bench.dut)
    simulator.add_clock(1e-8)
    for name in ENGINE.values():
        simulator.add_testbench(bench.engine(name), background=True)
    simulator.add_testbench(bench.issue, background=True)
    simulator.add_testbench(watch)
    simulator.run()
    return seen


@pytest.mark.parametrize(("layout", "value"), [(DRAIN, 1), (UPDATE, 2)])
def test_held_says_for_whom_a_load_waits(layout, value):
    load = {"wait_drain": layout is DRAIN, "wait_vector": layout is UPDATE}
    seen = seen_values([(layout, {}), (LOAD, load)], "held", work=200, least=100)
    assert set(seen) == {0, value} and 60 < seen.count(value) < 200
    assert seen[-1] == 0
    assert set(seen_values([(layout, {}), (LOAD, {})], "held", work=200, least=100)) == {0}


@pytest.mark.parametrize(("layout", "bit"), [(LOAD, 0), (DRAIN, 1), (UPDATE, 2)])
def test_full_says_who_holds_up_the_sequencer(layout, bit):
    """The first command takes long; the compute engine is not in the mask."""
    seen = seen_values([(layout, {})] * 12, "full", slow=500, work=3)
    assert set(seen) == {0, 1 << bit} and seen[-1] == 0
    assert 100 < seen.count(1 << bit) < 600
    assert set(seen_values([(COMPUTE, {})] * 12, "full", slow=500, work=3)) == {0}


def test_bad_queue():
    with pytest.raises(TypeError, match="Dispatch queue_words must be an int, not 64.0"):
        Dispatch(queue_words=64.0)
    with pytest.raises(ValueError, match="Dispatch queue_words must be at least 15, not 4"):
        Dispatch(queue_words=4)
