"""An AXI4-Lite master that shuffles its channels, and a simulation with a cycle limit."""

import random

import pytest

OKAY, SLVERR, DECERR = 0, 2, 3


class Master:
    """Single accesses; with a probability `stall` each channel waits a cycle, and AW and W come in
    either order."""

    def __init__(self, port, *, stall=0.0, seed=0):
        self._port = port
        self._stall = stall
        self._rng = random.Random(seed)

    async def write(self, ctx, address, data, strobe=0xF):
        """Returns BRESP."""
        port, rng = self._port, self._rng
        ctx.set(port.awaddr, address)
        ctx.set(port.wdata, data)
        ctx.set(port.wstrb, strobe)
        offered = {"aw": False, "w": False}
        open_ = {"aw", "w", "b"}
        answer = None
        while open_:
            for channel in ("aw", "w"):
                if channel in open_ and (offered[channel] or rng.random() >= self._stall):
                    offered[channel] = True
                ctx.set(
                    getattr(port, f"{channel}valid"), channel in open_ and offered[channel]
                )
            ctx.set(port.bready, rng.random() >= self._stall)
            _, _, aw, w, b, response, bvalid = await ctx.tick().sample(
                port.awvalid & port.awready,
                port.wvalid & port.wready,
                port.bvalid & port.bready,
                port.bresp,
                port.bvalid,
            )
            if bvalid:
                assert not open_ & {"aw", "w"}, "answered before address and data have come"
                assert answer in (None, response), "BRESP changed while it waited"
                answer = response
            open_ -= {name for name, took in (("aw", aw), ("w", w), ("b", b)) if took}
        ctx.set(port.bready, 0)
        return answer

    async def read(self, ctx, address):
        """Returns (RDATA, RRESP)."""
        port, rng = self._port, self._rng
        while rng.random() < self._stall:
            await ctx.tick()
        ctx.set(port.araddr, address)
        ctx.set(port.arvalid, 1)
        await ctx.tick().until(port.arready)
        ctx.set(port.arvalid, 0)
        seen = None
        while True:
            ctx.set(port.rready, rng.random() >= self._stall)
            _, _, valid, ready, data, response = await ctx.tick().sample(
                port.rvalid, port.rready, port.rdata, port.rresp
            )
            if valid:
                assert seen in (None, (data, response)), "R changed while it waited"
                seen = (data, response)
                if ready:
                    ctx.set(port.rready, 0)
                    return seen


@pytest.fixture
def master():
    return Master
