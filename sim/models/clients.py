"""Drivers of streams and of memory clients, for amaranth.sim testbenches."""

import random

__all__ = ["drive_read_client", "drive_write_client", "receive", "send"]


async def send(ctx, stream, values, *, stall=0.0, seed=0):
    """Offer `values` one after the other; with `stall`, pause before each with that probability."""
    rng = random.Random(seed)
    for value in values:
        while stall and rng.random() < stall:
            ctx.set(stream.valid, 0)
            await ctx.tick()
        ctx.set(stream.payload, value)
        ctx.set(stream.valid, 1)
        await ctx.tick().until(stream.ready)
    ctx.set(stream.valid, 0)


async def receive(ctx, stream, count, *, stall=0.0, seed=0, on=None):
    """Take `count` payloads; returns [(cycle, payload)], cycles counted from the call.

    Fails where an offer changes or vanishes before it was taken. `on(payload)` is called for each.
    """
    rng = random.Random(seed)
    received, held, cycle = [], None, 0
    if not count:
        return received
    ready = not stall or rng.random() >= stall
    ctx.set(stream.ready, ready)
    async for _, _, valid, payload in ctx.tick().sample(stream.valid, stream.payload):
        cycle += 1
        assert held is None or (valid and payload == held[0]), "offer changed while it waited"
        held = (payload,) if valid and not ready else None
        if valid and ready:
            received.append((cycle, payload))
            if on is not None:
                on(payload)
            if len(received) == count:
                ctx.set(stream.ready, 0)
                return received
        ready = not stall or rng.random() >= stall
        ctx.set(stream.ready, ready)


def drive_read_client(port, requests, received, *, stall=0.0, take=0.0, seed=0):
    """Two testbenches for a read client: ask for `requests` [(address, beats)], append the words
    to `received` as (cycle, word)."""

    async def ask(ctx):
        payloads = [{"address": address, "beats": beats} for address, beats in requests]
        await send(ctx, port.request, payloads, stall=stall, seed=seed)

    async def collect(ctx):
        words = sum(beats for _, beats in requests)
        received.extend(await receive(ctx, port.data, words, stall=take, seed=seed + 1))

    return ask, collect


def drive_write_client(port, requests, done, *, stall=0.0, seed=0):
    """Three testbenches for a write client: `requests` [(address, [(word, strobe), ...])].

    The data are there before the request, as the contract has it; `done` gets the cycle of each
    response.
    """

    async def ask(ctx):
        payloads = [{"address": address, "beats": len(beats)} for address, beats in requests]
        await send(ctx, port.request, payloads, stall=stall, seed=seed)

    async def give(ctx):
        words = [
            {"data": word, "strobe": strobe} for _, beats in requests for word, strobe in beats
        ]
        await send(ctx, port.data, words)

    async def count(ctx):
        cycle = 0
        async for _, _, pulse in ctx.tick().sample(port.done):
            cycle += 1
            if pulse:
                done.append(cycle)
                if len(done) == len(requests):
                    return

    return ask, give, count
