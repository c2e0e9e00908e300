"""The compute engine: walkers, PE array and accumulators behind one queue of commands."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..arith.pipeline import delay
from ..streams.ports import AccumulatorRead, BiasRead, LaneRead
from .commands import COMPUTE
from .moving_walker import MovingWalker
from .pe_array import PEArray
from .row_pair import check_parameters
from .stationary_walker import StationaryWalker

__all__ = ["ComputeEngine"]

_STALLS = ("moving", "stationary", "accumulator", "hazard")


class ComputeEngine(wiring.Component):
    """Runs COMPUTE commands: the loop nest of docs/contract.md, "compute".

    The stationary walker takes a command as soon as it is done with the one before, and loads the
    first rows while the last sweep of that still runs; the moving walker follows. Both buffers
    have the same read latency, so that every hazard is resolved where addresses are issued.

    Slots and banks are used in turn, and pulses move them on (`buffers.slots.SlotController`, with
    `ahead` for the accumulators). A level has to be right in the cycle after a pulse.
    `accumulator_publish` comes when the last sum is stored; the next command goes on in the
    other bank meanwhile, since `accumulator_acquire` took it. `moving_release` comes one cycle
    before the last address, `stationary_release` with it: whoever sees a slot free must not write
    to it in the same cycle.

    Latency and cost: one position a cycle; no bubble between sweeps of at least `rows` and
    `update_latency` positions, nor between commands whose slots are ready and that are waiting
    when the last sweep of the command before starts. `overhead` cycles from taking a
    command at rest to its first position, and `latency` from a position until its sum can be read.
    Golden: docs/contract.md, "compute"; docs/numerics.md, "Dot product and accumulation".

    Parameters
    ----------
    config : AcceleratorConfig
    read_latency : int
        Cycles from an address to elements, exponents and bias; at least 2.
    primitives : str
        "portable" or "xilinx7", see `DotPairBfp8`.
    checks : bool
        Adds assertions that only a simulator understands, see `PEArray`.

    Members
    -------
    command : In(stream(COMPUTE.struct))
    moving, stationary : Out(LaneRead)
    bias : Out(BiasRead(config))
    moving_full, stationary_full : In(1)
        The slot that is next to be released is published.
    moving_release, stationary_release : Out(1)
    accumulator_free : In(1)
        There is a bank to acquire.
    accumulator_acquire, accumulator_publish : Out(1)
    accumulator : In(AccumulatorRead(config))
        Drain port, `drain_latency` cycles.
    busy : Out(1)
        1 from the cycle in which a walker takes a command until its last sum can be read.
    begins : Out(1)
        Pulse: from the next cycle on, `mac_busy` and stalls are about the command after the one
        before. At the earliest in the cycle after it was taken.
    mac_busy : Out(1)
        A position is issued in this cycle.
    stall_moving, stall_stationary, stall_accumulator, stall_hazard : Out(1)
        Why none is issued although a sweep is due; at most one is 1.

    Raises
    ------
    TypeError, ValueError
    """

    def __init__(self, config, *, read_latency=3, primitives="portable", checks=False):
        check_parameters("ComputeEngine", config, primitives)
        if not isinstance(read_latency, int) or isinstance(read_latency, bool):
            raise TypeError(f"ComputeEngine read_latency must be an int, not {read_latency!r}")
        if not 2 <= read_latency <= 8:
            raise ValueError(f"ComputeEngine read_latency must be 2 to 8, not {read_latency!r}")
        self._config = config
        self._read_latency = read_latency
        self._primitives = primitives
        self._checks = bool(checks)
        self._array = PEArray(config, primitives=primitives, checks=checks)
        self._rows = StationaryWalker(config)
        self._positions = MovingWalker(
            config, spacing=self._array.update_latency, publish_delay=self.latency
        )
        super().__init__(
            {
                "command": In(stream.Signature(COMPUTE.struct)),
                "moving": Out(LaneRead(config, config.moving_elements)),
                "moving_full": In(1),
                "moving_release": Out(1),
                "stationary": Out(LaneRead(config, config.stationary_elements)),
                "bias": Out(BiasRead(config)),
                "stationary_full": In(1),
                "stationary_release": Out(1),
                "accumulator_free": In(1),
                "accumulator_acquire": Out(1),
                "accumulator_publish": Out(1),
                "accumulator": In(AccumulatorRead(config)),
                "busy": Out(1),
                "begins": Out(1),
                "mac_busy": Out(1),
            }
            | {f"stall_{name}": Out(1) for name in _STALLS}
        )

    @property
    def config(self):
        return self._config

    @property
    def read_latency(self):
        return self._read_latency

    @property
    def primitives(self):
        return self._primitives

    @property
    def checks(self):
        return self._checks

    @property
    def overhead(self):
        """Cycles from taking a command at rest to its first position."""
        return self._config.rows + 2

    @property
    def latency(self):
        """Cycles from issuing a position until the drain port may name it."""
        return self._read_latency + self._array.latency

    @property
    def update_latency(self):
        """Least distance of the starts of two sweeps, in cycles."""
        return self._array.update_latency

    @property
    def drain_latency(self):
        """Cycles from `accumulator.position` to `accumulator.values`."""
        return self._array.drain_latency

    def elaborate(self, platform):
        m = Module()
        m.submodules.stationary_walker = rows = self._rows
        m.submodules.moving_walker = positions = self._positions
        m.submodules.array = array = self._array

        # command: each walker takes its copy when it can
        taken = Signal()
        m.d.comb += [
            rows.command.payload.eq(self.command.payload),
            rows.command.valid.eq(self.command.valid & ~taken),
            positions.command.payload.eq(self.command.payload),
            positions.command.valid.eq(self.command.valid & (taken | rows.command.ready)),
            self.command.ready.eq(positions.command.ready & (taken | rows.command.ready)),
        ]
        moved = self.command.valid & self.command.ready
        m.d.sync += taken.eq(self.command.valid & ~moved & (taken | rows.command.ready))

        # one walker waits for the other
        m.d.comb += [
            rows.start.eq(positions.start),
            positions.stationary_ready.eq(rows.ready),
        ]

        # slots and banks
        m.d.comb += [
            rows.full.eq(self.stationary_full),
            positions.moving_full.eq(self.moving_full),
            positions.accumulator_free.eq(self.accumulator_free),
            self.stationary_release.eq(rows.release),
            self.moving_release.eq(positions.moving_release),
            self.accumulator_acquire.eq(positions.accumulator_acquire),
            self.accumulator_publish.eq(positions.accumulator_publish),
        ]

        # buffers
        for port, walker in ((self.stationary, rows), (self.moving, positions)):
            m.d.comb += [
                port.slot.eq(walker.slot),
                port.address.eq(walker.address),
                port.serial.eq(walker.serial),
            ]
        m.d.comb += [self.bias.slot.eq(rows.slot), self.bias.word.eq(rows.bias_index)]

        # array
        digits = ("wide", "digit") if self._config.bfp16 else ()
        valid, tags = self._late(m, rows, ("row", "bias", *digits))
        stationary = array.stationary.payload
        m.d.comb += [
            array.stationary.valid.eq(valid),
            stationary.row.eq(tags["row"]),
            stationary.start.eq(Mux(tags["bias"], self.bias.value, 0)),
            stationary.elements.as_value().eq(self.stationary.elements),
            stationary.exponents.eq(self.stationary.exponents),
        ]
        m.d.comb += [stationary[name].eq(tags[name]) for name in digits]
        fields = ("position", "bank", "first", "swap", "ones", "zero", *digits)
        valid, tags = self._late(m, positions, fields)
        moving = array.moving.payload
        m.d.comb += [
            array.moving.valid.eq(valid),
            moving.elements.as_value().eq(self.moving.elements),
            moving.exponents.eq(self.moving.exponents),
        ]
        m.d.comb += [moving[name].eq(tags[name]) for name in fields]
        if self._config.bfp16:
            for port, walker, operand in (
                (self.stationary, rows, stationary), (self.moving, positions, moving)
            ):  # fmt: skip
                m.d.comb += [port.wide.eq(walker.wide), operand.low.as_value().eq(port.low)]
        wiring.connect(m, wiring.flipped(self.accumulator), array.accumulator)

        # status
        m.d.comb += [
            self.busy.eq(rows.busy | positions.busy | moved),
            self.begins.eq(positions.begins),
            self.mac_busy.eq(positions.valid),
        ]
        m.d.comb += [
            getattr(self, f"stall_{name}").eq(getattr(positions, f"stall_{name}"))
            for name in _STALLS
        ]
        return m

    def _late(self, m, walker, fields):
        """What a walker says about an address, when its elements come back."""
        kind = type(walker).__name__
        valid = Signal(self._read_latency, name=f"{kind}_valid")
        m.d.sync += valid.eq(Cat(walker.valid, valid[:-1]))
        tags = {
            name: delay(m, getattr(walker, name), self._read_latency, name=f"{kind}_{name}")
            for name in fields
        }
        return valid[-1], tags
