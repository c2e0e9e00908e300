"""Operands of an element: streams decoded, registers read, one choice for each."""

from amaranth.hdl import C, Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ...arith.integer_to_fp32 import ScaledToFp32
from ...arith.pipeline import delay, leading_zeros
from .. import program_format as layout
from .inputs import Element
from .issue import element_struct
from .structs import INSTRUCTION, held

__all__ = ["FetchOperands"]

_NAMES = ("a0", "b0", "c0", "b1", "c1")


class FetchOperands(wiring.Component):
    """The five operands, 5 cycles after the element::

        cycle   0            3                  4                5
                elements     register address   A, B, C, R       a0, b0, c0, b1, c1

    Latency and cost: 5 cycles, an element a cycle; 3 RAMB18, about 430 LUT.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    current : In(INSTRUCTION), held : In
    element : In(element_struct), a, b, c : In(Element)
        In cycle 0.
    a_words, b_words : In(1), b_bytes : In(1)
        Streams hold fp32 words; B holds bytes.
    write : In(1), write_address : In(9), write_data : In(32)
        Of the registers.
    a0, b0, c0, b1, c1 : Out(32)
    """

    LATENCY = 5

    def __init__(self, config):
        self._config = config
        super().__init__(
            {
                "current": In(INSTRUCTION),
                "held": In(held()),
                "element": In(element_struct(config)),
                **{name: In(Element) for name in "abc"},
                "a_words": In(1),
                "b_words": In(1),
                "b_bytes": In(1),
                "write": In(1),
                "write_address": In(9),
                "write_data": In(32),
                **{name: Out(32) for name in _NAMES},
            }
        )

    def elaborate(self, platform):
        m = Module()
        now, element = self.current, self.element
        values = {
            "a": self._stream(m, "a", self.a, self.a_words, C(0, 1)),
            "b": self._stream(m, "b", self.b, self.b_words, self.b_bytes),
            "c": delay(m, self.c.word, 4, name="c_word"),
            "position": self._position(m, element.position),
        }
        lane = delay(m, element.lane, 3, name="lane")
        number = delay(m, element.number, 3, name="number")
        registers = [
            self._register(m, port, getattr(now, f"p{port}"), getattr(now, f"scalar{port}"), lane,
                           number)
            for port in range(3)
        ]
        ports = {"a0": 0, "b1": 0, "b0": 1, "c0": 2, "c1": 2}
        for place, name in enumerate(_NAMES):
            value = Signal(32, name=f"choice_{name}")
            with m.Switch(getattr(now, name)):
                for code, kind in enumerate(layout.OPERANDS[name][1:], 1):
                    if kind != "t0":
                        source = registers[ports[name]] if kind == "r" else values[kind]
                        with m.Case(code):
                            m.d.comb += value.eq(source)
                with m.Default():
                    m.d.comb += value.eq(self.held[place])
            result = Signal(32, name=f"operand_{name}", reset_less=True)
            m.d.sync += result.eq(value)
            m.d.comb += getattr(self, name).eq(result)
        return m

    def _stream(self, m, name, element, words, is_bytes):
        """Value of stream A or B, four cycles later."""
        pad = self.element.pad
        # +0 or -infinity
        filler = Cat(C(0, 23), (self.current.pad & pad).replicate(9))
        word = Mux(pad, filler, element.word)
        late_word = delay(m, word, ScaledToFp32.latency, name=f"{name}_word")
        exponents = self._config.has_exponents
        if name == "a" and not exponents:
            return late_word
        convert = ScaledToFp32(integer_bits=8 if name == "a" else 9)
        m.submodules[f"convert_{name}"] = convert
        signed = Cat(element.byte, element.byte[7] & ~is_bytes)[: convert.integer_bits]
        exponent = C(266, 9)
        if exponents:
            exponent = Mux(is_bytes, 266, element.exponent + 133)
        m.d.comb += [convert.value.eq(signed.as_signed()), convert.exponent.eq(exponent)]
        late = delay(m, words | pad, ScaledToFp32.latency, name=f"{name}_is_word")
        return Mux(late, late_word, convert.o)

    def _position(self, m, position):
        """An integer below 256 as fp32, in cycle 4."""
        early = delay(m, position, 2, name="position")
        zeros, none = leading_zeros(early)
        count = delay(m, zeros, 1, name="position_zeros")
        zero = delay(m, none, 1, name="position_zero")
        again = delay(m, early, 1, name="position_late")
        result = Signal(32, reset_less=True)
        shifted = (again << count)[:7]
        field = Signal(8)
        m.d.comb += field.eq(134 - count)
        m.d.sync += result.eq(Mux(zero, 0, Cat(C(0, 16), shifted, field)))
        return result

    def _register(self, m, port, register, scalar, lane, number):
        """What a read port of the registers delivers in cycle 4."""
        m.submodules[f"registers_{port}"] = memory = Memory(
            shape=32, depth=8 * layout.REGISTER_WORDS, init=[], attrs={"ram_style": "block"}
        )
        write, read = memory.write_port(), memory.read_port()
        index = Mux(register[2], number, lane)
        m.d.comb += [
            write.en.eq(self.write),
            write.addr.eq(self.write_address),
            write.data.eq(self.write_data),
            read.addr.eq(Cat(index & (~scalar).replicate(len(index)), C(0, 6 - len(index)),
                             register)),
        ]
        return read.data
