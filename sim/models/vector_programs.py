"""Random valid vector programs: every field of every instruction in every combination it allows."""

from math import inf

from eftrain_hw.vector import program_format as layout
from eftrain_hw.vector.assembler import (
    INVERSE_IMAGES,
    LEARNING_RATE,
    MOMENTUM,
    POSITION,
    T0,
    A,
    B,
    Bounds,
    C,
    Extent,
    Instruction,
    R,
    Scalar,
    VectorProgram,
    Walk,
)

__all__ = ["random_program"]

_PORTS = {"a0": 0, "b1": 0, "b0": 1, "c0": 2, "c1": 2}
_STREAMS = {"a": A, "b": B, "c": C}


class _Generator:
    def __init__(self, rng, config):
        self.rng, self.config = rng, config
        self.outer = {}

    def pick(self, *values):
        return values[int(self.rng.integers(len(values)))]

    def chance(self, p):
        return bool(self.rng.random() < p)

    def whole(self, low, high):
        return int(self.rng.integers(low, high + 1))

    def extent(self):
        counts = tuple(self.pick(1, 1, 2, 3) for _ in range(3)) + (self.pick(1, 2, 3, 5, 37),)
        while counts[0] * counts[1] * counts[2] * counts[3] > 80:
            counts = tuple(max(1, n // 2) for n in counts)
        n3, n2, n1, n0 = counts
        dense = (n2 * n1 * n0, n1 * n0, n0, 1)
        bounds = None
        if self.chance(0.3):
            bounds = Bounds(
                Walk(self.whole(-2, 1), (self.pick(1, 2), 0, 1, 0)), self.whole(1, 4),
                Walk(self.whole(-2, 1), (0, self.pick(1, 2), 0, 1)), self.whole(1, 4),
            )  # fmt: skip
        walks = {name: Walk(steps=dense) for name in layout.INDICES[:6]}
        if self.chance(0.5):
            for name in "abc":
                walks[name] = Walk(200, tuple(self.whole(-2, 3) for _ in range(4)))
            walks["e"] = Walk(3, tuple(2 * step for step in dense))
        if self.chance(0.5):  # for results that leave at the end
            for name in ("e", "w0", "w1"):
                walks[name] = Walk(1, (n2 * n1, n1, 1, 0))
        position = Walk(self.whole(0, 255), (0, 0, self.whole(0, 3), self.pick(0, 1)))
        return Extent(counts, images=self.chance(0.3), bounds=bounds, position=position, **walks)

    def operand(self, name, ports, kinds):
        choices = ["constant", "constant", "scalar", "special", "r", "r"]
        choices += [s for s in "abc" if s in layout.OPERANDS[name] and s in kinds] * 2
        if name == "c0":
            choices.append("position")
        if name in ("b1", "c1"):
            choices += ["t0"]
        kind = self.pick(*choices)
        if kind == "constant":
            return self.pick(0.0, 1.0, -0.0, 0.5, -3.25, 1.7e-3, 2.0)
        if kind == "scalar":
            return Scalar(self.whole(0, 15))
        if kind == "special":
            return self.pick(INVERSE_IMAGES, LEARNING_RATE, MOMENTUM)
        if kind == "r":
            port = _PORTS[name]
            return ports.setdefault(port, R(self.whole(0, 7), scalar=self.chance(0.2)))
        return {"position": POSITION, "t0": T0, **_STREAMS}[kind]

    def instruction(self, number, extents, kinds):
        operations = layout.OPERATIONS[:6] * 3 + layout.OPERATIONS[6:]
        extent = self.whole(0, len(extents) - 1)
        vectors, n0 = extents[extent].vectors, extents[extent].counts[3]
        operation = self.pick(*operations)
        if operation in ("divide", "root", "random") and vectors > 12:
            operation = "mac"
        ports = {}
        operands = {name: self.operand(name, ports, kinds) for name in _PORTS}
        if operation == "random":
            operands["a0"] = self.pick(0.0, 1.0, Scalar(3))
        accumulate = self.pick("no", "no", "sum", "maximum")
        across = accumulate != "no" and vectors <= 12 and self.chance(0.25)
        reduce = self.pick(*layout.REDUCE[: 3 if number == 0 or accumulate == "no" else 4])
        emit = self.pick("every", "last")
        to = []
        for name in ("e", "w0", "w1"):
            if name != "e" and name not in kinds:
                continue
            step = getattr(extents[extent], name).steps[3]
            if (n0 == 1 or (step == 0) == (emit == "last")) and self.chance(0.6):
                to.append(name)
        if self.chance(0.5) or not to:
            to.append(R(self.whole(0, 7)))
        return Instruction(
            operation, **operands, negate_c0=self.chance(0.3), equal=self.chance(0.3),
            invert=self.chance(0.3), valid0=self.chance(0.3), accumulate=accumulate, reduce=reduce,
            across=across, a1=self.pick("t0", "t0", "a0", "b0", "c0"),
            negate_c1=self.chance(0.3), post=self.pick(*layout.POSTS), valid1=self.chance(0.3),
            to=tuple(to), emit=emit, pad=self.pick(0.0, -inf), extent=extent,
        )  # fmt: skip

    def program(self):
        kinds = {
            "a": self.pick("elements", "raw"), "b": self.pick("elements", "raw", "bytes"),
            "c": "raw", "w0": "raw", "w1": self.pick("raw", "bytes"),
        }  # fmt: skip
        for name in list(kinds):
            if self.chance(0.2):
                del kinds[name]
        extents = tuple(self.extent() for _ in range(self.whole(1, 4)))
        instructions = []
        while not instructions or (self.chance(0.75) and len(instructions) < 8):
            instructions.append(self.instruction(len(instructions), extents, kinds))
        steps = {name: 100 if name in ("e", "w0", "w1") else self.whole(0, 3)
                 for name in layout.INDICES[:6]}  # fmt: skip
        return VectorProgram(tuple(instructions), extents, kinds, steps)


def random_program(rng, config):
    """A VectorProgram that the assembler accepts.

    Instructions may write the same vectors of a stream one after the other; what memory holds then
    is what the last one wrote, as all of a stream's items go through one writer.
    """
    while True:
        program = _Generator(rng, config).program()
        try:
            program.words(config.lanes)
        except ValueError as error:
            # rules that span operands: too many constants, a register that is read when written
            assert "constants" in str(error) or "register" in str(error), error
        else:
            return program
