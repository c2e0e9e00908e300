"""Which accumulators a drain command reads, and when."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .commands import DRAIN

__all__ = ["DrainWalk"]


class DrainWalk(wiring.Component):
    """Walk a drain command's accumulators, one group of `drain_lanes` rows a cycle.

    Channel c of the command is row c % rows of m-tile c // rows. A vector is `lanes` channels, its
    groups follow each other; then come positions, images, blocks. One more command waits while one
    is walked, and follows without a gap unless it has to acquire a bank (3 cycles).

    Latency and cost: the address leaves one cycle after `step`; about 160 LUT.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    start : In(1)
        Take `command`; only while `room` is 1.
    command : In(DRAIN.struct)
    room : Out(1)
    want : Out(1)
        A group is wanted.
    first, last : Out(1)
        It is the first (last) one of its vector.
    relu, mask, raw, low : Out(1)
        The command's flags.
    step : In(1)
        Read it; only while `want` is 1.
    bank, position, group : Out
        The read port of the accumulators, registered.
    full : In(1)
        The bank that the drain's pointer refers to holds sums.
    release : Out(1)
        Give that bank back: a pulse, one cycle after its last address.
    busy : Out(1)
        A command is walked or waits, or a release is under way.
    """

    def __init__(self, config):
        self._config = config
        self._groups = config.rows // config.drain_lanes
        super().__init__(
            {
                "start": In(1),
                "command": In(DRAIN.struct),
                "room": Out(1),
                "want": Out(1),
                "first": Out(1),
                "last": Out(1),
                "relu": Out(1),
                "mask": Out(1),
                "raw": Out(1),
                "low": Out(1),
                "step": In(1),
                "bank": Out(1),
                "position": Out(range(config.accumulator_depth)),
                "group": Out(max(1, (self._groups - 1).bit_length())),
                "full": In(1),
                "release": Out(1),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, step = self._config, self.step
        bits = len(self.position)

        def register(width, name):
            return Signal(width, name=name, reset_less=True)

        # the present command and the one that waits
        c, waiting = Signal(DRAIN.struct, reset_less=True), Signal(DRAIN.struct, reset_less=True)
        active, has_waiting = Signal(), Signal()
        finish, load = Signal(), Signal()
        m.d.comb += [
            self.room.eq(~has_waiting),
            load.eq(has_waiting & (~active | finish)),
            self.relu.eq(c.relu),
            self.mask.eq(c.mask),
            self.raw.eq(c.raw),
            self.low.eq(c.low),
        ]
        with m.If(load):
            m.d.sync += [has_waiting.eq(0), c.eq(waiting)]
        with m.If(self.start):
            m.d.sync += [has_waiting.eq(1), waiting.eq(self.command)]
        with m.If(load | finish):
            m.d.sync += active.eq(load)

        # position = place + offset; place: image and pixel, offset: m-tile
        place, image_place = register(bits, "place"), register(bits, "image_place")
        offset, block_offset = register(bits, "offset"), register(bits, "block_offset")
        group, block_group = (Signal.like(self.group, name=n) for n in ("row_group", "block_group"))
        part = Signal(range(max(2, config.lanes // config.drain_lanes)))
        pixels, images, blocks = (register(16, n) for n in ("pixels", "images", "blocks"))

        wrap = group == self._groups - 1
        next_group, next_offset = Signal.like(group), Signal.like(offset)
        next_image = Signal.like(place)
        last_pixel, last_image = pixels == 1, images == 1
        m.d.comb += [
            next_group.eq(Mux(wrap, 0, group + 1)),
            next_offset.eq(Mux(wrap, offset + c.accumulator_m_step, offset)),
            next_image.eq(image_place + c.accumulator_image_step),
            self.first.eq(part == 0),
            self.last.eq(part == config.lanes // config.drain_lanes - 1),
            finish.eq(step & self.last & last_pixel & last_image & (blocks == 1)),
        ]
        with m.If(step):
            m.d.sync += [part.eq(part + 1), group.eq(next_group), offset.eq(next_offset)]
            with m.If(self.last):
                m.d.sync += [
                    part.eq(0),
                    group.eq(block_group),
                    offset.eq(block_offset),
                    place.eq(place + 1),
                    pixels.eq(pixels - 1),
                ]
                with m.If(last_pixel):
                    m.d.sync += [
                        pixels.eq(c.run),
                        place.eq(next_image),
                        image_place.eq(next_image),
                        images.eq(images - 1),
                    ]
                    with m.If(last_image):
                        m.d.sync += [
                            images.eq(c.images),
                            place.eq(c.accumulator_base),
                            image_place.eq(c.accumulator_base),
                            group.eq(next_group),
                            block_group.eq(next_group),
                            offset.eq(next_offset),
                            block_offset.eq(next_offset),
                            blocks.eq(blocks - 1),
                        ]
        with m.If(load):
            m.d.sync += [
                part.eq(0),
                group.eq(0),
                block_group.eq(0),
                offset.eq(0),
                block_offset.eq(0),
                place.eq(waiting.accumulator_base),
                image_place.eq(waiting.accumulator_base),
                pixels.eq(waiting.run),
                images.eq(waiting.images),
                blocks.eq(waiting.blocks),
            ]

        # banks; `full` answers a release two cycles after it was decided
        bank, granted, pause = Signal(), Signal(), Signal()
        given, settling = Signal(), Signal()
        m.d.comb += [self.want.eq(active & granted & ~pause), self.release.eq(settling)]
        m.d.comb += self.busy.eq(active | has_waiting | given | settling)
        m.d.sync += [given.eq(finish & c.release), settling.eq(given)]
        with m.If(given):
            m.d.sync += bank.eq(~bank)
        with m.If(load):
            m.d.sync += granted.eq(~waiting.acquire)
        with m.Elif(self.full & ~given & ~settling):
            m.d.sync += granted.eq(1)

        # pace: a group, then 2^pace - 1 cycles without one
        pauses = Signal((1 << len(c.pace)) - 1, reset_less=True)
        with m.If(step):
            m.d.sync += [pauses.eq((1 << c.pace) - 1), pause.eq(c.pace != 0)]
        with m.Elif(pause):
            m.d.sync += [pauses.eq(pauses - 1), pause.eq(pauses != 1)]

        # address
        m.d.sync += [self.bank.eq(bank ^ given), self.position.eq(place + offset)]
        m.d.sync += self.group.eq(group)
        return m
