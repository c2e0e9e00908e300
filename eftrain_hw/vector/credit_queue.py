"""Queue behind a pipeline that cannot stall."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

__all__ = ["CreditQueue"]


class CreditQueue(wiring.Component):
    """Store what leaves a free-running pipeline, with room reserved as it enters.

    The user raises `reserve` for each item that it starts, only in cycles in which `room` is 1, and
    delivers that item with `i_valid` any number of cycles later::

        reserve --> pipeline --> i_valid, i --> queue --> o
           ^                                              |
           +------------------ room <--- a place ---------+

    Latency and cost: 2 cycles from `i` to `o`, one item a cycle; distributed RAM, about 25 LUT and
    0.7 LUT a bit for 32 places.

    Parameters
    ----------
    shape : ShapeLike
        Of an item.
    depth : int
        Places; at least the latency from `reserve` to `o` plus 3, so that `room` never gaps.
    late : int
        Cycles by which the user looks at `room` later than it could; each takes a place.

    Members
    -------
    reserve : In(1)
    room : Out(1)
        An item may be started; registered.
    i_valid, i : In
    o : Out(stream)
    idle : Out(1)
        Nothing is reserved, under way or stored.
    """

    def __init__(self, *, shape, depth, late=0):
        if not isinstance(depth, int) or isinstance(depth, bool):
            raise TypeError(f"CreditQueue depth must be an int, not {depth!r}")
        if depth < 4:
            raise ValueError(f"CreditQueue depth must be at least 4, not {depth!r}")
        self._shape, self._late = shape, late
        self._depth = 1 << (depth - 1).bit_length()
        super().__init__(
            {
                "reserve": In(1),
                "room": Out(1, init=1),
                "i_valid": In(1),
                "i": In(shape),
                "o": Out(stream.Signature(shape)),
                "idle": Out(1),
            }
        )

    @property
    def depth(self):
        """Places: `depth` rounded up to a power of two."""
        return self._depth

    def elaborate(self, platform):
        m = Module()
        # no item is loaded in the cycle that writes it: `load` waits for `filled`
        m.submodules.store = store = Memory(
            shape=self._shape, depth=self._depth, init=[], attrs={"no_rw_check": 1}
        )
        write, read = store.write_port(), store.read_port(domain="comb")

        # credit
        taken = Signal(range(self._depth + 1))
        leave = self.o.valid & self.o.ready
        m.d.sync += [
            taken.eq(Mux(leave, taken - ~self.reserve, taken + self.reserve)),
            # `reserve` of this very cycle is not in `taken` yet
            self.room.eq(taken < self._depth - 1 - self._late),
        ]
        m.d.comb += self.idle.eq(taken == 0)

        # store
        m.d.comb += [write.en.eq(self.i_valid), write.data.eq(self.i)]
        filled = Signal(range(self._depth + 1))
        with m.If(self.i_valid):
            m.d.sync += write.addr.eq(write.addr + 1)

        # output register
        load = (filled != 0) & (~self.o.valid | self.o.ready)
        m.d.sync += filled.eq(filled + self.i_valid - load)
        item = Signal(self._shape, reset_less=True)
        m.d.comb += self.o.payload.eq(item)
        with m.If(load):
            m.d.sync += [item.eq(read.data), read.addr.eq(read.addr + 1), self.o.valid.eq(1)]
        with m.Elif(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        return m
