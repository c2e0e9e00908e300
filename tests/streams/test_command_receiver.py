# amaranth: UnusedElaboratable=no
"""Words in, structs out: order, what is held, and when it is busy."""

import random

import pytest

from eftrain_hw.streams.command import CommandLayout, Field
from eftrain_hw.streams.command_receiver import CommandReceiver
from sim.pysim import simulate

LAYOUT = CommandLayout(
    "walk",
    3,
    [
        Field("go", 1, "", flag=True),
        Field("mode", 3, "", flag=True),
        Field("step", 17, "", signed=True),
        Field("base", 32, ""),
    ],
)
ONE_WORD = CommandLayout("mark", 4, [Field("kind", 5, "", flag=True)])


async def send(ctx, dut, words, idle=lambda: False):
    for k, word in enumerate(words):
        while idle():
            await ctx.tick()
        ctx.set(dut.words.valid, 1)
        ctx.set(dut.words.payload, {"data": word, "last": k == len(words) - 1})
        await ctx.tick().until(dut.words.ready)
        ctx.set(dut.words.valid, 0)


@pytest.mark.parametrize("layout", [LAYOUT, ONE_WORD], ids=lambda layout: layout.name)
@pytest.mark.parametrize("ahead", [False, True])
@pytest.mark.parametrize("stall", [0, 0.5, 0.9])
def test_commands_come_whole_and_in_order(layout, ahead, stall):
    rng = random.Random(f"{ahead} {stall}")
    dut = CommandReceiver(layout, ahead=ahead)
    commands = [[rng.getrandbits(32) for _ in range(layout.words)] for _ in range(25)]

    async def source(ctx):
        for words in commands:
            await send(ctx, dut, words, lambda: rng.random() < stall)

    async def sink(ctx):
        seen = None
        for words in commands:
            while True:
                ready = rng.random() >= stall
                ctx.set(dut.command.ready, ready)
                _, _, valid, value, fields, busy = await ctx.tick().sample(
                    dut.command.valid,
                    dut.command.payload.as_value(),
                    dut.command.payload,
                    dut.busy,
                )
                assert busy or not valid
                assert seen is None or (valid and value == seen)
                seen = value if valid and not ready else None
                if valid and ready:
                    break
            assert value == sum(word << 32 * k for k, word in enumerate(words))
            for name, want in layout.unpack(words).items():
                assert getattr(fields, name) == want
        ctx.set(dut.command.ready, 0)
        await ctx.tick().repeat(2)
        assert not ctx.get(dut.busy)

    simulate(dut, source, sink)


@pytest.mark.parametrize("ahead", [False, True])
def test_latency_and_busy(ahead):
    dut = CommandReceiver(LAYOUT, ahead=ahead)

    async def bench(ctx):
        assert not ctx.get(dut.busy)
        ctx.set(dut.words.valid, 1)
        await ctx.tick()
        assert ctx.get(dut.busy)  # from the first word on
        await ctx.tick()
        ctx.set(dut.words.payload.last, 1)
        await ctx.tick()
        ctx.set(dut.words.valid, 0)
        for cycle in range(1, dut.latency + 1):
            assert ctx.get(dut.command.valid) == (cycle == dut.latency)
            assert ctx.get(dut.busy)
            await ctx.tick()
        await ctx.tick().repeat(5)
        assert ctx.get(dut.busy) and ctx.get(dut.command.valid)
        ctx.set(dut.command.ready, 1)
        await ctx.tick()
        assert not ctx.get(dut.busy) and not ctx.get(dut.command.valid)

    simulate(dut, bench)


@pytest.mark.parametrize("ahead, held", [(False, 1), (True, 2)])
def test_how_many_commands_wait(ahead, held):
    """Without an engine: so many whole commands fit, and no word more."""
    dut = CommandReceiver(LAYOUT, ahead=ahead)
    taken = 0

    async def bench(ctx):
        nonlocal taken
        ctx.set(dut.words.valid, 1)
        for _ in range(30):
            ctx.set(dut.words.payload.last, taken % LAYOUT.words == LAYOUT.words - 1)
            _, _, ready = await ctx.tick().sample(dut.words.ready)
            taken += ready

    simulate(dut, bench)
    assert taken == held * LAYOUT.words


def test_rejects_what_is_no_layout():
    with pytest.raises(
        TypeError, match="^CommandReceiver layout must be a CommandLayout, not 'load'$"
    ):
        CommandReceiver("load")
