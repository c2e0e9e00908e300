# amaranth: UnusedElaboratable=no
"""Tickets and gates: a command passes when what it waits for is finished, and not before."""

import random

import pytest

from eftrain_hw.streams.command_order import TICKET_BITS, CommandCount, CommandCredit, CommandGate
from sim.pysim import simulate

WRAP = 1 << TICKET_BITS


def test_counts_follow_what_is_issued_taken_and_finished():
    dut = CommandCount()
    rng = random.Random(1)

    async def bench(ctx):
        issued = taken = finished = 0
        left = 0  # cycles that the present command still works
        for _ in range(3000):
            issue = issued - taken < 8 and rng.random() < 0.2
            take = left == 0 and issued > taken and rng.random() < 0.5
            if take:
                left = rng.randint(1, 9)
            ctx.set(dut.issue, issue)
            ctx.set(dut.take, take)
            ctx.set(dut.busy, left > 0)
            if left == 0:
                finished = taken
            await ctx.tick()
            issued, taken, left = issued + issue, taken + take, max(0, left - 1)
            assert ctx.get(dut.issued) == issued % WRAP
            assert ctx.get(dut.finished) == finished % WRAP
        assert taken > WRAP // 4

    simulate(dut, bench)


def test_an_engine_that_is_never_idle_is_stopped():
    """A jump of what is finished must stay below half of the range."""
    dut = CommandCount()

    async def bench(ctx):
        ctx.set(dut.busy, 1)
        taken = 0
        while not ctx.get(dut.full):
            ctx.set(dut.take, 1)
            await ctx.tick()
            taken += 1
        ctx.set(dut.take, 0)
        await ctx.tick().repeat(5)
        assert WRAP // 4 <= taken < WRAP // 4 + 4 and ctx.get(dut.full)
        assert ctx.get(dut.finished) == 0
        ctx.set(dut.busy, 0)
        await ctx.tick().repeat(3)
        assert ctx.get(dut.finished) == taken and not ctx.get(dut.full)

    simulate(dut, bench)


@pytest.mark.parametrize("waits", [0b00, 0b01, 0b10, 0b11])
@pytest.mark.parametrize("base", [0, 30, WRAP - 3])
def test_gate_opens_when_the_tickets_are_reached(waits, base):
    dut = CommandGate(8, 2)

    async def bench(ctx):
        tickets = [(base + 5) % WRAP, (base + 2) % WRAP]
        ctx.set(dut.i.valid, 1)
        ctx.set(dut.i.payload, 0x5A)
        ctx.set(dut.waits, waits)
        ctx.set(dut.tickets, tickets[0] | tickets[1] << TICKET_BITS)
        passed = None
        for cycle in range(20):
            finished = [(base + min(cycle, n)) % WRAP for n in (9, 9)]
            ctx.set(dut.finished, finished[0] | finished[1] << TICKET_BITS)
            if passed is None and ctx.get(dut.o.valid):
                passed = cycle
                assert ctx.get(dut.o.payload) == 0x5A and ctx.get(dut.busy)
            await ctx.tick()
        assert passed == 1 + max([0, *[n for k, n in enumerate((5, 2)) if waits >> k & 1]])

    simulate(dut, bench)


def test_each_command_is_asked_anew():
    dut = CommandGate(8, 1)

    async def bench(ctx):
        ctx.set(dut.i.valid, 1)
        ctx.set(dut.o.ready, 1)
        ctx.set(dut.waits, 1)
        await ctx.tick()
        assert ctx.get(dut.o.valid) and ctx.get(dut.i.ready)
        ctx.set(dut.tickets, 0)
        await ctx.tick()
        assert not ctx.get(dut.o.valid) and not ctx.get(dut.i.ready)
        ctx.set(dut.tickets, 1)  # the next command waits for one more
        await ctx.tick().repeat(5)
        assert not ctx.get(dut.o.valid)
        ctx.set(dut.finished, 1)
        ctx.set(dut.hold, 1)
        await ctx.tick().repeat(3)
        assert not ctx.get(dut.o.valid)
        ctx.set(dut.hold, 0)
        await ctx.tick()
        assert ctx.get(dut.o.valid)

    simulate(dut, bench)


def test_an_open_gate_stays_open():
    """`valid` may not fall before the engine takes the command."""
    dut = CommandGate(8, 1)

    async def bench(ctx):
        ctx.set(dut.i.valid, 1)
        await ctx.tick()
        ctx.set(dut.hold, 1)
        await ctx.tick().repeat(3)
        assert ctx.get(dut.o.valid)

    simulate(dut, bench)


def test_credit_is_kept_however_much_is_finished_meanwhile():
    dut = CommandCredit()

    async def bench(ctx):
        ctx.set(dut.finished, 5)
        for ticket in (4, 6, 6):  # the first is reached, the others are not
            ctx.set(dut.issue, 1)
            ctx.set(dut.ticket, ticket)
            await ctx.tick()
        ctx.set(dut.issue, 0)
        await ctx.tick().repeat(5)
        assert ctx.get(dut.credit)
        ctx.set(dut.take, 1)
        await ctx.tick()
        ctx.set(dut.take, 0)
        await ctx.tick().repeat(5)
        assert not ctx.get(dut.credit)
        for finished in range(6, 6 + 3 * WRAP):  # far beyond what a ticket can be compared with
            ctx.set(dut.finished, finished % WRAP)
            await ctx.tick()
        for _ in range(2):
            assert ctx.get(dut.credit)
            ctx.set(dut.take, 1)
            await ctx.tick()
            ctx.set(dut.take, 0)
        assert not ctx.get(dut.credit)

    simulate(dut, bench)


def test_bad_engines():
    with pytest.raises(TypeError, match="CommandGate engines must be an int, not '2'"):
        CommandGate(8, "2")
    with pytest.raises(ValueError, match="CommandGate engines must be at least 0, not -1"):
        CommandGate(8, -1)
