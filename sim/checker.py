"""The rules of an AXI master as assertions in the simulated design, where they cost no time."""

from amaranth.hdl import Assert, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In

__all__ = ["AxiChecker", "watch"]


class AxiChecker(wiring.Component):
    """Stops the simulation where a memory port breaks a rule.

    What is offered stays until it is taken; bursts are incrementing, of 8-byte beats, aligned, of
    at most `longest` beats, inside one 4 KiB page; `wlast` marks the last beat of each burst, and
    data never come before their address was offered; no response comes uncalled for.

    Parameters
    ----------
    signature : wiring.Signature
        Of the port: `Axi`, `AxiRead` or `AxiWrite`.
    longest : int
        Beats.

    Members
    -------
    The port's, all inputs.
    """

    def __init__(self, signature, longest):
        self._longest = longest
        super().__init__({name: In(member.shape) for name, member in signature.members.items()})

    def elaborate(self, platform):
        m = Module()
        names = self.signature.members
        reads, writes = "arvalid" in names, "awvalid" in names
        for channel in ("ar",) * reads + ("aw", "w") * writes:
            fields = [
                n for n in names
                if n.startswith(channel) and n not in (f"{channel}valid", f"{channel}ready")
            ]
            self._stays(m, channel, fields)
        for channel in ("ar",) * reads + ("aw",) * writes:
            self._burst(m, channel)
        if writes:
            self._data(m)
        return m

    def _stays(self, m, channel, fields):
        valid, ready = getattr(self, f"{channel}valid"), getattr(self, f"{channel}ready")
        waiting = Signal(name=f"{channel}_waiting")
        m.d.sync += waiting.eq(valid & ~ready)
        with m.If(waiting):
            m.d.sync += Assert(valid, f"{channel}valid fell before {channel}ready")
        for name in fields:
            value = getattr(self, name)
            before = Signal.like(value, name=f"{name}_before")
            m.d.sync += before.eq(value)
            with m.If(waiting):
                m.d.sync += Assert(value == before, f"{name} changed while it waited")

    def _burst(self, m, channel):
        address, beats, size, burst = (
            getattr(self, channel + name) for name in ("addr", "len", "size", "burst")
        )
        with m.If(getattr(self, f"{channel}valid")):
            m.d.sync += [
                Assert(size == 3, f"{channel}size is not 8 bytes"),
                Assert(burst == 1, f"{channel}burst is not incrementing"),
                Assert(address[:3] == 0, f"{channel}addr is not aligned"),
                Assert(beats < self._longest, f"{channel}len is too long"),
                Assert(address[3:12] + beats < 512, f"{channel} burst crosses 4 KiB"),
                Assert(getattr(self, f"{channel}id") == 0, f"{channel}id is not 0"),
            ]

    def _data(self, m):
        """Lengths of offered bursts queue up; W follows them in order."""
        offered, taken = Signal(6), Signal(6)
        lengths = [Signal(8, name=f"length_{k}") for k in range(64)]
        beat, owed = Signal(8), Signal(8)
        shown, answered = Signal(), Signal(6)
        m.d.sync += shown.eq(self.awvalid & ~self.awready)
        with m.If(self.awvalid & ~shown):
            m.d.sync += offered.eq(offered + 1)
            for k, length in enumerate(lengths):
                with m.If(offered == k):
                    m.d.sync += length.eq(self.awlen)
        with m.Switch(taken):
            for k, length in enumerate(lengths):
                with m.Case(k):
                    m.d.comb += owed.eq(length)
        there = taken != offered
        last = beat == Mux(there, owed, self.awlen)  # data may come in the address's first cycle
        with m.If(self.wvalid):
            m.d.sync += [
                Assert(there | self.awvalid, "write data before their address"),
                Assert(self.wlast == last, "wlast is not at the end of its burst"),
            ]
            with m.If(self.wready):
                m.d.sync += beat.eq(beat + 1)
                with m.If(self.wlast):
                    m.d.sync += [beat.eq(0), taken.eq(taken + 1)]
        if "wid" in self.signature.members:
            m.d.sync += Assert(~self.wvalid | (self.wid == 0), "wid is not 0")
        with m.If(self.bvalid & self.bready):
            m.d.sync += [
                answered.eq(answered + 1),
                Assert(answered != taken, "a response without a burst"),
            ]


def watch(m, name, port, longest):
    """Add a checker to the memory port `port` of a component in module `m`."""
    checker = AxiChecker(port.signature, longest)
    m.submodules[name] = checker
    for field in checker.signature.members:
        m.d.comb += getattr(checker, field).eq(getattr(port, field))
