"""The order in which windows are looked at."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

__all__ = ["PoolWalk"]


class PoolWalk(wiring.Component):
    """Walk the vectors of a window row: column of the result, beat, window row, window column.

    Latency and cost: a vector a cycle; about 150 LUT.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    start : In(1)
    width, out_width : In(16), kernel_height, kernel_width : In(8)
        Stable from `start` on.
    step : In(1)
        Go on.
    vector : Out
        Number of the vector within the window row.
    beat : Out
    first, last : Out(1)
        First, last vector of a window.
    band_last : Out(1)
        Last vector of the last window.
    position : Out(8)
        Row-major within the window.
    """

    def __init__(self, config):
        self._beats = config.beats_per_vector
        vectors = config.pool_words // 2 // self._beats
        super().__init__(
            {
                "start": In(1),
                "width": In(16),
                "out_width": In(16),
                "kernel_height": In(8),
                "kernel_width": In(8),
                "step": In(1),
                "vector": Out(exact_log2(vectors)),
                "beat": Out(range(max(2, self._beats))),
                "first": Out(1),
                "last": Out(1),
                "band_last": Out(1),
                "position": Out(8),
            }
        )

    def elaborate(self, platform):
        m = Module()
        row, window = Signal.like(self.vector), Signal.like(self.vector)
        rows, columns, windows = Signal(8), Signal(8), Signal(16)
        next_row, next_window = Signal.like(row), Signal.like(window)
        last_column, last_beat = columns == 1, self.beat == self._beats - 1
        m.d.comb += [
            next_row.eq(row + self.width),
            next_window.eq(Mux(last_beat, window + self.kernel_width, window)),
            self.last.eq(last_column & (rows == 1)),
            self.band_last.eq(self.last & last_beat & (windows == 1)),
        ]
        with m.If(self.step):
            m.d.sync += [
                self.first.eq(self.last),
                self.position.eq(self.position + 1),
                self.vector.eq(self.vector + 1),
                columns.eq(columns - 1),
            ]
            with m.If(last_column):
                m.d.sync += [
                    columns.eq(self.kernel_width),
                    rows.eq(rows - 1),
                    row.eq(next_row),
                    self.vector.eq(next_row),
                ]
            with m.If(self.last):
                m.d.sync += [
                    rows.eq(self.kernel_height),
                    self.position.eq(0),
                    self.beat.eq(Mux(last_beat, 0, self.beat + 1)),
                    windows.eq(windows - last_beat),
                ]
                for place in (self.vector, row, window):
                    m.d.sync += place.eq(next_window)
        with m.If(self.start | (self.step & self.band_last)):
            m.d.sync += [
                self.first.eq(1),
                self.position.eq(0),
                self.beat.eq(0),
                columns.eq(self.kernel_width),
                rows.eq(self.kernel_height),
                windows.eq(self.out_width),
            ]
            for place in (self.vector, row, window):
                m.d.sync += place.eq(0)
        return m
