"""Logits on their way into the loss unit's scratch memory."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..arith import flush, greater
from ..arith.pipeline import delay
from .loss_walk import GROUP

__all__ = ["LossLoad"]


class LossLoad(wiring.Component):
    """Take a group's logits, image by image, and find each image's largest one.

    The logit of class k of image n goes to word k * images + n; classes that only fill up the block
    are dropped. The maximum is a running one: a logit replaces it if it is greater.

    Latency and cost: a logit a cycle; stored one cycle after it was taken; about 230 LUT.

    Parameters
    ----------
    words : int
        Words of the scratch memory.

    Members
    -------
    start : In(1)
    images, last_image : In, classes : In(16), last_class : In(16), last_padded : In(24)
        As in `LossWalk`; stable while busy.
    logits : In(stream of 32 bits), labels : In(stream of 32 bits)
        A label an image, taken with its first logit.
    busy : Out(1)
    load, load_address, load_value, load_image, load_maximum, load_label, maximum, label : Out
        See `LossDatapath`.
    """

    def __init__(self, *, words):
        super().__init__(
            {
                "start": In(1),
                "images": In(range(GROUP + 1)),
                "classes": In(16),
                "last_image": In(range(GROUP)),
                "last_class": In(16),
                "last_padded": In(24),
                "logits": In(stream.Signature(32)),
                "labels": In(stream.Signature(32)),
                "busy": Out(1),
                "load": Out(1),
                "load_address": Out(range(words)),
                "load_value": Out(32),
                "load_image": Out(range(GROUP)),
                "load_maximum": Out(1),
                "load_label": Out(1),
                "maximum": Out(32),
                "label": Out(16),
            }
        )

    def elaborate(self, platform):
        m = Module()
        taking = Signal()
        image, next_image = Signal(range(GROUP)), Signal(range(GROUP))
        number, address = Signal(24), Signal.like(self.load_address)
        first, last = Signal(init=1), number == self.last_padded
        step = Signal()
        m.d.comb += [
            step.eq(taking & self.logits.valid & (self.labels.valid | ~first)),
            self.logits.ready.eq(step),
            self.labels.ready.eq(step & first),
            next_image.eq(image + 1),
        ]
        with m.If(step):
            m.d.sync += [number.eq(number + 1), address.eq(address + self.images), first.eq(last)]
            with m.If(last):
                m.d.sync += [number.eq(0), image.eq(next_image), address.eq(next_image)]
                with m.If(image == self.last_image):
                    m.d.sync += taking.eq(0)
        with m.If(self.start):
            m.d.sync += [taking.eq(1), number.eq(0), image.eq(0), address.eq(0), first.eq(1)]

        # a cycle later: store, compare
        late_first = delay(m, first, 1, name="first")
        late_end = delay(m, number == self.last_class, 1, name="end")
        moved, running = Signal(), Signal(32, reset_less=True)
        m.d.sync += [
            moved.eq(step),
            self.load.eq(step & (number < self.classes)),
            self.load_address.eq(address),
            self.load_value.eq(flush(self.logits.payload)),
            self.load_image.eq(image),
            self.label.eq(self.labels.payload),
        ]
        replace = late_first | greater(self.load_value, running)
        m.d.comb += [
            self.busy.eq(taking | moved),
            self.maximum.eq(Mux(replace, self.load_value, running)),
            self.load_maximum.eq(self.load & late_end),
            self.load_label.eq(self.load & late_first),
        ]
        with m.If(self.load):
            m.d.sync += running.eq(self.maximum)
        return m
