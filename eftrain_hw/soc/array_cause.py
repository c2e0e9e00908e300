"""What each cycle of the array went to."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..csr.step_log_format import CAUSES

__all__ = ["ArrayCause"]

_NUMBER = {name: k for k, name in enumerate(CAUSES)}


class ArrayCause(wiring.Component):
    """Names one cause for every cycle, also where several engines are late.

    A position, then a stretched sweep, then a bank that isn't free, then a tile that isn't there:
    at most one of these is 1. A load that is held back is to blame for a missing tile only when the
    load engine has nothing else to do. Without a command for the array it is the engine whose full
    receiver holds up the sequencer, at a fence or the program's end the one that still works, else
    the sequencer itself.

    Latency and cost: `cause` is of the cycle before; about 20 LUT.

    Members
    -------
    mac_busy, stall_moving, stall_stationary, stall_accumulator, stall_hazard : In(1)
        Of the compute engine.
    offered : In(1)
        A command waits for the array.
    load_busy, drain_busy, vector_busy : In(1)
    writers_hold : In(1)
        The drain's results wait for their writers.
    held : In(2), full : In(3)
        Of `Dispatch`.
    waits : In(1)
        Of the sequencer.
    cause : Out(range(len(CAUSES)))
    """

    def __init__(self):
        names = "mac_busy stall_moving stall_stationary stall_accumulator stall_hazard offered"
        names += " load_busy drain_busy vector_busy writers_hold waits"
        super().__init__(
            {
                **{name: In(1) for name in names.split()},
                "held": In(2),
                "full": In(3),
                "cause": Out(range(len(CAUSES))),
            }
        )

    def elaborate(self, platform):
        m = Module()

        def name(cause):
            m.d.sync += self.cause.eq(_NUMBER[cause])

        drains, vector, stores, ends = Signal(), Signal(), Signal(), Signal()
        m.d.sync += [
            drains.eq(self.drain_busy),
            stores.eq(self.writers_hold),
            vector.eq(self.vector_busy),
            ends.eq(self.waits),
        ]
        held = Signal(2)
        m.d.sync += held.eq(self.held & ~self.load_busy.replicate(2))

        def load(otherwise):
            with m.If(held[1]):
                name("vector")
            with m.Elif(held[0]):
                name("store")
            with m.Else():
                name(otherwise)

        def drain():
            name("drain")
            with m.If(stores):
                name("store")

        with m.If(self.mac_busy):
            name("mac_busy")
        with m.Elif(self.stall_hazard):
            name("hazard")
        with m.Elif(self.stall_accumulator):
            drain()
        with m.Elif(self.stall_moving):
            load("load")
        with m.Elif(self.stall_stationary):
            load("stationary")
        with m.Elif(self.offered):
            name("rest")
        with m.Elif(self.full[0]):
            load("load")
        with m.Elif(self.full[1]):
            drain()
        with m.Elif(self.full[2] | (ends & vector)):
            name("vector")
        with m.Elif(ends & drains):
            name("rest")
            with m.If(stores):
                name("store")
        with m.Elif(ends):
            name("rest")
        with m.Else():
            name("descriptor")
        return m
