"""The on-chip descriptor memory: a bus beat wide on one side, a word on the other."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["DescriptorMemory"]


class DescriptorMemory(wiring.Component):
    """Two descriptors; the words of the one in `half` come one after another.

        cycle        0      1     2     3     4
        jump         1
        target       n
        word_valid   .      0     0     1     1
        word                            n     n+1        while `consume`

    Latency and cost: 3 cycles from a jump to the first word, then a word a cycle; block RAMs as
    wide as the bus (two RAMB36 at 16 bytes), about 50 LUT.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    write_enable, write_address, write_data : In
        A bus beat; the top bit of the address is the half.
    half : In(1)
        Changes only with a jump.
    jump : In(1)
    target : In
        Word within the half.
    consume : In(1)
        The word at hand has been used, if there is one.
    word : Out(32)
    word_valid : Out(1)
    """

    def __init__(self, config):
        self._config = config
        beats = config.descriptor_words * 4 // config.bus_bytes
        super().__init__(
            {
                "write_enable": In(1),
                "write_address": In(range(beats)),
                "write_data": In(8 * config.bus_bytes),
                "half": In(1),
                "jump": In(1),
                "target": In(range(config.descriptor_words // 2)),
                "consume": In(1),
                "word": Out(32),
                "word_valid": Out(1),
            }
        )

    @property
    def config(self):
        return self._config

    @property
    def latency(self):
        """Cycles from a jump to the first word."""
        return 3

    def elaborate(self, platform):
        m = Module()
        beat_words = self._config.bus_bytes // 4
        m.submodules.beats = beats = memory.Memory(
            shape=32 * beat_words, depth=self._config.descriptor_words // beat_words, init=[]
        )
        write, read = beats.write_port(), beats.read_port()
        pointer = Signal.like(self.target, reset_less=True)
        place = Signal(range(beat_words), reset_less=True)
        word = Signal(32, reset_less=True)
        in_beat = Signal()
        advance = ~self.word_valid | self.consume

        m.d.comb += [
            write.addr.eq(self.write_address),
            write.data.eq(self.write_data),
            write.en.eq(self.write_enable),
            read.addr.eq(Cat(pointer, self.half)[len(place) :]),
            read.en.eq(advance),
            self.word.eq(word),
        ]
        with m.If(advance):
            m.d.sync += [
                pointer.eq(pointer + 1),
                place.eq(pointer),
                in_beat.eq(1),
                word.eq(read.data.word_select(place, 32)),
                self.word_valid.eq(in_beat),
            ]
        with m.If(self.jump):
            m.d.sync += [pointer.eq(self.target), in_beat.eq(0), self.word_valid.eq(0)]
        return m
