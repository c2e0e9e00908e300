"""Who owns which half of a double buffer."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["SlotController"]


class SlotController(wiring.Component):
    """Hands two slots round between one that fills them and one that reads them, in turn.

    Contract: a slot goes free -> filling (`acquire`) -> full (`publish`) -> free (`release`), and
    the slots take turns at each step. Pulses that come out of turn (`acquire` without a free slot,
    `publish` without a slot being filled, `release` without a full slot) change nothing. A slot is
    therefore never filled and read at once, and none is lost. With `ahead` the filler may acquire
    the second slot while it still fills the first; without, it looks at `free` alone and `publish`
    stands for both steps.

    Latency and cost: levels and pointers follow a pulse in the next cycle. 8 flip-flops, about 10
    LUTs.

    Parameters
    ----------
    ahead : bool
        Whether there is an `acquire`.

    Members
    -------
    acquire : In(1)
        Only with `ahead`.
    publish, release : In(1)
    free : Out(1)
        There is a slot to acquire (without `ahead`: to fill).
    full : Out(1)
        Slot `read_slot` is full.
    fill_slot, read_slot : Out(1)
        The slot that the next `publish`, the next `release` is about.

    Raises
    ------
    TypeError
    """

    def __init__(self, *, ahead):
        if not isinstance(ahead, bool):
            raise TypeError(f"SlotController ahead must be bool, not {ahead!r}")
        self._ahead = ahead
        members = {
            "publish": In(1),
            "release": In(1),
            "free": Out(1, init=1),
            "full": Out(1),
            "fill_slot": Out(1),
            "read_slot": Out(1),
        }
        if ahead:
            members["acquire"] = In(1)
        super().__init__(members)

    @property
    def ahead(self):
        return self._ahead

    def elaborate(self, platform):
        m = Module()
        taken, filled = Signal(2), Signal(2)  # slots that aren't free; slots that are full
        publish, release, acquire = Signal(), Signal(), Signal()
        m.d.comb += [
            release.eq(self.release & self.full),
        ]
        if self._ahead:
            m.d.comb += [
                acquire.eq(self.acquire & self.free),
                publish.eq(self.publish & (taken != filled)),
            ]
        else:
            m.d.comb += [publish.eq(self.publish & self.free), acquire.eq(publish)]

        for count, up, down in ((taken, acquire, release), (filled, publish, release)):
            with m.If(up & ~down):
                m.d.sync += count.eq(count + 1)
            with m.Elif(down & ~up):
                m.d.sync += count.eq(count - 1)
        # the levels in registers of their own: both sides start long paths from them
        with m.If(acquire & ~release):
            m.d.sync += self.free.eq(taken == 0)
        with m.Elif(release & ~acquire):
            m.d.sync += self.free.eq(1)
        with m.If(publish & ~release):
            m.d.sync += self.full.eq(1)
        with m.Elif(release & ~publish):
            m.d.sync += self.full.eq(filled == 2)
        m.d.sync += [
            self.fill_slot.eq(self.fill_slot ^ publish),
            self.read_slot.eq(self.read_slot ^ release),
        ]
        return m
