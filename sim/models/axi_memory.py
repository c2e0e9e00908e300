"""A memory behind AXI ports, for amaranth.sim: random delays, refusals, protocol checks."""

import random
from collections import deque

__all__ = ["AxiMemory"]

_LONGEST = {"axi4": 256, "axi3": 16}


class AxiMemory:
    """Bytes that any number of ports read and write; one background testbench a port and direction.

        memory = AxiMemory(1 << 16, base=0x1000_0000, latency=40, stall=0.5, seed=1)
        simulator.add_testbench(memory.reader(dut.axi[0]), background=True)
        simulator.add_testbench(memory.writer(dut.axi[0]), background=True)

    Every violation of the protocol is an AssertionError: a payload that changes while it waits, a
    burst across 4 KiB or of a wrong length or type, a wrong `wlast` or `wid`, an address outside
    the memory (unless it is in `refuse`).

    Parameters
    ----------
    size : int
        Bytes.
    base : int
        Address of the first.
    latency : int
        Cycles from an accepted address (or last write datum) to the first answer.
    stall : float
        Probability that a channel pauses for a cycle.
    seed : int
    protocol : str
        "axi4" or "axi3".
    longest : int or None
        Beats that a burst may have, at most.
    refuse : dict
        {(first byte, byte after the last): response}: bursts that touch the range are answered so.

    Members
    -------
    data : bytearray
    reads, writes : list of (cycle, address, beats)
        Bursts in the order in which their addresses were accepted.
    read_beats, write_beats : int
    cycle : int
    outstanding : int
        Bursts accepted and not yet fully answered.
    """

    def __init__(
        self, size, *, base=0, latency=40, stall=0.0, seed=0, protocol="axi4", longest=None,
        refuse=None,
    ):
        self.random = random.Random(seed)
        self.data = bytearray(self.random.randbytes(size))
        self.base, self.latency, self.stall = base, latency, stall
        self.protocol, self.longest = protocol, min(longest or 256, _LONGEST[protocol])
        self.refuse = refuse or {}
        self.reads, self.writes = [], []
        self.read_beats = self.write_beats = self.cycle = self.outstanding = 0

    def load(self, address, length):
        """`length` bytes from an address, as the design sees it."""
        return bytes(self.data[address - self.base:address - self.base + length])

    def _go(self):
        return self.stall == 0 or self.random.random() >= self.stall

    def _response(self, address, beats):
        for (first, limit), response in self.refuse.items():
            if address < limit and address + 8 * beats > first:
                return response
        inside = self.base <= address and address + 8 * beats <= self.base + len(self.data)
        assert inside, f"burst of {beats} at {address:#x} outside the memory"
        return 0

    def _check_burst(self, channel, address, beats, size, burst):
        assert size == 3 and burst == 1, f"{channel}: size {size}, burst {burst}"
        assert address % 8 == 0, f"{channel}: address {address:#x} unaligned"
        assert 1 <= beats <= self.longest, f"{channel}: {beats} beats"
        assert address // 4096 == (address + 8 * beats - 1) // 4096, f"{channel}: {address:#x} 4K"

    @staticmethod
    def _check_stable(channel, before, now):
        """A payload that was not taken must still be there: (valid, ready, payload...)."""
        if before is not None and before[0] and not before[1]:
            assert now[0] and now[2:] == before[2:], f"{channel}: changed while waiting"

    def reader(self, axi):
        """Testbench that serves the read channels of a port."""

        async def serve(ctx):
            bursts, before, now, beat = deque(), None, 0, None
            ctx.set(axi.arready, self._go())
            signals = (
                axi.arvalid, axi.arready, axi.araddr, axi.arlen, axi.arsize, axi.arburst,
                axi.rvalid, axi.rready,
            )
            async for _, reset, *ar, rvalid, rready in ctx.tick().sample(*signals):
                assert not reset
                self._check_stable("AR", before, ar)
                before, now = ar, now + 1
                self.cycle = max(self.cycle, now)
                if ar[0] and ar[1]:
                    address, beats = ar[2], ar[3] + 1
                    self._check_burst("AR", address, beats, *ar[4:])
                    self.reads.append((now, address, beats))
                    self.outstanding += 1
                    response = self._response(address, beats)
                    bursts.append([now + self.latency, address, beats, response])
                if rvalid and rready:
                    self.read_beats += 1
                    beat = None
                if beat is None and bursts and bursts[0][0] <= now + 1 and self._go():
                    _, address, beats, response = burst = bursts[0]
                    value = 0 if response else int.from_bytes(self.load(address, 8), "little")
                    beat = (value, response, beats == 1)
                    burst[1:3] = address + 8, beats - 1
                    if beats == 1:
                        bursts.popleft()
                        self.outstanding -= 1
                ctx.set(axi.rvalid, beat is not None)
                if beat is not None:
                    ctx.set(axi.rdata, beat[0])
                    ctx.set(axi.rresp, beat[1])
                    ctx.set(axi.rlast, beat[2])
                ctx.set(axi.arready, self._go())

        return serve

    def writer(self, axi):
        """Testbench that serves the write channels of a port."""

        async def serve(ctx):
            addresses, beats_in, answers = deque(), deque(), deque()
            aw_before = w_before = answer = None
            now = 0
            wid = [axi.wid] if self.protocol == "axi3" else []
            signals = (
                axi.awvalid, axi.awready, axi.awaddr, axi.awlen, axi.awsize, axi.awburst,
                axi.bvalid, axi.bready,
                axi.wvalid, axi.wready, axi.wdata, axi.wstrb, axi.wlast, *wid,
            )
            ctx.set(axi.awready, self._go())
            ctx.set(axi.wready, self._go())
            async for _, reset, *values in ctx.tick().sample(*signals):
                assert not reset
                aw, (bvalid, bready), w = values[:6], values[6:8], values[8:]
                self._check_stable("AW", aw_before, aw)
                self._check_stable("W", w_before, w)
                aw_before, w_before, now = aw, w, now + 1
                self.cycle = max(self.cycle, now)
                if aw[0] and aw[1]:
                    self._check_burst("AW", aw[2], aw[3] + 1, *aw[4:])
                    self.writes.append((now, aw[2], aw[3] + 1))
                    self.outstanding += 1
                    addresses.append([aw[2], aw[3] + 1, self._response(aw[2], aw[3] + 1)])
                if w[0] and w[1]:
                    assert not wid or w[5] == 0, "W: wid"
                    self.write_beats += 1
                    beats_in.append(w[2:5])
                while addresses and beats_in:
                    (address, beats, response), (value, strobe, last) = addresses[0], beats_in[0]
                    beats_in.popleft()
                    assert last == (beats == 1), "W: wlast"
                    for k in range(8 if response == 0 else 0):
                        if strobe >> k & 1:
                            self.data[address - self.base + k] = value >> 8 * k & 0xFF
                    addresses[0][:2] = address + 8, beats - 1
                    if last:
                        addresses.popleft()
                        answers.append((now + self.latency, response))
                if bvalid and bready:
                    answer = None
                    self.outstanding -= 1
                if answer is None and answers and answers[0][0] <= now + 1 and self._go():
                    answer = answers.popleft()[1]
                ctx.set(axi.bvalid, answer is not None)
                ctx.set(axi.bresp, answer or 0)
                ctx.set(axi.awready, self._go())
                ctx.set(axi.wready, self._go())

        return serve
