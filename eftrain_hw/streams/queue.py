"""A first-in first-out queue of stream payloads."""

from amaranth.hdl import Module, Mux, Shape, Signal
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

__all__ = ["Queue"]

_STYLES = {"auto": None, "block": "block", "distributed": "distributed"}


class Queue(wiring.Component):
    """Queue on LUT RAM or block RAM: payloads leave in the order in which they came.

    The payload of the output is the read register of the memory, `i.ready` depends only on the
    level: no path leads through. `depth` payloads fit, the one at the output included.

    Latency and cost: 2 cycles from `i` to `o`, a payload a cycle. In LUT RAM about 4 LUTs for each
    6 bits x 32 entries, plus about 20; block RAM from 512 x 72 bits for one RAMB36.

    Parameters
    ----------
    shape : ShapeLike
        Shape of the payload.
    depth : int
        Payloads that fit; at least 2.
    storage : str
        "auto" (the tool decides), "block" or "distributed".

    Members
    -------
    i, o : stream of `shape`
    level : Out(range(depth + 1))
        Payloads inside, counted from the cycle after they came.
    """

    latency = 2

    def __init__(self, shape, depth, *, storage="auto"):
        Shape.cast(shape)
        if not isinstance(depth, int) or isinstance(depth, bool):
            raise TypeError(f"Queue depth must be int, not {depth!r}")
        if depth < 2:
            raise ValueError(f"Queue depth must be at least 2, not {depth!r}")
        if storage not in _STYLES:
            raise ValueError(f"Queue storage must be one of {tuple(_STYLES)}, not {storage!r}")
        self._shape, self._depth, self._storage = shape, depth, storage
        super().__init__(
            {
                "i": In(stream.Signature(shape)),
                "o": Out(stream.Signature(shape)),
                "level": Out(range(depth + 1)),
            }
        )

    @property
    def shape(self):
        return self._shape

    @property
    def depth(self):
        return self._depth

    @property
    def storage(self):
        return self._storage

    def elaborate(self, platform):
        m = Module()
        style = _STYLES[self._storage]
        # no payload is fetched in the cycle that writes it: `fetch` waits for `level`
        attributes = {"no_rw_check": 1} | ({} if style is None else {"ram_style": style})
        m.submodules.memory = store = memory.Memory(
            shape=self._shape, depth=self._depth, init=[], attrs=attributes
        )
        write, read = store.write_port(), store.read_port()
        pointer_bits = ceil_log2(self._depth)
        write_pointer, read_pointer = Signal(pointer_bits), Signal(pointer_bits)
        valid = Signal()
        push, fetch, pop = Signal(), Signal(), Signal()

        def following(pointer):
            if self._depth == 1 << pointer_bits:
                return pointer + 1
            return Mux(pointer == self._depth - 1, 0, pointer + 1)

        m.d.comb += [
            self.i.ready.eq(self.level != self._depth),
            push.eq(self.i.valid & self.i.ready),
            write.addr.eq(write_pointer),
            write.data.eq(self.i.payload),
            write.en.eq(push),
            # some payload is in the memory, beyond the one in the read register
            fetch.eq((self.level != valid) & (~valid | self.o.ready)),
            read.addr.eq(read_pointer),
            read.en.eq(fetch),
            self.o.payload.eq(read.data),
            self.o.valid.eq(valid),
            pop.eq(valid & self.o.ready),
        ]
        with m.If(push):
            m.d.sync += write_pointer.eq(following(write_pointer))
        with m.If(fetch):
            m.d.sync += read_pointer.eq(following(read_pointer))
        with m.If(~valid | self.o.ready):
            m.d.sync += valid.eq(fetch)
        # `pop` comes from far away: it only enables
        with m.If(push ^ pop):
            m.d.sync += self.level.eq(Mux(push, self.level + 1, self.level - 1))
        return m
