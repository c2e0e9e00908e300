"""Scratch memory, operands and results of the loss unit."""

from amaranth.hdl import C, Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..arith import greater
from ..arith.pipeline import delay
from .loss_program import ONE, PROGRAM, bits
from .loss_walk import GROUP
from .multiply_add import MultiplyAdd
from .ports import DividePort, MacPort
from .rom import rom

__all__ = ["LossDatapath"]

_MINUS_ZERO, _NAN = 1 << 31, 0x7FC00000
_KILLED = bits(-128.0)
_FRACTION_OF_SQRT_HALF = bits(0.707106781186547524) & 0x7FFFFF
_MAC = MultiplyAdd.LATENCY


class LossDatapath(wiring.Component):
    """Carry out what `LossWalk` issues, an operation a cycle::

        cycle   0         1           15         29        30
                address   a, b, c     mac1       post      store

    Sources and destinations of the program: A, K, R, Y hold a word an element (or an image); T, U,
    D a word an image: T the maximum and then the sum s, U the sum and then its reciprocal, D the
    label's d and then the loss. `fraction` and `power` are f (or 2 f) - to be reduced by 1 - and k
    of log(s), `total` the batch's loss, `target` the class's. D may be a sum of target * d instead.

    Latency and cost: a result is readable 31 cycles after its operation; 4 memories of `words`
    words, about 900 LUT with the divider.
    Golden: `eftrain_hw.golden.elementary`, `eftrain_hw.golden.cross_entropy`.

    Parameters
    ----------
    words : int

    Members
    -------
    issue, step, address, image, number, first, padding : In
        From `LossWalk`.
    counts : In(1)
        The issued operation's image is a valid one.
    last_image : In
        Images of the group, less one.
    clear : In(1)
        A batch begins.
    load : In(1), load_address, load_value : In
        Put a logit into A.
    load_image : In, load_maximum : In(1), load_label : In(1), maximum : In(32), label : In(16)
        Put an image's largest logit into T, its label beside it.
    divide : In(1)
        Start the reciprocals of all sums of the group; `dividing : Out(1)` until they are there.
    inverse_images, label_target, other_target : In(32)
    divider : Out(DividePort)
    mac0, mac1 : Out(MacPort)
    loss_valid, gradient_valid : Out(1), result : Out(32)
    """

    LATENCY = 3 + 2 * _MAC
    """Cycles from an operation to its result's being readable."""

    RESULT = 2 + 2 * _MAC
    """Cycles from an operation to `result`."""

    def __init__(self, *, words):
        self._words = words
        super().__init__(
            {
                "issue": In(1),
                "step": In(range(len(PROGRAM))),
                "address": In(range(words)),
                "image": In(range(GROUP)),
                "number": In(24),
                "first": In(1),
                "padding": In(1),
                "counts": In(1),
                "last_image": In(range(GROUP)),
                "clear": In(1),
                "load": In(1),
                "load_address": In(range(words)),
                "load_value": In(32),
                "load_image": In(range(GROUP)),
                "load_maximum": In(1),
                "load_label": In(1),
                "maximum": In(32),
                "label": In(16),
                "divide": In(1),
                "dividing": Out(1),
                "inverse_images": In(32),
                "label_target": In(32),
                "other_target": In(32),
                "divider": Out(DividePort()),
                "mac0": Out(MacPort()),
                "mac1": Out(MacPort()),
                "loss_valid": Out(1),
                "gradient_valid": Out(1),
                "result": Out(32),
            }
        )

    def elaborate(self, platform):
        m = Module()

        # the operation, stage by stage
        step = [self.step]
        for stage in range(self.RESULT):
            step.append(delay(m, step[-1], 1, name=f"step_{stage}"))
        issued = self.issue
        for stage in range(self.RESULT):
            late = Signal(name=f"issued_{stage + 1}")
            m.d.sync += late.eq(issued)
            issued = late
        address = delay(m, self.address, self.RESULT, name="address")
        image = delay(m, self.image, self.RESULT, name="image")

        sources, writers = self._memories(m, address, image)
        a = self._operands(m, step[1], sources)

        # second half
        b1 = rom(m, "b1_kind", step[1 + _MAC], [_second(p.b1) for p in PROGRAM])
        m.d.comb += [
            self.mac1.a.eq(self.mac0.o),
            self.mac1.c.eq(rom(m, "c1", step[1 + _MAC], [bits(p.c1) for p in PROGRAM])),
        ]
        late_a = delay(m, a, _MAC, name="a")
        with m.Switch(b1):
            with m.Case(1):
                m.d.comb += self.mac1.b.eq(late_a)
            with m.Case(2):
                m.d.comb += self.mac1.b.eq(self.inverse_images)
            with m.Default():
                m.d.comb += self.mac1.b.eq(ONE)

        result, label = self._post(m, step, sources)
        m.d.comb += self.result.eq(result)

        # store
        total = sources["total"]
        to = {
            name: issued & rom(m, f"to_{name}", step[-1], [p.to == name for p in PROGRAM])
            for name in ("A", "K", "R", "Y", "T", "D", "loss", "total", "gradient", "batch")
        }
        for name in ("A", "K", "R", "Y", "T"):
            with m.If(to[name]):
                m.d.comb += [writers[name].en.eq(1), writers[name].data.eq(result)]
        with m.If(to["T"]):
            m.d.comb += [writers["U"].en.eq(1), writers["U"].data.eq(result)]
        with m.If(to["D"] | to["loss"] | (issued & label)):
            m.d.comb += [writers["D"].en.eq(1), writers["D"].data.eq(result)]
        with m.If(to["total"]):
            m.d.sync += total.eq(result)
        with m.If(self.clear):
            m.d.sync += total.eq(0)
        m.d.comb += [
            self.loss_valid.eq(to["loss"] | to["batch"]),
            self.gradient_valid.eq(to["gradient"]),
        ]
        return m

    def _memories(self, m, address, image):
        """Values that each source has in cycle 1, and the write ports by name."""
        sources, writers = {}, {}
        for name in ("A", "K", "R", "Y"):
            # what a pass reads was written before, or is not used
            m.submodules[name] = memory = Memory(
                shape=32, depth=self._words, init=[], attrs={"no_rw_check": 1}
            )
            read, writers[name] = memory.read_port(), memory.write_port()
            m.d.comb += [read.addr.eq(self.address), writers[name].addr.eq(address)]
            sources[name] = read.data
        reads = {}
        for name, width in (("T", 32), ("U", 32), ("D", 32), ("labels", 16)):
            m.submodules[name] = memory = Memory(shape=width, depth=GROUP, init=[])
            reads[name] = memory.read_port(domain="comb")
            writers[name] = memory.write_port()
            m.d.comb += [reads[name].addr.eq(self.image), writers[name].addr.eq(image)]
            if name != "labels":
                sources[name] = delay(m, reads[name].data, 1, name=f"{name}_data")
        # what decides between operands, compared a cycle before it does
        low = reads["T"].data[:23] < _FRACTION_OF_SQRT_HALF
        sources["low"] = delay(m, low, 1, name="low")
        hit = reads["labels"].data == self.number
        sources["hit"] = delay(m, hit, 1, name="hit")
        target = Mux(hit, self.label_target, self.other_target)
        sources["target"] = delay(m, target, 1, name="target")
        sources["total"] = Signal(32, name="total")

        with m.If(self.load):
            m.d.comb += [
                writers["A"].addr.eq(self.load_address),
                writers["A"].data.eq(self.load_value),
                writers["A"].en.eq(1),
            ]
        for name, enable, value in (
            ("T", self.load_maximum, self.maximum),
            ("labels", self.load_label, self.label),
        ):
            with m.If(enable):
                m.d.comb += [
                    writers[name].addr.eq(self.load_image),
                    writers[name].data.eq(value),
                    writers[name].en.eq(1),
                ]
        self._divide(m, reads["U"], writers["U"])
        return sources, writers

    def _divide(self, m, read, write):
        """Replace every sum of the group by its reciprocal."""
        divider = self.divider
        image = Signal(range(GROUP))
        m.d.comb += [
            divider.a.eq(ONE),
            divider.b.eq(read.data),
            divider.start.eq(self.dividing & ~divider.busy & ~divider.done),
        ]
        with m.If(self.dividing):
            m.d.comb += [read.addr.eq(image), write.addr.eq(image)]
            m.d.comb += [write.data.eq(divider.o), write.en.eq(divider.done)]
            with m.If(divider.done):
                m.d.sync += image.eq(image + 1)
                with m.If(image == self.last_image):
                    m.d.sync += self.dividing.eq(0)
        with m.If(self.divide):
            m.d.sync += [self.dividing.eq(1), image.eq(0)]

    def _operands(self, m, step, sources):
        """Drive the first half; returns its a."""
        # log(s): s = f * 2^k, or 2 f and k - 1 where f is below the square root of 1/2
        s = sources["T"]
        low = sources["low"]
        fraction = Cat(s[:23], Mux(low, C(127, 8), C(126, 8)), C(0, 1))
        power = Signal(5)
        m.d.comb += power.eq(s[23:28] - 126 - low)
        sources["power"] = rom(m, "power_value", power, [bits(k) for k in range(32)])
        sources["fraction"] = Mux(s[23:31].all(), _NAN, fraction)

        def choose(name, chosen):
            """Operand `name`: for each pass what `chosen(pass)` names."""
            value = Signal(32, name=name)
            names = sorted({c for p in PROGRAM if isinstance(c := chosen(p), str)})
            constants = [0 if isinstance(chosen(p), str) else bits(chosen(p)) for p in PROGRAM]
            kinds = [names.index(c) + 1 if isinstance(c := chosen(p), str) else 0 for p in PROGRAM]
            with m.Switch(rom(m, f"{name}_kind", step, kinds)):
                for index, source in enumerate(names, 1):
                    with m.Case(index):
                        m.d.comb += value.eq(sources[source])
                with m.Default():
                    if any(constants):
                        m.d.comb += value.eq(rom(m, f"{name}_constant", step, constants))
            return value

        a = choose("a", lambda p: p.a)
        b = choose("b", lambda p: p.b)
        c = choose("c", lambda p: p.c)
        negate = rom(m, "negate", step, [p.negate for p in PROGRAM])
        rows = rom(m, "rows", step, [p.kind == "rows" for p in PROGRAM])
        begin = rows & delay(m, self.first, 1, name="first")
        m.d.comb += [
            self.mac0.a.eq(a),
            self.mac0.b.eq(b),
            self.mac0.c.eq(Mux(begin, _MINUS_ZERO, c ^ Cat(C(0, 31), negate))),
        ]
        return a

    def _post(self, m, step, sources):
        """The registered result, and whether it is the label's d."""

        def is_post(name, at):
            return rom(m, f"post_{name}_{at}", step[at], [p.post == name for p in PROGRAM])

        wait = 2 * _MAC  # cycle 1 to the second half's result
        result = Signal(32, reset_less=True)
        value = self.mac1.o
        m.d.sync += result.eq(value)

        # a cycle later than it could be: what a block RAM reads comes late
        element = delay(m, sources["A"], 1, name="element")
        small = greater(C(bits(-87.0), 32), element) & is_post("kill", 2)
        with m.If(delay(m, small, wait - 1, name="small")):
            m.d.sync += result.eq(_KILLED)

        # k = -distance as an integer, from binary32
        k = sources["K"]
        distance = Cat(k[16:23], C(1, 1)) >> (6 - k[23:26])[:3]
        distance = distance[:8] & k[23:31].any().replicate(8)
        distance = delay(m, distance, wait, name="distance")
        field = Signal(9)
        m.d.comb += field.eq(value[23:31] - distance)
        scale = is_post("scale", 1 + wait)
        with m.If(scale & (distance[7] | (~value[23:31].all() & (field[8] | (field == 0))))):
            m.d.sync += result.eq(0)
        with m.Elif(scale & ~value[23:31].all()):
            m.d.sync += result[23:31].eq(field[:8])

        zero = is_post("valid", 0) & (~self.counts | self.padding)
        with m.If(delay(m, zero, wait + 1, name="zero")):
            m.d.sync += result.eq(0)
        return result, delay(m, sources["hit"] & is_post("label", 1), wait + 1, name="label_late")


def _second(b1):
    if b1 == 1.0:
        return 0
    return ("a", "inverse_images").index(b1) + 1
