"""From a load command to the channel blocks of its tile."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import AcceleratorConfig
from .commands import DESTINATIONS, LOAD, MODES
from .load_items import fill_item, run_item
from .map_clip import PLACE, MapClip

__all__ = ["TileWalker"]


class TileWalker(wiring.Component):
    """Walks the outer loops of load commands: lanes of the strip, images, channel blocks.

    Contract: for each block one item to the fill side, and one to the request side where any of it
    lies inside the map. A slot is acquired before the first item of a command goes out. A bias load
    reads nothing of its command but `base`, `vector`, `columns` and the flags. A command without
    any vector yields one empty item. Sums of rows, columns and steps beyond +-2^17 wrap.

    Latency and cost: about 11 cycles from a command to its first item, 8 from lane to lane, and a
    cycle more for each bit of the first row beyond the fourth, and of a strip's count of images;
    an item a cycle. About 800 LUTs, no DSP: products are added up bit by bit.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    command : In(stream(LOAD.struct))
    fill : Out(stream(fill_item))
    runs : Out(stream(run_item))
        A block's two items leave in the same cycle: each `valid` waits for the other's `ready`, so
        neither `ready` may wait for its `valid`.
    moving_free, stationary_free : In(1); moving_acquire, stationary_acquire : Out(1)
        See `SlotController`.
    waiting_moving, waiting_stationary : Out(1)
        A command waits for a free slot.
    """

    def __init__(self, *, config):
        if not isinstance(config, AcceleratorConfig):
            raise TypeError(f"TileWalker config must be an AcceleratorConfig, not {config!r}")
        self._config = config
        super().__init__(
            {
                "command": In(stream.Signature(LOAD.struct)),
                "fill": Out(stream.Signature(fill_item(config))),
                "runs": Out(stream.Signature(run_item())),
                "moving_free": In(1),
                "moving_acquire": Out(1),
                "stationary_free": In(1),
                "stationary_acquire": Out(1),
                "waiting_moving": Out(1),
                "waiting_stationary": Out(1),
            }
        )

    @property
    def config(self):
        return self._config

    def elaborate(self, platform):
        m = Module()
        # the command that is walked
        held = {
            name: Signal(field.shape, name=name, reset_less=True)
            for name, field in LOAD.fields.items()
        }
        bias = Signal(reset_less=True)
        nothing = Signal(reset_less=True)
        to_acquire = Signal(reset_less=True)

        # where the lane's tile starts
        lane_row, lane_column = Signal(PLACE, reset_less=True), Signal(PLACE, reset_less=True)
        lane_image, lane_vector = Signal(18, reset_less=True), Signal(32, reset_less=True)
        lane = Signal(self.fill.payload.lane.shape(), reset_less=True)
        a, b, c = (Signal(8, name=name, reset_less=True) for name in "abc")
        last_a, last_b, last_c = (Signal(name=f"last_{name}", reset_less=True) for name in "abc")

        # the part of it that lies in the map
        image_step = Signal(32, reset_less=True)
        vector, image_vector = Signal(32, reset_less=True), Signal(32, reset_less=True)
        top, bottom = Signal(16, reset_less=True), Signal(16, reset_less=True)
        left, right = Signal(16, reset_less=True), Signal(16, reset_less=True)
        rows_inside, columns_inside = Signal(16, reset_less=True), Signal(16, reset_less=True)
        first_row, first_column = Signal(reset_less=True), Signal(reset_less=True)

        multiplier, multiplicand = Signal(16, reset_less=True), Signal(32, reset_less=True)
        product = Signal(32, reset_less=True)
        with m.If(multiplier != 0):
            with m.If(multiplier[0]):
                m.d.sync += product.eq(product + multiplicand)
            m.d.sync += [multiplicand.eq(multiplicand << 1), multiplier.eq(multiplier >> 1)]

        m.submodules.clip = clip = MapClip()
        columns = Signal()  # clips columns, not rows
        m.d.comb += [
            clip.start.eq(Mux(columns, lane_column, lane_row)),
            clip.size.eq(Mux(columns, held["width"], held["height"])),
            clip.count.eq(Mux(columns, held["columns"], held["rows"])),
        ]

        # walk
        image, block = Signal(18, reset_less=True), Signal(16, reset_less=True)
        images_left = Signal(16, reset_less=True)
        restart, walking = Signal(reset_less=True), Signal()
        has_data, inside = Signal(), Signal(reset_less=True)
        last_block, last_lane, fire = Signal(), Signal(), Signal()
        fill, runs = self.fill.payload, self.runs.payload
        m.d.comb += [
            has_data.eq(inside & (image < held["image_limit"])),
            last_block.eq((block == held["blocks"]) | nothing),
            last_lane.eq(last_a & last_b & last_c),
            self.fill.valid.eq(walking & (self.runs.ready | ~has_data)),
            self.runs.valid.eq(walking & self.fill.ready & has_data),
            fire.eq(walking & self.fill.ready & (self.runs.ready | ~has_data)),
            fill.mode.eq(held["mode"]),
            fill.destination.eq(held["destination"]),
            fill.lane.eq(lane),
            fill.restart.eq(restart),
            fill.last.eq(last_block & ((images_left == 1) & last_lane | nothing)),
            fill.publish.eq(held["publish"]),
            fill.empty.eq(nothing),
            fill.zero.eq(~has_data),
            fill.first_row.eq(first_row),
            fill.first_column.eq(first_column),
            fill.rows.eq(held["rows"]),
            fill.top.eq(top),
            fill.bottom.eq(bottom),
            fill.columns.eq(held["columns"]),
            fill.left.eq(left),
            fill.right.eq(right),
            *(fill[name].eq(held[name]) for name in ("wide", "low") if self._config.bfp16),
            runs.base.eq(held["base"]),
            runs.exponent_base.eq(held["exponent_base"]),
            runs.vector.eq(vector),
            runs.rows.eq(rows_inside),
            runs.columns.eq(columns_inside),
            runs.stride.eq(held["width"]),
            runs.bias.eq(bias),
        ]

        destination = held["destination"]
        free = Signal()
        m.d.comb += free.eq(
            Mux(destination == DESTINATIONS["moving"], self.moving_free, self.stationary_free)
        )

        with m.FSM():
            with m.State("TAKE"):
                self._take(m, held, bias)
                m.d.sync += to_acquire.eq(self.command.payload.acquire)
                with m.If(self.command.valid):
                    m.next = "START"
            with m.State("START"):
                m.d.sync += [
                    nothing.eq(
                        (held["rows"] == 0) | (held["columns"] == 0)
                        | (held["images"] == 0) | (held["blocks"] == 0)
                        | (held["lane_images"] == 0) | (held["lane_rows"] == 0)
                        | (held["lane_columns"] == 0)
                    ),
                    a.eq(1), b.eq(1), c.eq(1), lane.eq(0),
                    lane_row.eq(held["row"]),
                    lane_column.eq(held["column"]),
                    lane_image.eq(held["image"]),
                    lane_vector.eq(held["vector"]),
                    product.eq(0),
                    multiplicand.eq(held["image_stride"]),
                    multiplier.eq(held["lane_images"]),
                ]
                m.next = "SCALE"
            with m.State("SCALE"):
                m.d.sync += image_step.eq(product)
                with m.If(multiplier == 0):
                    m.next = "ROWS"
            with m.State("ROWS"):
                m.d.sync += [
                    product.eq(0),
                    multiplicand.eq(held["width"]),
                    multiplier.eq(Mux(lane_row < 0, 0, lane_row)),
                    last_a.eq(a == held["lane_images"]),
                    last_b.eq(b == held["lane_rows"]),
                    last_c.eq(c == held["lane_columns"]),
                ]
                m.next = "CLIP_ROWS"
            with m.State("CLIP_ROWS"):
                m.d.sync += [top.eq(clip.low), bottom.eq(clip.high)]
                m.next = "COLUMNS"
            with m.State("COLUMNS"):
                m.d.comb += columns.eq(1)
                m.next = "CLIP_COLUMNS"
            with m.State("CLIP_COLUMNS"):
                m.d.comb += columns.eq(1)
                m.d.sync += [left.eq(clip.low), right.eq(clip.high)]
                m.next = "PLACE"
            with m.State("PLACE"):
                m.d.sync += [
                    rows_inside.eq(bottom - top),
                    columns_inside.eq(right - left),
                    first_row.eq((top == 0) & (bottom != 0)),
                    first_column.eq((left == 0) & (right != 0)),
                    inside.eq((top != bottom) & (left != right) & ~nothing),
                    image_vector.eq(lane_vector + product),
                ]
                with m.If(multiplier == 0):
                    m.next = "ACQUIRE"
            with m.State("ACQUIRE"):
                start = image_vector + Mux(lane_column < 0, 0, lane_column)
                m.d.sync += [
                    vector.eq(start),
                    image.eq(lane_image),
                    images_left.eq(Mux(nothing, 1, held["images"])),
                    block.eq(1),
                    restart.eq(1),
                ]
                with m.If(free | ~to_acquire):
                    m.d.sync += [to_acquire.eq(0), image_vector.eq(start)]
                    m.next = "WALK"
                moving = destination == DESTINATIONS["moving"]
                m.d.comb += [
                    self.moving_acquire.eq(free & to_acquire & moving),
                    self.stationary_acquire.eq(free & to_acquire & ~moving),
                    self.waiting_moving.eq(~free & to_acquire & moving),
                    self.waiting_stationary.eq(~free & to_acquire & ~moving),
                ]
            with m.State("WALK"):
                m.d.comb += walking.eq(1)
                following = image_vector + image_step
                with m.If(fire):
                    m.d.sync += [restart.eq(0), block.eq(block + 1)]
                    m.d.sync += vector.eq(vector + held["block_stride"])
                    with m.If(last_block):
                        m.d.sync += [
                            block.eq(1),
                            vector.eq(following),
                            image_vector.eq(following),
                            image.eq(image + held["lane_images"]),
                            images_left.eq(images_left - 1),
                        ]
                        with m.If(images_left == 1):
                            m.next = "ADVANCE"
            with m.State("ADVANCE"):
                m.d.sync += [lane.eq(lane + 1), c.eq(c + 1)]
                m.d.sync += lane_column.eq(lane_column + held["lane_column_step"])
                with m.If(last_c):
                    m.d.sync += [c.eq(1), lane_column.eq(held["column"])]
                    m.d.sync += [b.eq(b + 1), lane_row.eq(lane_row + held["lane_row_step"])]
                    with m.If(last_b):
                        m.d.sync += [
                            b.eq(1),
                            lane_row.eq(held["row"]),
                            a.eq(a + 1),
                            lane_image.eq(lane_image + 1),
                            lane_vector.eq(lane_vector + held["image_stride"]),
                        ]
                m.next = "ROWS"
                with m.If(last_lane | nothing):
                    m.next = "TAKE"
        return m

    def _take(self, m, held, bias):
        """Takes a command; of a bias load, one row of `columns` vectors is left."""
        given = self.command.payload
        m.d.comb += self.command.ready.eq(1)
        with m.If(self.command.valid):
            m.d.sync += [signal.eq(given[name]) for name, signal in held.items()]
            with m.If(given.mode != MODES["strip"]):
                m.d.sync += [
                    held[name].eq(1) for name in ("lane_images", "lane_rows", "lane_columns")
                ]
            m.d.sync += bias.eq(given.destination == DESTINATIONS["bias"])
            with m.If(given.destination == DESTINATIONS["bias"]):
                ones = ("images", "blocks", "rows", "height", "image_limit")
                ones += ("lane_images", "lane_rows", "lane_columns")
                m.d.sync += [held[name].eq(1) for name in ones]
                m.d.sync += [held[name].eq(0) for name in ("mode", "image", "row", "column")]
                m.d.sync += held["width"].eq(given.columns)
