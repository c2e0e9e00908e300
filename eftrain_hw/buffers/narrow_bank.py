"""A lane's bank on block RAMs of the 7 series, written by bus words and read by bytes."""

from amaranth.hdl import C, Cat, ClockSignal, Instance, Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["NarrowBank", "PART"]

PART = 8  # bytes of a word that one block RAM holds
_DEPTH = 512
_WRITE_WIDTH, _READ_WIDTH = 72, 9  # with the parity bits, which stay unused


class NarrowBank(wiring.Component):
    """`words` bus words; a read gives, of each 8 bytes of a word, the one at `place`.

    A block RAM's two ports may differ in width: the one that reads a byte chooses it by address
    bits, so that it takes no LUTs. What is written in a cycle can be read from the next cycle on;
    reading a word in the cycle in which it is written is for the user to prevent.

    Latency and cost: a cycle from the address to `parts`; bytes / 8 * ceil(words / 512) RAMB36E1.

    Parameters
    ----------
    words : int
        A power of two.
    size : int
        Bytes of a word, a multiple of 8.

    Members
    -------
    write_word : In(range(words)); write_data : In(8 * size); write_enable : In(size)
        An enable for each byte.
    word : In(range(words)); place : In(3)
    parts : Out(ArrayLayout(8, size / 8))
        Byte `place` of each part.

    Reference: Xilinx UG473 (7 Series Memory Resources), chapter 1, "Simple Dual-Port Block RAM",
    "Data-Out Buses" and table 1-11.
    """

    def __init__(self, *, words, size):
        self._words, self._size = words, size
        super().__init__(
            {
                "write_word": In(range(words)),
                "write_data": In(8 * size),
                "write_enable": In(size),
                "word": In(range(words)),
                "place": In(range(PART)),
                "parts": Out(data.ArrayLayout(8, size // PART)),
            }
        )

    @property
    def words(self):
        return self._words

    @property
    def size(self):
        return self._size

    def elaborate(self, platform):
        m = Module()
        low = (_DEPTH - 1).bit_length()
        layers = -(-self._words // _DEPTH)
        layer = Signal(range(max(2, layers)), reset_less=True)
        m.d.sync += layer.eq(self.word[low:])
        for part in range(self._size // PART):
            outputs = []
            for k in range(layers):
                output = Signal(8, name=f"output_{part}_{k}")
                enable = self.write_enable[PART * part :][:PART]
                if layers > 1:
                    enable &= (self.write_word[low:] == k).replicate(PART)
                m.submodules[f"ram_{part}_{k}"] = self._ram(
                    write_word=self.write_word[:low],
                    value=self.write_data.word_select(part, 8 * PART),
                    enable=enable,
                    word=self.word[:low],
                    output=output,
                )
                outputs.append(output)
            with m.Switch(layer):
                for k, output in enumerate(outputs):
                    with m.Case(k) if k < layers - 1 else m.Default():
                        m.d.comb += self.parts[part].eq(output)
        return m

    def _ram(self, *, write_word, value, enable, word, output):
        """512 x 64 bits, read by bytes. Address bit 15 is for cascades only."""
        unused = 9 - len(word)
        clock = ClockSignal("sync")
        return Instance(
            "RAMB36E1",
            p_RAM_MODE="SDP",
            p_WRITE_WIDTH_B=_WRITE_WIDTH,
            p_READ_WIDTH_A=_READ_WIDTH,
            p_WRITE_WIDTH_A=0,
            p_READ_WIDTH_B=0,
            p_WRITE_MODE_A="READ_FIRST",
            p_WRITE_MODE_B="READ_FIRST",
            p_DOA_REG=0,
            p_DOB_REG=0,
            i_CLKARDCLK=clock,
            i_ADDRARDADDR=Cat(C(7, 3), self.place, word, C(0, unused), C(1, 1)),
            i_ENARDEN=C(1, 1),
            o_DOADO=Cat(output, Signal(24, name=f"{output.name}_rest")),
            i_CLKBWRCLK=clock,
            i_ADDRBWRADDR=Cat(C(63, 6), write_word, C(0, unused), C(1, 1)),
            i_ENBWREN=C(1, 1),
            i_WEBWE=enable,
            i_DIADI=value[:32],
            i_DIBDI=value[32:],
            i_DIPADIP=C(0, 4),
            i_DIPBDIP=C(0, 4),
            i_WEA=C(0, 4),
            i_REGCEAREGCE=C(0, 1),
            i_REGCEB=C(0, 1),
            i_RSTRAMARSTRAM=C(0, 1),
            i_RSTRAMB=C(0, 1),
            i_RSTREGARSTREG=C(0, 1),
            i_RSTREGB=C(0, 1),
        )
