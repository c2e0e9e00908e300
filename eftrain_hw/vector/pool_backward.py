"""Max pooling backward: gradients go where the largest elements stood."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from ..arith.pipeline import delay
from .commands import POOL_FORWARD
from .ports import pool_item_bytes

__all__ = ["PoolBackward"]


class PoolBackward(wiring.Component):
    """Walk the large map in its order; each pixel takes its window's gradient where the index says.

    A row of the pooled map is read `kernel_height` times from the buffer, each of its vectors
    `kernel_width` times in a row. Pixels outside every window are zero with exponent 0.

    Latency and cost: 2 cycles; a vector (or a beat of a longer one) a cycle; about 15 LUT an
    element of a beat and 200.
    Golden: `eftrain_hw.golden.maxpool_backward`.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    start : In(1), working : In(1)
    command : In(POOL_FORWARD.struct)
        Stable while working; POOL_BACKWARD has the same fields.
    address, word, indices_word, full, release
        The reading side of `PoolBuffer`.
    room : In(1), reserve : Out(1), reserve_exponent : Out(1)
        The queues of results.
    o_valid : Out(1), o_elements : Out
    o_exponent_valid : Out(1), o_exponent : Out(8)
    plane_done : Out(1)
        Pulse: the last vector of a plane has started.
    """

    def __init__(self, config):
        self._config = config
        beat = pool_item_bytes(config)
        half = exact_log2(config.pool_words) - 1
        self._count = beat // config.element_bytes
        word = data.StructLayout({"elements": 8 * beat, "exponent": 8 * config.has_exponents})
        super().__init__(
            {
                "start": In(1),
                "working": In(1),
                "command": In(POOL_FORWARD.struct),
                "address": Out(half),
                "word": In(word),
                "indices_word": In(8 * self._count),
                "full": In(1),
                "release": Out(1),
                "room": In(1),
                "reserve": Out(1),
                "reserve_exponent": Out(1),
                "o_valid": Out(1),
                "o_elements": Out(8 * beat),
                "o_exponent_valid": Out(1),
                "o_exponent": Out(8),
                "plane_done": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        c, beats = self.command, self._config.beats_per_vector
        has_exponents = self._config.has_exponents

        # walk: row, column, beat
        beat, address = Signal(range(max(2, beats))), Signal(len(self.address))
        row, column = Signal(8), Signal(8)  # within the window
        row_place = Signal(8)  # row * kernel_width
        rows, columns, out_rows, out_columns = (
            Signal(16, name=name) for name in ("rows", "columns", "out_rows", "out_columns")
        )
        step, in_rows = Signal(), out_rows != 0
        inside = in_rows & (out_columns != 0)
        last_beat, last_column = beat == beats - 1, columns == 1
        bottom = row == c.kernel_height - 1
        m.d.comb += [
            step.eq(self.working & self.room & (self.full | ~in_rows)),
            self.address.eq(Cat(beat[: exact_log2(beats)], address)),
            self.release.eq(step & last_beat & last_column & in_rows & bottom),
            self.plane_done.eq(step & last_beat & last_column & (rows == 1)),
            self.reserve.eq(step),
            self.reserve_exponent.eq(step & (beat == 0) & has_exponents),
        ]
        with m.If(step):
            m.d.sync += beat.eq(Mux(last_beat, 0, beat + 1))
        with m.If(step & last_beat):
            m.d.sync += columns.eq(columns - 1)
            with m.If(out_columns != 0):
                m.d.sync += column.eq(column + 1)
                with m.If(column == c.kernel_width - 1):
                    m.d.sync += [
                        column.eq(0),
                        address.eq(address + 1),
                        out_columns.eq(out_columns - 1),
                    ]
            with m.If(last_column):
                m.d.sync += [
                    columns.eq(c.width),
                    out_columns.eq(c.out_width),
                    column.eq(0),
                    address.eq(0),
                    rows.eq(rows - 1),
                ]
                with m.If(in_rows):
                    m.d.sync += [row.eq(row + 1), row_place.eq(row_place + c.kernel_width)]
                    with m.If(bottom):
                        m.d.sync += [row.eq(0), row_place.eq(0), out_rows.eq(out_rows - 1)]
        with m.If(self.start | self.plane_done):
            m.d.sync += [
                beat.eq(0),
                address.eq(0),
                row.eq(0),
                column.eq(0),
                row_place.eq(0),
                rows.eq(c.height),
                columns.eq(c.width),
                out_rows.eq(c.out_height),
                out_columns.eq(c.out_width),
            ]

        # choose
        read, read_first = Signal(), Signal()
        m.d.sync += [read.eq(step), read_first.eq(self.reserve_exponent)]
        known = delay(m, inside, 1, name="inside")
        position = delay(m, row_place + column, 1, name="position")
        m.d.sync += [self.o_valid.eq(read), self.o_exponent_valid.eq(read_first)]
        bits = 8 * self._config.element_bytes
        for k in range(self._count):
            hit = known & (self.indices_word.word_select(k, 8) == position)
            element = self.word.elements.word_select(k, bits)
            m.d.sync += self.o_elements.word_select(k, bits).eq(Mux(hit, element, 0))
        if has_exponents:
            m.d.sync += self.o_exponent.eq(Mux(known, self.word.exponent, 0))
        return m
