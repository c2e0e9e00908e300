"""The load engine: tiles from DRAM into the lane buffers, reshaped on the way."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..config import AcceleratorConfig
from ..streams.connect import connect_streams
from ..streams.ports import BiasWrite, LaneWrite, ReadClient
from ..streams.queue import Queue
from .commands import LOAD
from .lane_fill import LaneFill
from .load_data import LoadData
from .load_items import fill_item
from .load_requests import LoadRequests
from .tile_walker import TileWalker

__all__ = ["Loader"]

_ITEMS = 32


class Loader(wiring.Component):
    """Carries out load commands (docs/contract.md), the next one's requests ahead of its turn.

        command --> TileWalker --blocks--> queue --------------------> LaneFill --> moving,
                          \\--runs---> LoadRequests --> memory           ^   stationary, bias
                                          \\--chunks--> LoadData --pieces--/

    Contract: only bus beats that hold vectors of the tile inside its map are requested, exponents
    of a chunk before its elements. A slot is acquired before anything is requested for it, so that
    data are always taken without waiting for another engine; the next command's slot may be
    acquired while this one's is filled. Publishing comes with the last write.

    Latency and cost: about 13 cycles from a command to its first request (hidden behind the command
    before), 4 from elements to the write; a bus beat a cycle, or a vector where several share a
    beat. With 16 lanes and 16 bytes a beat 1,970 LUTs, 280 more as LUT RAM and 2,200 flip-flops, no
    DSP, no block RAM; at most 7 levels of LUTs.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    command : In(stream(LOAD.struct))
    memory : Out(ReadClient)
    moving, stationary : Out(LaneWrite); bias : Out(BiasWrite)
        To `MovingBuffer.write`, `WeightReuseBuffer.write` and `.bias_write`.
    moving_free : In(1); moving_acquire, moving_publish : Out(1)
    stationary_free : In(1); stationary_acquire, stationary_publish : Out(1)
        To the members of the same name of the buffers.
    busy : Out(1)
        From the cycle in which a command is taken until the last write of the last command.
    stall_moving, stall_stationary : Out(1)
        A command waits for a free slot.
    stall_memory : Out(1)
        The fill side waits for data.
    """

    def __init__(self, *, config):
        if not isinstance(config, AcceleratorConfig):
            raise TypeError(f"Loader config must be an AcceleratorConfig, not {config!r}")
        self._config = config
        super().__init__(
            {
                "command": In(stream.Signature(LOAD.struct)),
                "memory": Out(ReadClient(config)),
                "moving": Out(LaneWrite(config, config.moving_words)),
                "stationary": Out(LaneWrite(config, config.stationary_words)),
                "bias": Out(BiasWrite(config)),
                "moving_free": In(1),
                "moving_acquire": Out(1),
                "moving_publish": Out(1),
                "stationary_free": In(1),
                "stationary_acquire": Out(1),
                "stationary_publish": Out(1),
                "busy": Out(1),
                "stall_moving": Out(1),
                "stall_stationary": Out(1),
                "stall_memory": Out(1),
            }
        )

    @property
    def config(self):
        return self._config

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.submodules.walker = walker = TileWalker(config=config)
        m.submodules.items = items = Queue(fill_item(config), _ITEMS, storage="distributed")
        m.submodules.requests = requests = LoadRequests(config=config)
        m.submodules.data = data = LoadData(config=config)
        m.submodules.fill = fill = LaneFill(config=config)

        connect_streams(m, flipped(self.command), walker.command)
        connect_streams(m, walker.fill, items.i)
        connect_streams(m, walker.runs, requests.runs)
        connect_streams(m, requests.request, flipped(self.memory.request))
        connect_streams(m, requests.routes, data.routes)
        connect_streams(m, requests.chunks, data.chunks)
        connect_streams(m, flipped(self.memory.data), data.data)
        connect_streams(m, data.pieces, fill.pieces)
        connect_streams(m, items.o, fill.items)
        connect(m, fill.moving, flipped(self.moving))
        connect(m, fill.stationary, flipped(self.stationary))
        connect(m, fill.bias, flipped(self.bias))
        m.d.comb += [
            walker.moving_free.eq(self.moving_free),
            walker.stationary_free.eq(self.stationary_free),
            self.moving_acquire.eq(walker.moving_acquire),
            self.stationary_acquire.eq(walker.stationary_acquire),
            self.moving_publish.eq(fill.moving_publish),
            self.stationary_publish.eq(fill.stationary_publish),
            self.stall_memory.eq(fill.starved),
        ]
        m.d.sync += [
            self.stall_moving.eq(walker.waiting_moving),
            self.stall_stationary.eq(walker.waiting_stationary),
        ]

        # every command in flight has an item in the queue, in the fill side, or in the walker
        in_flight = Signal(range(_ITEMS + 8))
        taken = Signal()
        m.d.comb += [
            taken.eq(self.command.valid & self.command.ready),
            self.busy.eq(taken | (in_flight != 0)),
        ]
        with m.If(taken & ~fill.done):
            m.d.sync += in_flight.eq(in_flight + 1)
        with m.Elif(fill.done & ~taken):
            m.d.sync += in_flight.eq(in_flight - 1)
        return m
