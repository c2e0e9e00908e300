"""The order in which the loss unit's passes visit images and classes."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .loss_program import PROGRAM, SMOOTHING_PASS, final_pass, store_pass
from .rom import rom

__all__ = ["GROUP", "LossWalk"]

GROUP = 64
"""Most images of a group."""


class LossWalk(wiring.Component):
    """Issue one operation a cycle, pass after pass.

    A pass begins when the first result of the one before can be read: as both go the same way, each
    operation then finds its operands. `rows` wait likewise for the class before, `chain` for every
    result, and what follows a pass with `drain` for its last result.

    Latency and cost: an operation a cycle, but a pass (a class in `rows`) takes at least `latency`
    cycles; about 150 LUT.

    Parameters
    ----------
    words : int
        Words of the scratch memory.
    latency : int
        Cycles from an operation to its result's being readable.

    Members
    -------
    start : In(1)
        Go through the passes of a group, or with `final` through the last pass of a batch.
    final : In(1)
    smoothing : In(1)
        The pass for label smoothing is one of them.
    images : In, classes : In(16)
        Images of the group, classes.
    last_image : In, last_class : In(16), last_padded : In(24)
        One less than those, and than the classes with those that fill up the block.
    hold_loss, hold_batch, hold_gradient : In(1)
        Results of these destinations can't be taken now.
    issue : Out(1)
    step : Out
        Index into the program.
    address : Out
        Of the element (or the image) in the scratch memory.
    image : Out
    number : Out(24)
        The class.
    first : Out(1), padding : Out(1)
        Class 0; a class that only fills up the block.
    busy : Out(1)
    """

    def __init__(self, *, words, latency):
        self._latency = latency
        super().__init__(
            {
                "start": In(1),
                "final": In(1),
                "smoothing": In(1),
                "images": In(range(GROUP + 1)),
                "classes": In(16),
                "last_image": In(range(GROUP)),
                "last_class": In(16),
                "last_padded": In(24),
                "hold_loss": In(1),
                "hold_batch": In(1),
                "hold_gradient": In(1),
                "issue": Out(1),
                "step": Out(range(len(PROGRAM))),
                "address": Out(range(words)),
                "image": Out(range(GROUP)),
                "number": Out(24),
                "first": Out(1),
                "padding": Out(1),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()

        change = Signal()  # to the next pass
        following = Signal.like(self.step)  # step + 1

        def flag(name, test):
            """What is known of the pass, in a register."""
            values = [bool(test(step)) for step in PROGRAM]
            value = Signal(name=name)
            with m.If(change):
                m.d.sync += value.eq(rom(m, f"following_{name}", following, values))
            with m.If(self.start):
                m.d.sync += value.eq(Mux(self.final, values[final_pass()], values[0]))
            return value

        store = flag("store", lambda step: step.kind == "store")
        rows = flag("rows", lambda step: step.kind == "rows")
        chain = flag("chain", lambda step: step.kind == "chain")
        single = flag("single", lambda step: step.kind == "single")
        short = flag("short", lambda step: step.kind in ("images", "chain", "single"))
        drain = flag("drain", lambda step: step.drain)
        ends = flag("ends", lambda step: step in (PROGRAM[store_pass()], PROGRAM[final_pass()]))
        hold = 0
        for name in ("loss", "batch", "gradient"):
            destined = flag(f"to_{name}", lambda step, name=name: step.to == name)
            hold |= destined & getattr(self, f"hold_{name}")

        # results of the operations before
        fresh = Signal()  # first operation of a pass
        age, rested = Signal(range(self._latency + 1)), Signal(init=1)
        boundary = fresh | chain | (rows & (self.image == 0))
        m.d.comb += self.issue.eq(self.busy & ~hold & (~boundary | rested))
        with m.If(self.issue & (boundary | drain)):
            m.d.sync += [age.eq(2), rested.eq(0)]
        with m.Elif(~rested):
            m.d.sync += [age.eq(age + 1), rested.eq(age == self._latency)]

        # walk
        last_image = (self.image == self.last_image) | single
        last_class = short | Mux(
            store, self.number == self.last_padded, self.number[:16] == self.last_class
        )
        m.d.comb += change.eq(self.issue & last_image & last_class)
        m.d.comb += [
            self.first.eq(self.number == 0),
            self.padding.eq(self.number >= self.classes),
        ]
        next_image = Signal.like(self.image)
        m.d.comb += next_image.eq(self.image + 1)
        with m.If(self.issue):
            m.d.sync += fresh.eq(0)
            with m.If(store):
                m.d.sync += [
                    self.number.eq(self.number + 1),
                    self.address.eq(self.address + self.images),
                ]
                with m.If(last_class):
                    m.d.sync += [
                        self.number.eq(0),
                        self.image.eq(next_image),
                        self.address.eq(next_image),
                    ]
            with m.Else():
                m.d.sync += [self.image.eq(next_image), self.address.eq(self.address + 1)]
                with m.If(last_image):
                    m.d.sync += [self.image.eq(0), self.number.eq(self.number + 1)]
            with m.If(change):
                m.d.sync += [self.step.eq(following), following.eq(following + 1), fresh.eq(1)]
                m.d.sync += [self.address.eq(0), self.image.eq(0), self.number.eq(0)]
                with m.If(ends):
                    m.d.sync += self.busy.eq(0)
        with m.If(self.start):
            m.d.sync += [
                self.busy.eq(1),
                fresh.eq(1),
                self.step.eq(Mux(self.final, final_pass(), 0)),
                following.eq(Mux(self.smoothing, SMOOTHING_PASS, SMOOTHING_PASS + 1)),
                self.address.eq(0),
                self.image.eq(0),
                self.number.eq(0),
            ]
        return m
