"""The line buffer of pooling: two halves, filled and read in turn."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from .ports import pool_item_bytes

__all__ = ["PoolBuffer"]


class PoolBuffer(wiring.Component):
    """Hold the rows of one window row (forward) or one row of the pooled map (backward).

    A half holds `band` vectors. While one half is read, the other is filled; a half is handed over
    when its last item is in, and given back by `release`. Each word holds a beat of a vector and
    the vector's exponent; exponents have a second copy for whoever looks at them first.

    Latency and cost: data one cycle after the address; `pool_words` words of a beat and an
    exponent, a quarter of that for indices (half the words); about 50 LUT.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    start : In(1)
        Begin with an empty buffer.
    working : In(1)
        Take items.
    backward : In(1)
        Store indices too.
    band : In(16)
        Vectors of a half.
    elements, indices, exponents : In(streams)
    address : In, word : Out({elements, exponent}), indices_word : Out
        Read port: beat number within the half.
    full : Out(1), release : In(1)
        The half at the read port may be read; give it back.
    scan_address : In, scan_exponent : Out(8), scan_full : Out(1), scan_release : In(1)
        The same for the second copy of the exponents; addresses are vectors.
    """

    def __init__(self, config):
        self._config = config
        beat = pool_item_bytes(config)
        half = exact_log2(config.pool_words) - 1
        self._indices = 8 * beat // config.element_bytes
        self._word = data.StructLayout({"elements": 8 * beat, "exponent": 8 * config.has_exponents})
        super().__init__(
            {
                "start": In(1),
                "working": In(1),
                "backward": In(1),
                "wide": In(1),
                "band": In(16),
                "elements": In(stream.Signature(8 * beat)),
                "indices": In(stream.Signature(self._indices)),
                "exponents": In(stream.Signature(8)),
                "address": In(half),
                "word": Out(self._word),
                "indices_word": Out(self._indices),
                "full": Out(1),
                "release": In(1),
                "scan_address": In(half - exact_log2(config.beats_per_vector)),
                "scan_exponent": Out(8),
                "scan_full": Out(1),
                "scan_release": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, beats = self._config, self._config.beats_per_vector
        half = len(self.address)

        # halves
        full, scan_full = Signal(2), Signal(2)
        filling, reading, scanning = Signal(), Signal(), Signal()
        m.d.comb += [
            self.full.eq(full.bit_select(reading, 1)),
            self.scan_full.eq(scan_full.bit_select(scanning, 1)),
        ]

        # fill
        beat, address, left = Signal(range(max(2, beats))), Signal(half), Signal(16)
        first, last = beat == 0, beat == beats - 1
        take, paired = Signal(), self.backward | self.wide
        m.d.comb += [
            take.eq(
                self.working
                & ~full.bit_select(filling, 1)
                & self.elements.valid
                & (~paired | self.indices.valid)
                & (self.exponents.valid | ~first if config.has_exponents else 1)
            ),
            self.elements.ready.eq(take),
            self.indices.ready.eq(take & paired),
            self.exponents.ready.eq(take & first & config.has_exponents),
        ]
        with m.If(take):
            m.d.sync += [beat.eq(Mux(last, 0, beat + 1)), address.eq(address + 1)]
            with m.If(last):
                m.d.sync += left.eq(left - 1)
                with m.If(left == 1):
                    m.d.sync += [
                        left.eq(self.band),
                        address.eq(0),
                        filling.eq(~filling),
                        full.bit_select(filling, 1).eq(1),
                        scan_full.bit_select(filling, 1).eq(1),
                    ]
        with m.If(self.release):
            m.d.sync += [full.bit_select(reading, 1).eq(0), reading.eq(~reading)]
        with m.If(self.scan_release):
            m.d.sync += [scan_full.bit_select(scanning, 1).eq(0), scanning.eq(~scanning)]
        with m.If(self.start):
            m.d.sync += [beat.eq(0), address.eq(0), left.eq(self.band)]
            m.d.sync += [full.eq(0), scan_full.eq(0)]
            m.d.sync += [filling.eq(0), reading.eq(0), scanning.eq(0)]

        # words; later beats of a vector carry its exponent too
        exponent = Signal(8, reset_less=True)
        with m.If(take & first):
            m.d.sync += exponent.eq(self.exponents.payload)
        word = Signal(self._word)
        m.d.comb += word.elements.eq(self.elements.payload)
        if config.has_exponents:
            m.d.comb += word.exponent.eq(Mux(first, self.exponents.payload, exponent))
        # no half is read while it is filled
        attributes = {"no_rw_check": 1}
        m.submodules.words = words = Memory(
            shape=self._word, depth=2 << half, init=[], attrs=attributes
        )
        self._connect(
            m, words, take, Cat(address, filling), word, Cat(self.address, reading), self.word
        )

        # a row of the pooled map is at most a quarter of the words; so is a band with low digits
        m.submodules.places = places = Memory(
            shape=self._indices, depth=1 << half, init=[], attrs=attributes
        )
        self._connect(
            m,
            places,
            take & paired,
            Cat(address[:-1], filling),
            self.indices.payload,
            Cat(self.address[:-1], reading),
            self.indices_word,
        )
        if config.has_exponents:
            vectors = len(self.scan_address)
            m.submodules.scan = scan = Memory(
                shape=8, depth=2 << vectors, init=[], attrs=attributes
            )
            self._connect(
                m,
                scan,
                take & first,
                Cat(address[half - vectors :], filling),
                self.exponents.payload,
                Cat(self.scan_address, scanning),
                self.scan_exponent,
            )
        return m

    @staticmethod
    def _connect(m, memory, enable, write_address, item, read_address, word):
        write, read = memory.write_port(), memory.read_port()
        m.d.comb += [
            write.en.eq(enable),
            write.addr.eq(write_address),
            write.data.eq(item),
            read.addr.eq(read_address),
            word.eq(read.data),
        ]
