"""Tag and number of the last descriptors, by their mark."""

from amaranth.hdl import Module
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["DescriptorNames", "MARK_BITS"]

MARK_BITS = 4  # fewer descriptors than this counts have commands under way


class DescriptorNames(wiring.Component):
    """Remembers what the marks of commands under way stand for.

    Latency and cost: 2 cycles from `mark` to `tag` and `index`; about 44 LUT of LUT RAM.

    Members
    -------
    note : In(1)
        Remember `new_tag` and `new_index` under the low bits of the latter.
    new_tag, new_index : In(32)
    mark : In(MARK_BITS)
    tag, index : Out(32)
    """

    def __init__(self):
        super().__init__(
            {
                "note": In(1),
                "new_tag": In(32),
                "new_index": In(32),
                "mark": In(MARK_BITS),
                "tag": Out(32),
                "index": Out(32),
            }
        )

    def elaborate(self, platform):
        m = Module()
        shape = data.StructLayout({"tag": 32, "index": 32})
        m.submodules.names = names = memory.Memory(shape=shape, depth=1 << MARK_BITS, init=[])
        write, read = names.write_port(), names.read_port()
        m.d.comb += [
            write.addr.eq(self.new_index),
            write.data.tag.eq(self.new_tag),
            write.data.index.eq(self.new_index),
            write.en.eq(self.note),
            read.addr.eq(self.mark),
            read.en.eq(1),
            self.tag.eq(read.data.tag),
            self.index.eq(read.data.index),
        ]
        return m
