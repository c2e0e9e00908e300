"""AXI4 masters that shuffle their channels, for memories and interconnects."""

import random

import pytest


class BurstMaster:
    """Incrementing bursts of 8-byte beats, any number of them under way; with a probability
    `stall` a channel waits in a cycle."""

    def __init__(self, port, *, stall=0.0, seed=0):
        self._port, self._stall, self._rng = port, stall, random.Random(seed)

    def _pauses(self):
        return self._rng.random() < self._stall

    async def _send(self, ctx, channel, fields):
        port = self._port
        while self._pauses():
            await ctx.tick()
        for name, value in fields.items():
            ctx.set(getattr(port, channel + name), value)
        ctx.set(getattr(port, f"{channel}valid"), 1)
        await ctx.tick().until(getattr(port, f"{channel}ready"))
        ctx.set(getattr(port, f"{channel}valid"), 0)

    async def addresses(self, ctx, channel, bursts):
        """bursts: (address, beats) or (address, beats, {other fields})."""
        for address, beats, *other in bursts:
            fields = {"addr": address, "len": beats - 1, "size": 3, "burst": 1, "id": 0}
            await self._send(ctx, channel, fields | (other[0] if other else {}))

    async def write_data(self, ctx, bursts):
        """bursts: lists of (data, strobe)."""
        for beats in bursts:
            for index, (data, strobe) in enumerate(beats):
                last = index == len(beats) - 1
                await self._send(ctx, "w", {"data": data, "strb": strobe, "last": last})

    async def responses(self, ctx, count):
        """BRESP of `count` bursts."""
        port, found = self._port, []
        while len(found) < count:
            ctx.set(port.bready, not self._pauses())
            _, _, valid, ready, resp = await ctx.tick().sample(
                port.bvalid, port.bready, port.bresp
            )
            if valid and ready:
                found.append(resp)
        ctx.set(port.bready, 0)
        return found

    async def read_data(self, ctx, bursts):
        """(data, RRESP) of every beat of bursts of so many beats; RLAST is checked."""
        port, found = self._port, []
        for beats in bursts:
            for index in range(beats):
                while True:
                    ctx.set(port.rready, not self._pauses())
                    _, _, valid, ready, data, resp, last = await ctx.tick().sample(
                        port.rvalid, port.rready, port.rdata, port.rresp, port.rlast
                    )
                    if valid and ready:
                        break
                assert last == (index == beats - 1)
                found.append((data, resp))
        ctx.set(port.rready, 0)
        return found


@pytest.fixture
def burst_master():
    return BurstMaster
