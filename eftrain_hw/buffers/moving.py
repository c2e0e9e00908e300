"""The moving operand's buffer."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..config import AcceleratorConfig
from ..streams.ports import LaneRead, LaneWrite
from .lane_buffer import READ_LATENCY, LaneBuffer
from .slots import SlotController

__all__ = ["MovingBuffer"]


class MovingBuffer(wiring.Component):
    """A lane buffer of `config.moving_words` with its slot controller.

    Contract: writes go to the slot that is being filled, `publish` may come with the last of them;
    `release` may come with the last address that is read from `read_slot`, or one cycle earlier: a
    filler that acquires the slot at once must not write to it in that same cycle (the loader's
    first write comes 4 cycles later).

    Latency and cost: those of `LaneBuffer` and `SlotController`.

    Parameters
    ----------
    config : AcceleratorConfig
    primitives : str
        "portable" or "xilinx7", see `LaneBuffer`.

    Members
    -------
    write : In(LaneWrite)
    acquire, publish : In(1); free : Out(1)
        The filler's side, see `SlotController`.
    read : In(LaneRead)
    release : In(1); full, read_slot : Out(1)
        The reader's side.

    Raises
    ------
    TypeError, ValueError
    """

    read_latency = READ_LATENCY

    def __init__(self, *, config, primitives="portable"):
        if not isinstance(config, AcceleratorConfig):
            raise TypeError(f"MovingBuffer config must be an AcceleratorConfig, not {config!r}")
        self._buffer = LaneBuffer(
            config=config, words=config.moving_words, primitives=primitives
        )
        super().__init__(
            {
                "write": In(LaneWrite(config, config.moving_words)),
                "acquire": In(1),
                "publish": In(1),
                "free": Out(1),
                "read": In(LaneRead(config, config.moving_elements)),
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
        m.d.comb += [
            slots.acquire.eq(self.acquire),
            slots.publish.eq(self.publish),
            slots.release.eq(self.release),
            self.free.eq(slots.free),
            self.full.eq(slots.full),
            self.read_slot.eq(slots.read_slot),
            buffer.fill_slot.eq(slots.fill_slot),
        ]
        connect(m, flipped(self.write), buffer.write)
        connect(m, flipped(self.read), buffer.read)
        return m
