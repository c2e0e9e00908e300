"""The biases of the output channels that are worked on."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In
from amaranth.utils import exact_log2

from ..config import AcceleratorConfig
from ..streams.ports import BiasRead, BiasWrite
from .lane_buffer import READ_LATENCY

__all__ = ["BiasBank"]


class BiasBank(wiring.Component):
    """Two slots of `config.bias_depth` binary32 words, written a bus beat at a time.

    Latency and cost: `read_latency` cycles from `read.slot`, `read.word` to `read.value`, one a
    cycle; 8 bus_bytes / 72 RAMB36 at the usual sizes and 32 multiplexers.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    fill_slot : In(1)
        The slot that is written.
    write : In(BiasWrite)
    read : In(BiasRead)

    Raises
    ------
    TypeError
    """

    read_latency = READ_LATENCY

    def __init__(self, *, config):
        if not isinstance(config, AcceleratorConfig):
            raise TypeError(f"BiasBank config must be an AcceleratorConfig, not {config!r}")
        self._config = config
        super().__init__(
            {"fill_slot": In(1), "write": In(BiasWrite(config)), "read": In(BiasRead(config))}
        )

    @property
    def config(self):
        return self._config

    def elaborate(self, platform):
        m = Module()
        width = len(self.write.data)
        m.submodules.bank = bank = memory.Memory(
            shape=width, depth=2 * self._config.bias_depth * 32 // width, init=[],
            attrs={"ram_style": "block", "no_rw_check": 1},  # no slot is read while it is filled
        )
        write, read = bank.write_port(), bank.read_port()
        low = exact_log2(width // 32)
        word, slot = Signal.like(self.read.word), Signal()
        select = Signal(range(width // 32))
        value = Signal(32, reset_less=True)
        m.d.comb += [
            write.addr.eq(Cat(self.write.word, self.fill_slot)),
            write.data.eq(self.write.data),
            write.en.eq(self.write.enable),
            read.addr.eq(Cat(word[low:], slot)),
            self.read.value.eq(value),
        ]
        m.d.sync += [
            word.eq(self.read.word),
            slot.eq(self.read.slot),
            select.eq(word[:low]),
            value.eq(read.data.word_select(select, 32)),
        ]
        return m
