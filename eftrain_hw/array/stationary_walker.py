"""Reads the stationary rows of every sweep, one sweep ahead of the moving operand."""

from math import ceil, log2

from amaranth.hdl import Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import AcceleratorConfig
from .commands import COMPUTE
from .digit_pairs import DigitPairs
from .loop_nest import AffineAddress, LoopCounters

__all__ = ["StationaryWalker"]

_LOOPS = ("m_tiles", "outer0", "outer1", "outer2")


class StationaryWalker(wiring.Component):
    """Addresses of the rows of S, `rows` cycles a sweep, in the order of docs/contract.md, compute.

    The rows of a sweep begin when the shadow in the array is free: in the cycle after `start`, the
    strobe that the moving operand's first vector of the sweep before goes out in the cycle after
    it. `ready`: the last row of a sweep is at the output, or was and has not been started::

        start    1           1
        row        0 1 2 3     0 1 2 3
        valid      1 1 1 1     1 1 1 1
        ready            1           1 1 1

    A command is taken when the last sweep of the one before has begun. With `acquire_stationary`
    its first row waits for `full`; `release` comes with the last row of a command with
    `release_stationary`, and in the next cycle `full` has to speak of the other slot.

    Latency and cost: one row a cycle, no bubble between sweeps or commands.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    command : In(stream(COMPUTE.struct))
    start : In(1)
    ready : Out(1)
    full : In(1)
        The slot is published. Slots are used in turn.
    release : Out(1)
    valid, slot, serial, address : Out
        The row of this cycle.
    wide, digit : Out(1)
        With `config.bfp16`: the slot holds two digits; the low one is wanted.
    row : Out(range(rows))
    bias : Out(1)
        The row's start value is the bias `bias_index` of the slot, not +0.
    bias_index : Out(range(bias_depth))
    busy : Out(1)
        A command is there, or rows that have not been started.

    Raises
    ------
    TypeError, ValueError
    """

    def __init__(self, config):
        if not isinstance(config, AcceleratorConfig):
            raise TypeError(f"StationaryWalker config must be an AcceleratorConfig, not {config!r}")
        self._config = config
        self._address_bits = ceil(log2(config.stationary_elements))
        wide = {"wide": Out(1), "digit": Out(1)} if config.bfp16 else {}
        super().__init__(
            {
                **wide,
                "command": In(stream.Signature(COMPUTE.struct)),
                "start": In(1),
                "ready": Out(1),
                "full": In(1),
                "release": Out(1),
                "valid": Out(1),
                "slot": Out(1),
                "serial": Out(1),
                "address": Out(self._address_bits),
                "row": Out(range(config.rows)),
                "bias": Out(1),
                "bias_index": Out(range(config.bias_depth)),
                "busy": Out(1),
            }
        )

    @property
    def config(self):
        return self._config

    def elaborate(self, platform):
        m = Module()
        rows = self._config.rows
        begin, take = Signal(), Signal()
        pending = Signal()  # a sweep is described
        m.d.comb += [self.command.ready.eq(~pending), take.eq(self.command.valid & ~pending)]

        sweep = self._sweeps(m, take, begin)
        with m.If(take):
            m.d.sync += pending.eq(1)
        with m.Elif(begin & sweep["last"]):
            m.d.sync += pending.eq(0)

        # shadow
        there, waits = Signal(), Signal()  # a row is there; it is a command's first
        at_last, loaded = Signal(), Signal()
        ends_command = Signal(reset_less=True)
        m.d.comb += [
            self.valid.eq(there & ~(waits & ~self.full)),
            self.ready.eq(at_last | loaded),
            self.release.eq(at_last & ends_command),
            begin.eq(pending & (self.start | ~(there | loaded))),
            self.busy.eq(pending | there | loaded),
        ]
        m.d.sync += loaded.eq(self.ready & ~self.start)

        # rows of a sweep
        step = self._row_step(m, begin, sweep)
        with m.If(begin):
            m.d.sync += [
                there.eq(1),
                waits.eq(sweep["acquire"]),
                at_last.eq(0),
                self.row.eq(0),
                self.slot.eq(sweep["slot"]),
                self.serial.eq(sweep["serial"]),
                self.address.eq(sweep["address"]),
                self.bias.eq(sweep["bias"]),
                self.bias_index.eq(sweep["channel"]),
                ends_command.eq(sweep["last"] & sweep["release"]),
            ]
            if self._config.bfp16:
                m.d.sync += [self.wide.eq(sweep["wide"]), self.digit.eq(sweep["digit"])]
        with m.Elif(self.valid):
            m.d.sync += [
                there.eq(~at_last),
                waits.eq(0),
                at_last.eq(self.row == rows - 2),
                self.row.eq(self.row + 1),
                self.address.eq(self.address + step),
                self.bias_index.eq(self.bias_index + 1),
            ]
        return m

    def _sweeps(self, m, take, begin):
        """Row 0 of the sweep that is next: everything about it, ready when `pending`."""
        config, command = self._config, self.command.payload
        rows, lanes, bits = config.rows, config.lanes, self._address_bits
        m.submodules.counters = counters = LoopCounters(loops=len(_LOOPS))
        m.submodules.address = address = AffineAddress(bits=bits, loops=len(_LOOPS))
        onwards, pairs = begin, None
        last = counters.last
        if config.bfp16:
            m.submodules.pairs = pairs = DigitPairs()
            onwards, last = begin & pairs.last, counters.last & pairs.last
            m.d.comb += [pairs.load.eq(take), pairs.advance.eq(begin)]
        for k, name in enumerate(_LOOPS):
            m.d.comb += [
                counters.counts[k].eq(command[name]),
                counters.single[k].eq(command[name] == 1),
            ]
        m.d.comb += [
            counters.load.eq(take),
            counters.advance.eq(onwards),
            address.load.eq(take),
            address.advance.eq(onwards),
            address.carry.eq(counters.carry),
            address.base.eq(command.stationary_base),
        ]

        # from m-tile to m-tile: whole blocks, and the lane within the block
        block_step = Signal(bits, reset_less=True)
        lane = Signal(range(lanes), reset_less=True)
        channel = Signal(range(config.bias_depth), reset_less=True)
        blocks, rest = divmod(rows, lanes)
        crosses = lane + rest >= lanes
        m.d.comb += address.steps[0].eq(
            rest + block_step * blocks + Mux(crosses, block_step - lanes, 0)
        )
        for k, name in enumerate(_LOOPS[1:], 1):
            held = Signal(bits, name=f"step_{name}", reset_less=True)
            m.d.comb += address.steps[k].eq(held)
            with m.If(take):
                m.d.sync += held.eq(command[f"stationary_{name}"])

        bias, release, serial = (
            Signal(name=f"held_{name}", reset_less=True) for name in ("bias", "release", "serial")
        )
        acquire, slot = Signal(), Signal()
        with m.If(take):
            m.d.sync += [
                bias.eq(command.bias),
                release.eq(command.release_stationary),
                serial.eq(command.stationary_serial),
                acquire.eq(command.acquire_stationary),
                block_step.eq(command.stationary_block_step),
                lane.eq(0),
                channel.eq(0),
            ]
        with m.Elif(begin):
            m.d.sync += acquire.eq(0)
            with m.If(counters.carry[0] & onwards):
                m.d.sync += [lane.eq(lane + rest), channel.eq(channel + rows)]
        with m.If(begin & last & release):
            m.d.sync += slot.eq(~slot)
        digits = {}
        if config.bfp16:
            digits = self._digits(m, take, pairs)
        return {
            **digits,
            "address": address.address,
            "block_step": block_step,
            "lane": lane,
            "channel": channel,
            "bias": bias,
            "serial": serial,
            "slot": slot,
            "release": release,
            "last": last,
            "acquire": acquire,
        }

    def _digits(self, m, take, pairs):
        wide = {}
        for name in ("moving_wide", "stationary_wide"):
            wide[name] = Signal(name=f"held_{name}", reset_less=True)
            m.d.comb += getattr(pairs, name).eq(wide[name])
            with m.If(take):
                m.d.sync += wide[name].eq(self.command.payload[name])
        return {"wide": wide["stationary_wide"], "digit": pairs.stationary}

    def _row_step(self, m, begin, sweep):
        """Step from the present row to the next."""
        rows, lanes = self._config.rows, self._config.lanes
        if rows <= lanes and lanes % rows == 0:
            return Const(1)  # an m-tile lies within a block
        lane = Signal(range(lanes), name="row_lane", reset_less=True)
        over = Signal(self._address_bits, name="step_over", reset_less=True)
        with m.If(begin):
            m.d.sync += [lane.eq(sweep["lane"]), over.eq(sweep["block_step"] - (lanes - 1))]
        with m.Elif(self.valid):
            m.d.sync += lane.eq(lane + 1)
        return Mux(lane == lanes - 1, over, 1)
