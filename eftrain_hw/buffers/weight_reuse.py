"""The stationary operand's buffer: loaded once, read as often as the batch needs it."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..config import AcceleratorConfig
from ..streams.ports import BiasRead, BiasWrite, LaneRead, LaneWrite
from .bias_bank import BiasBank
from .lane_buffer import READ_LATENCY, LaneBuffer
from .slots import SlotController

__all__ = ["WeightReuseBuffer"]


class WeightReuseBuffer(wiring.Component):
    """A lane buffer of `config.stationary_words`, a bias bank, and the controller of their slots.

    Contract: a slot that has been published stays as it is, weights and biases, however often it is
    read, until `release`; the other slot is filled meanwhile. Writes go to the slot that is being
    filled, `publish` may come with the last of them; `release` as in `MovingBuffer`.

    Latency and cost: those of `LaneBuffer`, `BiasBank` and `SlotController`.

    Parameters
    ----------
    config : AcceleratorConfig
    primitives : str
        "portable" or "xilinx7", see `LaneBuffer`.

    Members
    -------
    write : In(LaneWrite)
    bias_write : In(BiasWrite)
    acquire, publish : In(1); free : Out(1)
        The filler's side, see `SlotController`.
    read : In(LaneRead)
    bias_read : In(BiasRead)
    release : In(1); full, read_slot : Out(1)
        The reader's side.

    Raises
    ------
    TypeError, ValueError

    Reference: Tang et al., EF-Train (2022): weights cross the memory bus once a pass and batch.
    """

    read_latency = READ_LATENCY

    def __init__(self, *, config, primitives="portable"):
        if not isinstance(config, AcceleratorConfig):
            raise TypeError(
                f"WeightReuseBuffer config must be an AcceleratorConfig, not {config!r}"
            )
        self._buffer = LaneBuffer(
            config=config, words=config.stationary_words, primitives=primitives
        )
        super().__init__(
            {
                "write": In(LaneWrite(config, config.stationary_words)),
                "bias_write": In(BiasWrite(config)),
                "acquire": In(1),
                "publish": In(1),
                "free": Out(1),
                "read": In(LaneRead(config, config.stationary_elements)),
                "bias_read": In(BiasRead(config)),
                "release": In(1),
                "full": Out(1),
                "read_slot": Out(1),
            }
        )

    @property
    def config(self):
        return self._buffer.config

    def elaborate(self, platform):
        m = Module()
        m.submodules.slots = slots = SlotController(ahead=True)
        m.submodules.buffer = buffer = self._buffer
        m.submodules.bias = bias = BiasBank(config=self.config)
        m.d.comb += [
            slots.acquire.eq(self.acquire),
            slots.publish.eq(self.publish),
            slots.release.eq(self.release),
            self.free.eq(slots.free),
            self.full.eq(slots.full),
            self.read_slot.eq(slots.read_slot),
            buffer.fill_slot.eq(slots.fill_slot),
            bias.fill_slot.eq(slots.fill_slot),
        ]
        connect(m, flipped(self.write), buffer.write)
        connect(m, flipped(self.read), buffer.read)
        connect(m, flipped(self.bias_write), bias.write)
        connect(m, flipped(self.bias_read), bias.read)
        return m
