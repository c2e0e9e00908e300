"""Room in the data queues of the ports, and the choice of a port for the next burst."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["PortCredits"]


class PortCredits(wiring.Component):
    """Counts the bus words that each port's queue still takes and names the port with most room.

    Strict rotation would put every second burst on the same port: where short and long bursts
    alternate (a run's exponents, then its elements) one port would carry nearly all the data. The
    port with the most room balances bytes, and a slow port gets less.

    Latency and cost: counts change in the next cycle; about 25 LUTs a port.

    Parameters
    ----------
    ports : int
    depth : int
        Words that a queue holds.
    most : int
        Words of the longest burst; a power of two.

    Members
    -------
    port : Out(range(ports))
        Port with the most room, the lowest of equals.
    room : Out(1)
        It has room for a longest burst.
    take : In(1)
        Reserve `words` on `port`.
    words : In(range(most + 1))
    give : In(ports)
        A word of this port's queue has been taken out.
    """

    def __init__(self, *, ports, depth, most):
        if depth < 2 * most:
            raise ValueError(
                f"PortCredits depth must be at least two bursts of {most}, not {depth!r}"
            )
        self._ports, self._depth, self._most = ports, depth, most
        super().__init__(
            {
                "port": Out(range(max(2, ports))),
                "room": Out(1),
                "take": In(1),
                "words": In(range(most + 1)),
                "give": In(ports),
            }
        )

    def elaborate(self, platform):
        m = Module()
        free = [
            Signal(range(self._depth + 1), init=self._depth, name=f"free_{p}")
            for p in range(self._ports)
        ]
        best = [(value, p) for p, value in enumerate(free)]
        while len(best) > 1:  # pairs; the winner of the last one decides
            winners = []
            for (low, low_port), (high, high_port) in zip(best[::2], best[1::2]):
                higher = Signal(name=f"higher_{len(best)}_{len(winners)}")
                m.d.comb += higher.eq(high > low)
                winners.append((Mux(higher, high, low), Mux(higher, high_port, low_port)))
            best = winners
        m.d.comb += [self.port.eq(best[0][1]), self.room.eq(best[0][0] >= self._most)]
        for p, value in enumerate(free):
            taken = self.take & (self.port == p)
            m.d.sync += value.eq(value - Mux(taken, self.words, 0) + self.give[p])
        return m
