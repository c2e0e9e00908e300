"""Keeps commands of different engines in order where one reads what the other writes."""

from amaranth.hdl import Module, Shape, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .queue import Queue

__all__ = ["CommandCount", "CommandCredit", "CommandGate", "TICKET_BITS"]

TICKET_BITS = 10  # from issue to look-up, fewer than half as many commands as this counts finish


def reached(finished, ticket):
    """Whether everything that a ticket stands for is finished."""
    missing = Signal(TICKET_BITS)
    return missing.eq(finished - ticket), ~missing[-1]


class CommandCount(wiring.Component):
    """Counts an engine's commands when they are issued and when they are finished, modulo 1024.

    A command that is issued to another engine takes `issued` with it, its ticket: whatever this
    engine was given before is finished once `finished` has reached the ticket. An engine that is
    never idle finishes nothing here; `full` keeps it from taking more than can be told apart.

    Latency and cost: counts follow a pulse in the next cycle, `finished` one more; about 40 LUT.

    Members
    -------
    issue : In(1)
        Pulse: the last word of a command is on its way to the engine.
    take : In(1)
        Pulse: the engine takes a command.
    busy : In(1)
        From the cycle of `take` until everything is written, answers included.
    issued, finished : Out(TICKET_BITS)
    full : Out(1)
        A quarter of the range is taken and not finished: the engine must take no more.
    """

    def __init__(self):
        super().__init__(
            {
                "issue": In(1),
                "take": In(1),
                "busy": In(1),
                "full": Out(1),
                "issued": Out(TICKET_BITS),
                "finished": Out(TICKET_BITS),
            }
        )

    def elaborate(self, platform):
        m = Module()
        taken, pending = Signal(TICKET_BITS), Signal(TICKET_BITS)
        m.d.comb += pending.eq(taken - self.finished)
        m.d.sync += [
            self.full.eq(pending[-2:].any()),
            self.issued.eq(self.issued + self.issue),
            taken.eq(taken + self.take),
        ]
        with m.If(~self.busy):
            m.d.sync += self.finished.eq(taken)
        return m


class CommandCredit(wiring.Component):
    """Turns the tickets of an engine's commands into credit as soon as they are reached.

    A command may wait for its own engine much longer than tickets are good for; its credit stays.

    Latency and cost: 4 cycles from `issue` to `credit`; about 30 LUT.

    Parameters
    ----------
    depth : int
        Commands that may be under way.

    Members
    -------
    issue : In(1)
        Pulse: a command with `ticket` is on its way.
    ticket, finished : In(TICKET_BITS)
    take : In(1)
        Pulse: the engine takes a command, which spends a credit.
    credit : Out(1)
        All that the next command waits for is finished.
    """

    def __init__(self, *, depth=16):
        self._depth = depth
        super().__init__(
            {
                "issue": In(1),
                "ticket": In(TICKET_BITS),
                "finished": In(TICKET_BITS),
                "take": In(1),
                "credit": Out(1),
            }
        )

    @property
    def depth(self):
        return self._depth

    def elaborate(self, platform):
        m = Module()
        m.submodules.tickets = tickets = Queue(TICKET_BITS, self._depth, storage="distributed")
        level = Signal(range(self._depth + 1))
        compare, good = reached(self.finished, tickets.o.payload)
        earn = Signal()
        m.d.comb += [
            compare,
            tickets.i.payload.eq(self.ticket),
            tickets.i.valid.eq(self.issue),
            tickets.o.ready.eq(good),
            earn.eq(tickets.o.valid & good),
            self.credit.eq(level != 0),
        ]
        with m.If(earn & ~self.take):
            m.d.sync += level.eq(level + 1)
        with m.Elif(self.take & ~earn):
            m.d.sync += level.eq(level - 1)
        return m


class CommandGate(wiring.Component):
    """Holds a command back until what it waits for is finished.

    Latency and cost: at least 1 cycle from `i` to `o`, the payload passes through; about 8 LUT for
    each engine waited for.

    Parameters
    ----------
    shape : ShapeLike
        Shape of a command.
    engines : int
        Engines that it may wait for.

    Members
    -------
    i, o : stream of `shape`
    waits : In(engines)
        Which engines `i` waits for.
    tickets, finished : In(engines * TICKET_BITS)
        The tickets of `i`; what each engine has finished.
    hold : In(1)
        Lets nothing pass.
    behind : Out(engines)
        Those that `i` waits for and that are not there yet; of no meaning without `i.valid`.
    busy : Out(1)
        A command may pass.

    Raises
    ------
    TypeError, ValueError
    """

    def __init__(self, shape, engines):
        Shape.cast(shape)
        if not isinstance(engines, int) or isinstance(engines, bool):
            raise TypeError(f"CommandGate engines must be an int, not {engines!r}")
        if engines < 0:
            raise ValueError(f"CommandGate engines must be at least 0, not {engines!r}")
        self._engines = engines
        super().__init__(
            {
                "i": In(stream.Signature(shape)),
                "waits": In(engines),
                "tickets": In(engines * TICKET_BITS),
                "finished": In(engines * TICKET_BITS),
                "hold": In(1),
                "o": Out(stream.Signature(shape)),
                "behind": Out(engines),
                "busy": Out(1),
            }
        )

    @property
    def engines(self):
        return self._engines

    def elaborate(self, platform):
        m = Module()
        behind = self.behind
        for k in range(self._engines):
            compare, good = reached(
                self.finished.word_select(k, TICKET_BITS),
                self.tickets.word_select(k, TICKET_BITS),
            )
            m.d.comb += [compare, behind[k].eq(self.waits[k] & ~good)]
        opened = Signal()
        m.d.comb += [
            self.o.valid.eq(self.i.valid & opened),
            self.i.ready.eq(self.o.ready & opened),
            Value.cast(self.o.payload).eq(Value.cast(self.i.payload)),
            self.busy.eq(self.o.valid),
        ]
        m.d.sync += opened.eq(
            self.i.valid & ~(self.o.valid & self.o.ready) & (opened | ~(behind.any() | self.hold))
        )
        return m
