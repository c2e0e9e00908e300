"""Writes a tile into the lane buffers, vector after vector."""

from amaranth.hdl import C, Cat, Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2, exact_log2

from ..config import AcceleratorConfig
from ..streams.ports import BiasWrite, LaneWrite
from .commands import DESTINATIONS, MODES
from .load_items import LoadSizes, fill_item, piece

__all__ = ["LaneFill"]


class LaneFill(wiring.Component):
    """Places the vectors of channel blocks in the lane buffers, zeros outside the map included.

    Contract: walks rows and columns of each item, takes a vector's pieces where it lies in the map,
    writes zeros (element and exponent) where not, to consecutive vector numbers, placed as
    docs/contract.md says. A piece or zero a cycle, from item to item without a gap. The publish
    pulse comes in the cycle of the last write.

        mode      a piece of vector q: elements                       exponent
        scatter   position q of each of its lanes                     byte q % lanes, word q / lanes
        strip     lane `lane`, from element q * lanes on              byte `lane`, word q
        rotate    lane q % lanes, from element q / lanes * lanes on   byte q % lanes, word q / lanes

    Since lane j keeps element a at position a ^ j of its word (`LaneWrite`), the beat is exchanged
    once, by q or by the lane's number, for all lanes alike, instead of choosing for each lane.

    A wide slot (`config.bfp16`) has half as many elements in a word: the position of a digit is the
    element's number in the word, plus half a word for a low one. A bus beat to one lane then takes
    two writes, one for each half of it, unless several vectors share a beat.

    Latency and cost: 1 cycle from a piece to its write. About 2 LUTs for each bit of a bus beat and
    470 besides.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    items : In(stream(fill_item))
    pieces : In(stream(piece))
    moving, stationary : Out(LaneWrite)
    bias : Out(BiasWrite)
    moving_publish, stationary_publish : Out(1)
    done : Out(1)
        A command's last write is made.
    starved : Out(1)
        Waits for data.
    """

    def __init__(self, *, config):
        if not isinstance(config, AcceleratorConfig):
            raise TypeError(f"LaneFill config must be an AcceleratorConfig, not {config!r}")
        self._config = config
        super().__init__(
            {
                "items": In(stream.Signature(fill_item(config))),
                "pieces": In(stream.Signature(piece(config))),
                "moving": Out(LaneWrite(config, config.moving_words)),
                "stationary": Out(LaneWrite(config, config.stationary_words)),
                "bias": Out(BiasWrite(config)),
                "moving_publish": Out(1),
                "stationary_publish": Out(1),
                "done": Out(1),
                "starved": Out(1),
            }
        )

    @property
    def config(self):
        return self._config

    def elaborate(self, platform):
        m = Module()
        config, sizes = self._config, LoadSizes(self._config)
        item, active = Signal(fill_item(config), reset_less=True), Signal()
        depth = max(config.moving_elements, config.stationary_elements)
        number = Signal(ceil_log2(depth), reset_less=True)  # of the vector in its lane's walk
        part = Signal(range(max(sizes.beats, sizes.bias_beats)))
        # counted from 1, so that they compare with counts
        row, column = Signal(16, reset_less=True), Signal(16, reset_less=True)
        row_inside, column_inside = Signal(reset_less=True), Signal(reset_less=True)

        is_bias = Signal()
        wanted, step = Signal(), Signal()
        ends_piece, second = C(1, 1), C(0, 1)
        ends_vector, ends_row, ends_item = Signal(), Signal(), Signal()
        if config.bfp16 and sizes.shared == 1:
            second = Signal(reset_less=True)  # half of a beat that goes to one lane
            ends_piece = second | ~item.wide | (item.mode == MODES["scatter"]) | item.empty
            with m.If(step):
                m.d.sync += second.eq(~ends_piece)
        m.d.comb += [
            is_bias.eq(item.destination == DESTINATIONS["bias"]),
            wanted.eq(row_inside & column_inside & ~item.zero),
            self.pieces.ready.eq(active & wanted & ends_piece),
            step.eq(active & (~wanted | self.pieces.valid)),
            ends_vector.eq(
                (part == Mux(is_bias, sizes.bias_beats - 1, sizes.beats - 1)) & ends_piece
                | item.empty
            ),
            ends_row.eq(ends_vector & ((column == item.columns) | item.empty)),
            ends_item.eq(ends_row & ((row == item.rows) | item.empty)),
            self.items.ready.eq(~active | (step & ends_item)),
        ]
        m.d.sync += self.starved.eq(active & wanted & ~self.pieces.valid)

        with m.If(step):
            m.d.sync += part.eq(Mux(ends_vector, 0, part + ends_piece))
            with m.If(ends_vector):
                m.d.sync += [number.eq(number + 1), column.eq(column + 1)]
                with m.If(column == item.right):
                    m.d.sync += column_inside.eq(0)
                with m.Elif(column == item.left):
                    m.d.sync += column_inside.eq(1)
            with m.If(ends_row):
                m.d.sync += [row.eq(row + 1), column.eq(1), column_inside.eq(item.first_column)]
                with m.If(row == item.bottom):
                    m.d.sync += row_inside.eq(0)
                with m.Elif(row == item.top):
                    m.d.sync += row_inside.eq(1)
        with m.If(self.items.ready):
            given = self.items.payload
            m.d.sync += [
                active.eq(self.items.valid),
                item.eq(given),
                row.eq(1),
                column.eq(1),
                row_inside.eq(given.first_row),
                column_inside.eq(given.first_column),
            ]
            if config.bfp16 and sizes.shared == 1:
                m.d.sync += second.eq(0)
            with m.If(given.restart):
                m.d.sync += number.eq(0)

        self._write(m, item, number, part, second, wanted, step & ~item.empty)
        ends = step & ends_item & item.last
        m.d.sync += [
            self.done.eq(ends),
            self.moving_publish.eq(
                ends & item.publish & (item.destination == DESTINATIONS["moving"])
            ),
            self.stationary_publish.eq(
                ends & item.publish & (item.destination != DESTINATIONS["moving"])
            ),
        ]
        return m

    def _write(self, m, item, number, part, second, wanted, step):
        """Registers of the write ports."""
        config, sizes = self._config, LoadSizes(self._config)
        lanes, per_word = config.lanes, config.elements_per_beat
        lane_bits = exact_log2(lanes)
        scatter, strip, bias = Signal(), Signal(), Signal()
        lane, serial = Signal(lane_bits), Signal.like(number)
        m.d.comb += [
            scatter.eq(item.mode == MODES["scatter"]),
            strip.eq(item.mode == MODES["strip"]),
            bias.eq(item.destination == DESTINATIONS["bias"]),
            lane.eq(Mux(strip, item.lane, number)),
            serial.eq(Mux(strip, number, number >> lane_bits)),
        ]
        # addresses
        part_bits, share_bits = exact_log2(sizes.beats), exact_log2(sizes.shared)
        word_bits = exact_log2(per_word)
        serial_word = Cat(part[:part_bits], serial)[share_bits:]
        word = Mux(scatter, number >> word_bits, serial_word)
        place, by_lane, group = number[:word_bits], lane, serial[:share_bits]
        if config.bfp16:
            serial_wide = Cat(second, part[:part_bits], serial)
            if sizes.shared > 1:
                serial_wide = serial[share_bits - 1 :]
                group = Mux(item.wide, Cat(serial[: share_bits - 1], item.low), group)
            else:
                top = 1 << exact_log2(min(lanes, per_word)) - 1
                by_lane = Mux(item.wide & (item.low ^ second), lane ^ top, lane)
            word = Mux(item.wide, Mux(scatter, number >> word_bits - 1, serial_wide), word)
            place = Mux(item.wide, Cat(number[: word_bits - 1], item.low), place)
        exponent_word = Mux(strip, number, number >> lane_bits)
        # data: exchanged for all lanes at once
        data = Signal(8 * config.bus_bytes, reset_less=True)
        m.d.sync += data.eq(self._exchange(bias, Mux(scatter, place, by_lane)))
        exponent = Signal(8, reset_less=True)
        m.d.sync += exponent.eq(self.pieces.payload.exponent)
        with m.If(~wanted):
            m.d.sync += [data.eq(0), exponent.eq(0)]

        for name in ("moving", "stationary"):
            port = getattr(self, name)
            write = Signal(name=f"write_{name}")
            m.d.comb += write.eq(step & (item.destination == DESTINATIONS[name]))
            m.d.comb += [port.data.eq(data), port.exponent.eq(exponent)]
            m.d.sync += [
                port.word.eq(word),
                port.lanes.eq(_one_hot(lane, lanes, write & ~scatter)),
                port.groups.eq(_one_hot(group, sizes.shared, 1)),
                port.parts.eq(_one_hot(part[:part_bits], sizes.beats, 1)),
                port.positions.eq(_one_hot(place, per_word, write & scatter)),
                port.exponent_word.eq(exponent_word),
                port.exponent_lanes.eq(_one_hot(lane, lanes, write)),
            ]
            if config.bfp16:
                narrow = ~item.wide if sizes.shared == 1 else 1
                m.d.sync += port.halves.eq(Cat(narrow | ~item.low, narrow | item.low))
        bias_bits = exact_log2(sizes.bias_beats)
        m.d.comb += self.bias.data.eq(data)
        m.d.sync += [
            self.bias.enable.eq(step & bias),
            self.bias.word.eq(Cat(part[:bias_bits], number)),
        ]

    def _exchange(self, bias, by):
        """The element of position p ^ by at position p, within what a vector takes of the word."""
        config, sizes = self._config, LoadSizes(self._config)
        bits = 8 * config.element_bytes
        size = min(config.lanes, config.elements_per_beat)
        elements = [self.pieces.payload.data.word_select(i, bits) for i in range(size)]
        for level in range(exact_log2(size)):
            swap = by[level] & ~bias
            elements = [
                Mux(swap, elements[i ^ 1 << level], elements[i]) for i in range(size)
            ]
        word = Cat(elements)
        if sizes.shared == 1:
            return word
        return Mux(bias, self.pieces.payload.data, word.replicate(sizes.shared))


def _one_hot(index, size, enable):
    """Bit `index` of `size` set where `enable`."""
    if size == 1:
        return Const(1, 1) & enable
    return Cat((index == number) & enable for number in range(size))
