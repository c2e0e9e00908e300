"""Every way in which a step ends, and what the status says then."""

import random

import pytest

from eftrain_hw.config import AcceleratorConfig
from eftrain_hw.csr.errors import WATCHDOG
from eftrain_hw.soc.supervisor import Supervisor

CONFIG = AcceleratorConfig()
STATUS = ("idle", "busy", "done", "error", "nonfinite_seen", "resetting")
REPORTS = {
    "program": (0x13, 0),
    "read": (2, 0x1234_5678),
    "write": (7, 0x0BAD_F000),
}


class Bench:
    """A supervisor with a memory side that takes `drain` cycles after `abort` to be drained; None:
    it never is. `await bench(ctx)` passes a cycle."""

    def __init__(self, drain=5):
        self.dut = Supervisor(CONFIG)
        self.drain = drain
        self.aborted = 0

    async def __call__(self, ctx, cycles=1):
        dut = self.dut
        for _ in range(cycles):
            await ctx.tick()
            abort, reset = ctx.get(dut.abort), ctx.get(dut.core_reset)
            assert reset or not abort, "engines must be in reset while the memory side is aborted"
            self.aborted = self.aborted + 1 if abort else 0
            gone = self.drain is not None and self.aborted >= self.drain
            ctx.set(dut.read_drained, gone or self.aborted == 2)  # not both at once at first
            ctx.set(dut.write_drained, gone or self.aborted == 1)

    def status(self, ctx):
        return {name for name in STATUS if ctx.get(getattr(self.dut, name))}

    async def pulse(self, ctx, *names):
        for name in names:
            ctx.set(getattr(self.dut, name), 1)
        await self(ctx)
        for name in names:
            ctx.set(getattr(self.dut, name), 0)

    async def run_step(self, ctx):
        """Start; the sequencer sees one pulse, out of reset."""
        await self.pulse(ctx, "start")
        assert ctx.get(self.dut.program_start) and not ctx.get(self.dut.core_reset)
        assert self.status(ctx) == {"busy"} and ctx.get(self.dut.counting)
        assert ctx.get(self.dut.error_code) == 0
        await self(ctx)
        assert not ctx.get(self.dut.program_start)

    async def fail(self, ctx, *sources):
        for source in sources:
            code, address = REPORTS[source]
            ctx.set(getattr(self.dut, f"{source}_error_code"), code)
            if address:
                ctx.set(getattr(self.dut, f"{source}_error_address"), address)
        await self.pulse(ctx, *(f"{source}_error" for source in sources))

    async def until_idle(self, ctx):
        cycles = 0
        while not ctx.get(self.dut.idle):
            await self(ctx)
            cycles += 1
            assert cycles < 100
        assert not ctx.get(self.dut.core_reset) and not ctx.get(self.dut.abort)
        return cycles


def test_a_step_that_ends_well(simulate):
    bench = Bench()
    dut = bench.dut

    async def test(ctx):
        assert bench.status(ctx) == {"idle"}
        ctx.set(dut.irq_enable, 1)
        for finite in (False, True):
            await bench.run_step(ctx)
            if not finite:
                await bench.pulse(ctx, "nonfinite")
            await bench(ctx, 5)
            await bench.pulse(ctx, "program_done")
            assert bench.status(ctx) == {"idle", "done"} | (set() if finite else {"nonfinite_seen"})
            assert not ctx.get(dut.counting)
            await bench(ctx)
            assert ctx.get(dut.irq) and ctx.get(dut.irq_done) and not ctx.get(dut.irq_error)
            await bench.pulse(ctx, "irq_done_clear")
            await bench(ctx)
            assert not ctx.get(dut.irq)
            assert not ctx.get(dut.core_reset)

    simulate(bench.dut, test, cycles=5000)


def test_no_interrupt_line_unless_enabled(simulate):
    bench = Bench()
    dut = bench.dut

    async def test(ctx):
        await bench.run_step(ctx)
        await bench.pulse(ctx, "program_done")
        await bench(ctx, 3)
        assert ctx.get(dut.irq_done) and not ctx.get(dut.irq)
        ctx.set(dut.irq_enable, 1)
        await bench(ctx)
        assert ctx.get(dut.irq)

    simulate(bench.dut, test, cycles=5000)


@pytest.mark.parametrize("sources", [("program",), ("read",), ("write",), ("write", "read"),
                                     ("program", "read", "write")])  # fmt: skip
def test_an_error_drains_and_is_reported(sources, simulate):
    """The first of program, read, write wins; later errors are ignored; the next start works."""
    bench = Bench(drain=9)
    dut = bench.dut
    winner = next(source for source in REPORTS if source in sources)
    code, address = REPORTS[winner]

    async def test(ctx):
        await bench.run_step(ctx)
        ctx.set(dut.tag, 0xABCD)
        ctx.set(dut.index, 17)
        await bench.fail(ctx, *sources)
        assert ctx.get(dut.abort) and ctx.get(dut.core_reset)
        assert bench.status(ctx) == {"error", "resetting"} and ctx.get(dut.irq_error)
        ctx.set(dut.tag, 0)
        ctx.set(dut.index, 0)
        await bench.fail(ctx, "read")
        await bench.pulse(ctx, "program_done", "start")
        assert ctx.get(dut.abort), "drained before both were"
        await bench.until_idle(ctx)
        assert bench.status(ctx) == {"idle", "error"}
        assert (ctx.get(dut.error_code), ctx.get(dut.error_address)) == (code, address)
        assert (ctx.get(dut.error_tag), ctx.get(dut.error_index)) == (0xABCD, 17)
        await bench.run_step(ctx)
        assert (ctx.get(dut.error_tag), ctx.get(dut.error_address)) == (0, 0)
        await bench.pulse(ctx, "program_done")
        assert bench.status(ctx) == {"idle", "done"}

    simulate(bench.dut, test, cycles=5000)


def test_a_bus_that_never_answers(simulate):
    """The error stays visible, and a soft reset clears it; nothing else happens."""
    bench = Bench(drain=None)
    dut = bench.dut

    async def test(ctx):
        await bench.run_step(ctx)
        await bench.fail(ctx, "read")
        await bench(ctx, 300)
        assert bench.status(ctx) == {"error", "resetting"}
        assert ctx.get(dut.error_code) == REPORTS["read"][0]
        await bench.pulse(ctx, "soft_reset")
        await bench(ctx, 50)
        assert bench.status(ctx) == {"resetting"} and ctx.get(dut.core_reset)
        bench.drain = 0
        await bench.until_idle(ctx)
        await bench.run_step(ctx)

    simulate(bench.dut, test, cycles=5000)


@pytest.mark.parametrize("when", ["idle", "busy", "with start", "with done", "with error"])
def test_soft_reset(when, simulate):
    bench = Bench()
    dut = bench.dut

    async def test(ctx):
        if when not in ("idle", "with start"):
            await bench.run_step(ctx)
            await bench(ctx, 3)
        also = {"with start": "start", "with done": "program_done", "with error": "read_error"}
        await bench.pulse(ctx, "soft_reset", *([also[when]] if when in also else []))
        assert bench.status(ctx) == {"resetting"}
        assert ctx.get(dut.abort) and ctx.get(dut.core_reset) and not ctx.get(dut.program_start)
        cycles = await bench.until_idle(ctx)
        assert cycles > bench.drain
        assert bench.status(ctx) == {"idle"}
        assert not ctx.get(dut.irq_done) and not ctx.get(dut.irq_error)
        await bench.run_step(ctx)

    simulate(bench.dut, test, cycles=5000)


def test_abort_falls_before_the_engines_leave_reset(simulate):
    bench = Bench(drain=3)
    dut = bench.dut

    async def test(ctx):
        await bench.run_step(ctx)
        await bench.fail(ctx, "write")
        while ctx.get(dut.abort):
            await bench(ctx)
        for _ in range(4):
            assert ctx.get(dut.core_reset) and not ctx.get(dut.idle)
            await bench(ctx)
        await bench.until_idle(ctx)

    simulate(bench.dut, test, cycles=5000)


def test_watchdog(simulate):
    bench = Bench()
    dut = bench.dut
    limit = 20

    async def test(ctx):
        ctx.set(dut.watchdog, limit)
        await bench(ctx, 60)  # idle: no business of the watchdog's
        assert bench.status(ctx) == {"idle"}
        await bench.run_step(ctx)
        rng = random.Random(0)
        for _ in range(20):
            await bench(ctx, rng.randint(1, limit - 2))
            await bench.pulse(ctx, "progress")
        assert bench.status(ctx) == {"busy"}
        cycles = 0
        while ctx.get(dut.busy):
            await bench(ctx)
            cycles += 1
        assert limit <= cycles <= limit + 3
        assert ctx.get(dut.error_code) == WATCHDOG and ctx.get(dut.error_address) == 0
        await bench.until_idle(ctx)
        ctx.set(dut.watchdog, 0)
        await bench.run_step(ctx)
        await bench(ctx, 200)
        assert bench.status(ctx) == {"busy"}

    simulate(bench.dut, test, cycles=5000)


def test_an_error_outside_a_step_is_none(simulate):
    bench = Bench()

    async def test(ctx):
        for source in REPORTS:
            await bench.fail(ctx, source)
        await bench.pulse(ctx, "nonfinite", "program_done")
        assert bench.status(ctx) == {"idle"}

    simulate(bench.dut, test, cycles=5000)


def test_counters_clear_before_the_first_cycle(simulate):
    bench = Bench()
    dut = bench.dut

    async def test(ctx):
        ctx.set(dut.start, 1)
        assert ctx.get(dut.counters_clear) and not ctx.get(dut.counting)
        await bench(ctx)
        assert not ctx.get(dut.counters_clear) and ctx.get(dut.counting)
        ctx.set(dut.start, 0)
        await bench(ctx)

    simulate(bench.dut, test, cycles=5000)
