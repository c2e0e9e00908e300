"""Cut a long transfer at the multiples of a power of two."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for, exact_log2

__all__ = ["BurstSplitter"]


class BurstSplitter(wiring.Component):
    """Splits transfers of bus words into pieces that do not cross a multiple of `size` words.

    After the first piece all pieces but the last are whole and aligned; where `size` words divide
    4 KiB no piece crosses 4 KiB.

    Latency and cost: 2 cycles, a piece a cycle, also across transfers; about 3 LUTs for each bit
    of `word_bits + count_bits`.

    Parameters
    ----------
    word_bits : int
        Width of an address, counted in words.
    count_bits : int
        Width of a transfer's length.
    size : int
        Longest piece in words; a power of two.
    tag_bits : int
        Width of a tag that goes with each transfer to all its pieces.

    Members
    -------
    i : In(stream of {address: word_bits, beats: count_bits, tag: tag_bits})
        `beats` is at least 1.
    o : Out(stream of {address: word_bits, beats: bits for size, last: 1, tag: tag_bits})
        `last` marks the last piece of a transfer.
    """

    latency = 2

    def __init__(self, *, word_bits, count_bits, size, tag_bits=0):
        if not isinstance(size, int) or isinstance(size, bool):
            raise TypeError(f"BurstSplitter size must be int, not {size!r}")
        if size < 1 or size & (size - 1):
            raise ValueError(f"BurstSplitter size must be a power of two, not {size!r}")
        self._word_bits, self._count_bits = word_bits, max(count_bits, bits_for(size))
        self._size, self._tag_bits = size, tag_bits
        transfer = data.StructLayout(
            {"address": word_bits, "beats": count_bits, "tag": tag_bits}
        )
        piece = data.StructLayout(
            {"address": word_bits, "beats": bits_for(size), "last": 1, "tag": tag_bits}
        )
        super().__init__({"i": In(stream.Signature(transfer)), "o": Out(stream.Signature(piece))})

    @property
    def word_bits(self):
        return self._word_bits

    @property
    def count_bits(self):
        return self._count_bits

    @property
    def size(self):
        return self._size

    @property
    def tag_bits(self):
        return self._tag_bits

    def elaborate(self, platform):
        m = Module()
        low = exact_log2(self._size)
        address = Signal(self._word_bits, reset_less=True)
        left = Signal(self._count_bits, reset_less=True)
        tag = Signal(self._tag_bits, reset_less=True)
        valid, out_valid = Signal(), Signal()
        out = Signal(self.o.payload.shape(), reset_less=True)

        room = Signal(bits_for(self._size))
        last, step = Signal(), Signal()
        m.d.comb += [
            room.eq(self._size - address[:low]),
            last.eq(left <= room),
            step.eq(valid & (~out_valid | self.o.ready)),
            self.i.ready.eq(~valid | (step & last)),
            self.o.valid.eq(out_valid),
            self.o.payload.eq(out),
        ]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [
                address.eq(self.i.payload.address),
                left.eq(self.i.payload.beats),
                tag.eq(self.i.payload.tag),
                valid.eq(1),
            ]
        with m.Elif(step):
            m.d.sync += [
                address.eq(Cat(Const(0, low), address[low:] + 1)),
                left.eq(left - room),
                valid.eq(~last),
            ]
        with m.If(step):
            m.d.sync += [
                out.address.eq(address),
                out.beats.eq(Mux(last, left, room)),
                out.last.eq(last),
                out.tag.eq(tag),
                out_valid.eq(1),
            ]
        with m.Elif(self.o.ready):
            m.d.sync += out_valid.eq(0)
        return m
