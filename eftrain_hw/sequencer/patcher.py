"""Copies of template commands, changed by the loop indices."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from .loop_nest import COUNT_BITS
from .program_format import ADD, LAST, LOOPS, OR_FIRST

__all__ = ["Patcher"]


class Patcher(wiring.Component):
    """Holds two commands: one is copied and patched here while the other is sent.

    A word of the descriptor comes with one of three strobes: `store` writes a word of the template;
    `describe` takes the first word of a patch; `apply` takes its value and changes the word. Where
    an ADD needs more than one radix-4 digit of the index, `more` is 1 with `apply`, and the
    caller holds everything and gives `multiply` instead of `apply` until `more` is 0.

    ADD multiplies without a multiplier: index digits -1, 0, 1, 2, lowest first, one a cycle.

    Latency and cost: a patch takes 2 cycles and one more for each digit of the index after the
    first; no more than one digit for indices to 2, two to 10, three to 42. A LUT memory with two
    read ports (96 LUT) and about 250 LUT.

    Parameters
    ----------
    depth : int
        Words of the longest command.

    Members
    -------
    half : In(1)
        Which of the two commands is being patched.
    word : In(32)
    store, describe, apply, multiply : In(1)
    position : In(range(depth))
        Word that `store` writes.
    template : In(8)
        Words of the command, for the check of patches.
    index, first, last : In
        Of the loop nest, while `describe`.
    select : Out(range(LOOPS))
        Loop whose index `describe` needs, combinational from `word`.
    bad : Out(1)
        The patch that was described is malformed.
    more : Out(1)
    send_half, send_position : In
    send_word : Out(32)
        Combinational read of the other command.
    """

    def __init__(self, *, depth):
        if not isinstance(depth, int) or isinstance(depth, bool):
            raise TypeError(f"Patcher depth must be an int, not {depth!r}")
        if not 2 <= depth <= 128:
            raise ValueError(f"Patcher depth must be 2 to 128, not {depth!r}")
        self._depth = 1 << (depth - 1).bit_length()
        super().__init__(
            {
                "half": In(1),
                "word": In(32),
                "store": In(1),
                "describe": In(1),
                "apply": In(1),
                "multiply": In(1),
                "position": In(range(self._depth)),
                "template": In(8),
                "index": In(COUNT_BITS),
                "first": In(LOOPS),
                "last": In(LOOPS),
                "select": Out(range(LOOPS)),
                "bad": Out(1),
                "more": Out(1),
                "send_half": In(1),
                "send_position": In(range(self._depth)),
                "send_word": Out(32),
            }
        )

    @property
    def depth(self):
        """Words of one command, rounded up to a power of two."""
        return self._depth

    def elaborate(self, platform):
        m = Module()
        m.submodules.commands = commands = memory.Memory(
            shape=32, depth=2 * self._depth, init=[]
        )
        read = commands.read_port(domain="comb")
        send = commands.read_port(domain="comb")
        write = commands.write_port()

        kind = Signal(2, reset_less=True)
        target = Signal(range(self._depth), reset_less=True)
        taken = Signal(reset_less=True)
        index = Signal(COUNT_BITS, reset_less=True)
        value = Signal(32, reset_less=True)
        bad = Signal(reset_less=True)

        # first word of a patch
        loops = self.word[16:]
        of_nest = loops[:LOOPS]
        single = (of_nest != 0) & ((of_nest & (of_nest - 1))[:LOOPS] == 0)
        is_add = self.word[:8] == ADD
        for d in range(LOOPS):
            with m.If(of_nest[d]):
                m.d.comb += self.select.eq(d)
        with m.If(self.describe):
            m.d.sync += [
                kind.eq(self.word[:2]),
                target.eq(self.word[8:16]),
                taken.eq(
                    (of_nest & ~Mux(self.word[:2] == OR_FIRST, self.first, self.last)) == 0
                ),
                index.eq(Mux(is_add, self.index, 0)),
                bad.eq(
                    self.word[2:8].any()
                    | (self.word[8:16] >= self.template)
                    | loops[LOOPS:].any()
                    | (is_add & ~single)
                ),
            ]

        # its value
        operand = Mux(self.multiply, value, self.word)
        digit = index[:2]
        negative = digit == 3
        addend = Signal(32)
        with m.Switch(digit):
            with m.Case(1):
                m.d.comb += addend.eq(operand)
            with m.Case(2):
                m.d.comb += addend.eq(operand << 1)
            with m.Case(3):
                m.d.comb += addend.eq(~operand)
        total = (Cat(1, read.data) + Cat(negative, addend))[1:33]
        working = self.apply | self.multiply
        m.d.comb += [
            self.bad.eq(bad),
            self.more.eq((index[2:] != 0) | negative),
            read.addr.eq(Cat(target, self.half)),
            send.addr.eq(Cat(self.send_position, self.send_half)),
            self.send_word.eq(send.data),
            write.addr.eq(Cat(Mux(self.store, self.position, target), self.half)),
            write.en.eq(self.store | (working & ((kind == ADD) | taken))),
        ]
        with m.If(self.store):
            m.d.comb += write.data.eq(self.word)
        with m.Elif(kind == ADD):
            m.d.comb += write.data.eq(total)
        with m.Elif(kind == LAST):
            m.d.comb += write.data.eq(operand)
        with m.Else():
            m.d.comb += write.data.eq(read.data | operand)
        with m.If(working):
            m.d.sync += [value.eq(operand << 2), index.eq(index[2:] + negative)]
        return m
