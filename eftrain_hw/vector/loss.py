"""Softmax cross-entropy and its gradient."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from .commands import LOSS
from .loss_datapath import LossDatapath
from .loss_load import LossLoad
from .loss_program import ONE, PROGRAM
from .loss_walk import GROUP, LossWalk
from .ports import (
    DividePort,
    EncodePort,
    MacPort,
    ReadPort,
    ResultPort,
    RunPort,
    bytes_of_lines,
    item_run,
    offer,
    read_item_bytes,
    write_item_bytes,
)

__all__ = ["Loss"]

# a pass later than the sums: the last of them is on its way for as long as the first
_DIVIDE_AT = 1 + next(k for k, step in enumerate(PROGRAM) if step.kind == "images")


class Loss(wiring.Component):
    """Losses, the batch's loss and the gradient of the logits.

    Images are handled in groups of as many as fit into `loss_words` (at most 64): their logits are
    loaded and their maxima found on the way; the passes of `loss_program` follow, one element a
    cycle through the vector unit's two multiply-add pipelines; the last one feeds the encoder. The
    compiler sees to it that classes <= loss_words. With `low` (`config.bfp16`) the gradient's low
    digits are stored.

    Latency and cost: a group of n images and c classes takes about
    10 n c + 13 max(n, 31) + 31 n + 2 n blocks lanes cycles: 5.8k for 32 images of 10 classes
    (lanes = 16), and c max(n, 31) more with label smoothing; 4 memories of `loss_words` words.
    Golden: `eftrain_hw.golden.cross_entropy`.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    command : In(stream of LOSS.struct)
    inverse_images : In(32), valid_images : In(16)
        Stable while busy.
    label_target, other_target : In(32)
        Targets of an image's own class and of the others, raw binary32, likewise; with label
        smoothing s over C classes 1 - s + s / C and s / C.
    read0, read1 : Out(ReadPort)
        Logits, labels.
    write0 : Out(RunPort), result0 : Out(ResultPort)
        Losses of the images, then the batch's.
    element_run, exponent_run : Out(stream of item_run)
        Where writers 2 and 3 put what leaves the encoder.
    divide : Out(DividePort)
    mac0, mac1 : Out(MacPort)
    encode : Out(EncodePort)
    busy : Out(1)
    """

    ENCODE_LATENCY = LossDatapath.RESULT
    """Cycles from `encode.reserve` to `encode.i_valid`."""

    def __init__(self, config):
        self._config = config
        super().__init__(
            {
                "command": In(stream.Signature(LOSS.struct)),
                "inverse_images": In(32),
                "valid_images": In(16),
                "label_target": In(32, init=ONE),
                "other_target": In(32),
                "read0": Out(ReadPort(config, (4,))),
                "read1": Out(ReadPort(config, (4,))),
                "write0": Out(RunPort(config)),
                "result0": Out(ResultPort()),
                "divide": Out(DividePort()),
                "element_run": Out(stream.Signature(item_run(config))),
                "exponent_run": Out(stream.Signature(item_run(config))),
                "mac0": Out(MacPort()),
                "mac1": Out(MacPort()),
                "encode": Out(EncodePort()),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        words = config.loss_words
        m.submodules.load = load = LossLoad(words=words)
        m.submodules.data = path = LossDatapath(words=words)
        m.submodules.walk = walk = LossWalk(words=words, latency=path.LATENCY)
        losses = self.result0

        c = Signal(LOSS.struct, reset_less=True)
        vectors = Signal(24)  # images * blocks
        capacity = Signal(range(GROUP + 1))  # images of a full group
        images = Signal(range(GROUP + 1))  # images of this group
        left, base = Signal(16), Signal(16)
        announce = Signal()
        # what counters are compared with; stable long before it matters, two items after `images`
        last_image = Signal(range(GROUP), reset_less=True)
        last_class, last_padded = Signal(16, reset_less=True), Signal(24, reset_less=True)
        m.d.sync += [
            last_image.eq(images - 1),
            last_class.eq(c.classes - 1),
            last_padded.eq((c.blocks << exact_log2(config.lanes)) - 1),
        ]
        announced = self._announce(m, c, announce, vectors)
        smoothing = Signal()
        m.d.sync += smoothing.eq(self.other_target != 0)

        with m.FSM(name="loss"):
            with m.State("WAIT"):
                m.d.comb += self.command.ready.eq(1)
                m.d.comb += self.busy.eq(self.command.valid)
                with m.If(self.command.valid):
                    m.d.sync += [
                        c.eq(self.command.payload),
                        left.eq(self.command.payload.images),
                        base.eq(0),
                        vectors.eq(0),
                        capacity.eq(0),
                    ]
                    m.next = "MULTIPLY"
            with m.State("MULTIPLY"):
                factor, addend, taken = Signal(16), Signal(24), Signal(5)
                m.d.sync += [taken.eq(taken + 1), factor.eq(factor >> 1), addend.eq(addend << 1)]
                with m.If(factor[0]):
                    m.d.sync += vectors.eq(vectors + addend)
                with m.If(taken == 0):
                    m.d.sync += [vectors.eq(0), factor.eq(c.blocks), addend.eq(c.images)]
                with m.If(taken == 17):
                    m.d.sync += taken.eq(0)
                    m.next = "FIT"
            with m.State("FIT"):
                used = Signal(range(words + 1))
                fits = Signal()
                m.d.comb += fits.eq((used + c.classes <= words) | (capacity == 0))
                m.d.sync += [used.eq(used + c.classes), capacity.eq(capacity + 1)]
                with m.If(~fits | (capacity == GROUP)):
                    m.d.sync += [used.eq(0), capacity.eq(capacity)]
                    m.next = "ANNOUNCE"
            with m.State("ANNOUNCE"):
                m.d.comb += [announce.eq(1), path.clear.eq(1)]
                m.next = "SIZE"
            with m.State("SIZE"):
                m.d.sync += images.eq(Mux(left < capacity, left, capacity))
                m.d.comb += load.start.eq(1)
                m.next = "LOAD"
            with m.State("LOAD"):
                with m.If(~load.busy):
                    m.d.comb += walk.start.eq(1)
                    m.d.sync += left.eq(left - images)
                    m.next = "COMPUTE"
            with m.State("COMPUTE"):
                with m.If(~walk.busy):
                    m.d.sync += base.eq(base + images)
                    m.next = "SIZE"
                    with m.If(left == 0):
                        m.d.comb += [walk.start.eq(1), walk.final.eq(1)]
                        m.next = "CLOSE"
            with m.State("CLOSE"):
                with m.If(~walk.busy & ~announced & losses.idle):
                    m.next = "WAIT"
        with m.If(~self.command.ready):
            m.d.comb += self.busy.eq(1)

        # load
        m.d.comb += [
            load.images.eq(images),
            load.classes.eq(c.classes),
        ]
        for unit in (load, walk):
            m.d.comb += [
                unit.last_image.eq(last_image),
                unit.last_class.eq(last_class),
                unit.last_padded.eq(last_padded),
            ]
        for port, items in ((self.read0.items, load.logits), (self.read1.items, load.labels)):
            m.d.comb += [
                items.valid.eq(port.valid),
                items.payload.eq(port.payload),
                port.ready.eq(items.ready),
            ]
        for name in ("load", "load_address", "load_value", "load_image", "load_maximum"):
            m.d.comb += getattr(path, name).eq(getattr(load, name))
        for name in ("load_label", "maximum", "label"):
            m.d.comb += getattr(path, name).eq(getattr(load, name))

        # compute
        gradient = walk.issue & (walk.step == _index("gradient"))
        loss = walk.issue & ((walk.step == _index("loss")) | (walk.step == _index("batch")))
        m.d.comb += [
            walk.images.eq(images),
            walk.classes.eq(c.classes),
            walk.hold_loss.eq(~losses.room),
            walk.hold_batch.eq(~losses.room),
            walk.hold_gradient.eq(~self.encode.room | path.dividing),
            path.last_image.eq(last_image),
            path.counts.eq(base + walk.image < self.valid_images),
            path.divide.eq(walk.issue & (walk.step == _DIVIDE_AT) & (walk.image == 0)),
            path.inverse_images.eq(self.inverse_images),
            path.label_target.eq(self.label_target),
            path.other_target.eq(self.other_target),
            walk.smoothing.eq(smoothing),
            self.encode.reserve.eq(gradient),
            self.encode.i_valid.eq(path.gradient_valid),
            self.encode.i.eq(path.result),
            self.encode.low.eq(c.low if config.bfp16 else 0),
            losses.reserve.eq(loss),
            losses.i_valid.eq(path.loss_valid),
            losses.i.eq(path.result),
        ]
        for name in ("issue", "step", "address", "image", "number", "first", "padding"):
            m.d.comb += getattr(path, name).eq(getattr(walk, name))
        for port, inner in ((self.mac0, path.mac0), (self.mac1, path.mac1)):
            m.d.comb += [port.a.eq(inner.a), port.b.eq(inner.b), port.c.eq(inner.c)]
            m.d.comb += inner.o.eq(port.o)
        m.d.comb += [
            self.divide.start.eq(path.divider.start),
            self.divide.a.eq(path.divider.a),
            self.divide.b.eq(path.divider.b),
            path.divider.busy.eq(self.divide.busy),
            path.divider.done.eq(self.divide.done),
            path.divider.o.eq(self.divide.o),
        ]
        return m

    def _announce(self, m, c, announce, vectors):
        """Offer the runs; returns whether some are left."""
        config = self._config
        lanes = exact_log2(config.lanes)
        reads, writes = read_item_bytes(config), write_item_bytes(config)
        batch = Signal()  # the second run of losses is left
        batch_now = batch & ~self.write0.run.valid
        m.d.sync += batch.eq(announce | (batch & ~batch_now))
        batch_line = c.losses + (c.images + 15 >> 4)
        for run, line, items, wide in (
            (self.read0.run, c.logits, vectors << lanes, reads[0][1] == 4),
            (self.read1.run, c.labels, c.images, reads[1][1] == 4),
            (
                self.element_run, c.gradient, vectors << lanes,
                writes[2][1] == config.element_bytes,
            ),
        ):
            offer(m, run, when=announce, address=bytes_of_lines(line), items=items, wide=wide)
        offer(
            m,
            self.exponent_run,
            when=announce & config.has_exponents & (~c.low if config.bfp16 else 1),
            address=bytes_of_lines(c.gradient_exponents),
            items=vectors,
            wide=1,
        )
        offer(
            m,
            self.write0.run,
            when=announce | batch_now,
            address=bytes_of_lines(Mux(batch, batch_line, c.losses)),
            items=Mux(batch, 1, c.images),
            wide=writes[0][1] == 4,
        )
        runs = (self.read0.run, self.read1.run, self.element_run, self.exponent_run)
        return batch | Cat(run.valid for run in (*runs, self.write0.run)).any()


def _index(destination):
    return next(k for k, step in enumerate(PROGRAM) if step.to == destination)
