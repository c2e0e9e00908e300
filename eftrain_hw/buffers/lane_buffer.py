"""A buffer of one bank for each lane, written by bus words and read by elements."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In
from amaranth.utils import exact_log2

from ..config import AcceleratorConfig
from ..streams.ports import LaneRead, LaneWrite
from .narrow_bank import PART, NarrowBank

__all__ = ["READ_LATENCY", "LaneBuffer"]

READ_LATENCY = 3
_PRIMITIVES = ("portable", "xilinx7")

# what is read while it is written is of no use to anybody: slots are filled before they are read
_ATTRIBUTES = {"ram_style": "block", "no_rw_check": 1}


class LaneBuffer(wiring.Component):
    """Two slots of `words / 2` bus words a lane, and the exponents of the vectors that lie there.

    Contract: a write port that takes a bus word for one lane, or one element for each lane, and a
    read port that gives one element of every lane at one address. What is written in a cycle can
    be read from the next cycle on. Reading and writing one slot at a time is for the slot
    controller to prevent. Formats without exponents read exponents 0.

        cycle      0        1          2          3
        address    a
                   register | RAM word | select   | elements, exponents of a

    The exponents of slot s are `elements / lanes` words of `lanes` bytes: read with `serial`, lane
    j gets byte j of word address // lanes, otherwise all get byte address % lanes. In a wide slot
    (`config.bfp16`) each word holds the high and the low digits of half as many elements.

    Latency and cost: `read_latency` cycles, a word and an address a cycle. RAM: lanes *
    ceil(8 bus_bytes / 72) * ceil(words / 512) RAMB36, and ceil(8 lanes / 72) * ceil(2 elements /
    lanes / 512) for exponents; LUTs: about 5 for each bit that is read (16 elements in a word) and
    one for each write enable (lanes * elements_per_beat). "xilinx7" and elements of a byte: only 1
    for each bit (`NarrowBank`).

    Parameters
    ----------
    config : AcceleratorConfig
    words : int
        Depth of a lane's bank in bus words, both slots together; a power of two, at least 64.
    primitives : str
        "portable", or "xilinx7" for explicit block RAMs.

    Members
    -------
    fill_slot : In(1)
        The slot that is written.
    write : In(LaneWrite)
    read : In(LaneRead)

    Raises
    ------
    TypeError, ValueError
    """

    read_latency = READ_LATENCY

    def __init__(self, *, config, words, primitives="portable"):
        if not isinstance(config, AcceleratorConfig):
            raise TypeError(f"LaneBuffer config must be an AcceleratorConfig, not {config!r}")
        if not isinstance(words, int) or isinstance(words, bool):
            raise TypeError(f"LaneBuffer words must be int, not {words!r}")
        if words < 64 or words & (words - 1):
            raise ValueError(f"LaneBuffer words must be a power of two, at least 64, not {words!r}")
        if primitives not in _PRIMITIVES:
            raise ValueError(
                f"LaneBuffer primitives must be one of {_PRIMITIVES}, not {primitives!r}"
            )
        self._config, self._words, self._primitives = config, words, primitives
        super().__init__(
            {
                "fill_slot": In(1),
                "write": In(LaneWrite(config, words)),
                "read": In(LaneRead(config, self.elements)),
            }
        )

    @property
    def config(self):
        return self._config

    @property
    def words(self):
        return self._words

    @property
    def primitives(self):
        return self._primitives

    @property
    def elements(self):
        """Elements of one lane in one slot."""
        return self._words * self._config.elements_per_beat // 2

    def elaborate(self, platform):
        m = Module()
        config, lanes = self._config, self._config.lanes
        per_word, bits = config.elements_per_beat, 8 * config.element_bytes
        piece = min(lanes, per_word)
        address, slot = Signal(range(self.elements)), Signal()
        word, place = Signal(range(self._words // 2)), Signal(range(per_word))
        serial = Signal()
        shift = exact_log2(per_word)
        given = self.read.address
        m.d.sync += [
            address.eq(given),
            slot.eq(self.read.slot),
            serial.eq(self.read.serial),
            word.eq(given[shift:]),
            place.eq(given),
        ]
        if config.bfp16:
            with m.If(self.read.wide):
                m.d.sync += [word.eq(given[shift - 1 :]), place.eq(given[: shift - 1])]

        select, writes = Signal(range(per_word)), Signal()
        m.d.sync += select.eq(place)
        if config.bfp16:
            wide, wide_word = Signal(), Signal()
            m.d.sync += [wide_word.eq(self.read.wide), wide.eq(wide_word)]
        m.d.comb += writes.eq(Cat(self.write.lanes, self.write.parts).any())
        for lane in range(lanes):
            own = lane % piece
            enable = Signal(per_word, name=f"enable{lane}")
            element_at = self._bank(m, lane, enable, Cat(word, slot), place ^ own)
            whole = Cat(self._whole(place, piece, own) for place in range(per_word))
            single = Cat(self.write.positions[place ^ own] for place in range(per_word))
            with m.If(writes):  # says nothing new, but spares a simulator the masks of idle cycles
                m.d.comb += enable.eq(
                    Mux(self.write.lanes[lane], whole, 0)
                    | Mux(self.write.parts[lane // piece], single, 0)
                )
            element = Signal(bits, name=f"element{lane}", reset_less=True)
            m.d.sync += element.eq(element_at(select ^ own))
            m.d.comb += self.read.elements[lane].eq(element)
            if config.bfp16:
                low = Signal(bits, name=f"low{lane}", reset_less=True)
                other = select ^ (own ^ per_word // 2)
                m.d.sync += low.eq(element_at(other))
                with m.If(~wide):
                    m.d.sync += low.eq(0)
                m.d.comb += self.read.low[lane].eq(low)

        if config.has_exponents:
            self._exponents(m, address, slot, serial)
        return m

    def _bank(self, m, lane, enable, word, place):
        """A lane's bank; returns the element at a position of the word, a cycle later.

        The positions that are asked for lie at `place`, modulo half a word.
        """
        config = self._config
        bits, per_word = 8 * config.element_bytes, config.elements_per_beat
        write_word = Cat(self.write.word, self.fill_slot)
        halves = per_word // 2 if config.bfp16 else per_word  # in which one position is asked for
        if self._primitives == "xilinx7" and bits == 8 and halves % PART == 0:
            m.submodules[f"bank{lane}"] = bank = NarrowBank(words=self._words, size=per_word)
            m.d.comb += [
                bank.write_word.eq(write_word),
                bank.write_data.eq(self.write.data),
                bank.write_enable.eq(enable),
                bank.word.eq(word),
                bank.place.eq(place),
            ]
            return lambda position: bank.parts.as_value().word_select(position // PART, bits)
        bank = memory.Memory(
            shape=data.ArrayLayout(bits, per_word), depth=self._words, init=[],
            attrs=_ATTRIBUTES,
        )
        m.submodules[f"bank{lane}"] = bank
        write, read = bank.write_port(granularity=1), bank.read_port()
        m.d.comb += [
            write.addr.eq(write_word),
            write.data.as_value().eq(self.write.data),
            write.en.eq(enable),
            read.addr.eq(word),
        ]
        return lambda position: read.data.as_value().word_select(position, bits)

    def _whole(self, place, piece, own):
        """Whether a word to one lane writes this position."""
        enable = self.write.groups[place // piece]
        if self._config.bfp16:
            enable &= self.write.halves[((place ^ own) % piece) // (piece // 2)]
        return enable

    def _exponents(self, m, address, slot, serial):
        lanes = self._config.lanes
        m.submodules.exponents = store = memory.Memory(
            shape=data.ArrayLayout(8, lanes), depth=2 * self.elements // lanes, init=[],
            attrs=_ATTRIBUTES,
        )
        write, read = store.write_port(granularity=1), store.read_port()
        lane, each = Signal(range(lanes)), Signal()
        m.d.comb += [
            write.addr.eq(Cat(self.write.exponent_word, self.fill_slot)),
            write.en.eq(self.write.exponent_lanes),
            read.addr.eq(Cat(address[exact_log2(lanes):], slot)),
        ]
        m.d.comb += [write.data[number].eq(self.write.exponent) for number in range(lanes)]
        m.d.sync += [lane.eq(address), each.eq(serial)]
        shared = read.data.as_value().word_select(lane, 8)
        exponents = Signal(data.ArrayLayout(8, lanes), reset_less=True)
        for number in range(lanes):
            m.d.sync += exponents[number].eq(shared)
            with m.If(each):
                m.d.sync += exponents[number].eq(read.data[number])
        m.d.comb += self.read.exponents.eq(exponents)
