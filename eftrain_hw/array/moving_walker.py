"""Reads the moving vectors of every sweep and names the accumulators they go to."""

from math import ceil, log2

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import AcceleratorConfig
from .commands import COMPUTE
from .digit_pairs import DigitPairs
from .loop_nest import COUNT_BITS, AffineAddress, LoopCounters

__all__ = ["MovingWalker"]

_OUTER = ("m_tiles", "outer0", "outer1", "outer2")
_INNER = ("inner0", "inner1", "inner2", "inner3")
_STALLS = ("accumulator", "moving", "stationary", "hazard")


class MovingWalker(wiring.Component):
    """Addresses of the moving vectors and their sums, in the order of docs/contract.md, compute.

    One position a cycle, without a bubble inside a sweep, between sweeps or between commands. The
    first position of a sweep waits

    - until the stationary rows are loaded (`stationary_ready`),
    - until `spacing` cycles after the first position of the sweep before,
    - for the first sweep of a command with `acquire_*`: until its moving slot is published, its
      accumulator bank is free.

    `start` says that such a first position goes out in the next cycle. The next command is taken
    when the last sweep of the present one is about to start.

    Levels and pulses, each level right in the cycle after a pulse::

        valid, address: end of a command, begin of the next   y  z  a  b
        moving_release                                        1
        moving_full: slot of z | slot of a                    1 |1
        accumulator_acquire: bank of a                           1
        accumulator_publish: bank of z                            ..  1, `publish_delay` after z

    The release comes a cycle before the last address: the filler sees the slot free when that
    address is read, and must not write to it in the same cycle.

    Parameters
    ----------
    config : AcceleratorConfig
    spacing : int
        Least distance of the starts of two sweeps.
    publish_delay : int
        At least 1: cycles from the output of a position until its sum can be drained.

    Members
    -------
    command : In(stream(COMPUTE.struct))
    stationary_ready : In(1)
    start : Out(1)
    moving_full : In(1)
        The slot is published. Slots are used in turn.
    accumulator_free : In(1)
        There is a bank that has not been acquired. Banks are used in turn.
    moving_release, accumulator_acquire, accumulator_publish : Out(1)
    valid, slot, serial, address : Out
        The moving vector of this cycle, registered.
    wide, digit : Out(1)
        With `config.bfp16`: the slot holds two digits; the low one is wanted.
    position, bank, first, swap, ones, zero : Out
        What the array does with it, registered; see `pe_array.moving_vector`.
    stall_accumulator, stall_moving, stall_stationary, stall_hazard : Out(1)
        Why there is no position in this cycle although a sweep is due; at most one is 1.
    busy : Out(1)
        A command is there, or a sum is yet to come.
    begins : Out(1)
        Pulse: from the next cycle on, outputs are about another command.

    Raises
    ------
    TypeError, ValueError
    """

    def __init__(self, config, *, spacing, publish_delay):
        if not isinstance(config, AcceleratorConfig):
            raise TypeError(f"MovingWalker config must be an AcceleratorConfig, not {config!r}")
        for name, value in (("spacing", spacing), ("publish_delay", publish_delay)):
            if not isinstance(value, int) or isinstance(value, bool):
                raise TypeError(f"MovingWalker {name} must be an int, not {value!r}")
            if value < 1:
                raise ValueError(f"MovingWalker {name} must be at least 1, not {value!r}")
        self._config = config
        self._spacing = spacing
        self._publish_delay = publish_delay
        self._address_bits = ceil(log2(config.moving_elements))
        self._position_bits = ceil(log2(config.accumulator_depth))
        super().__init__(
            {
                "command": In(stream.Signature(COMPUTE.struct)),
                "stationary_ready": In(1),
                "start": Out(1),
                "moving_full": In(1),
                "moving_release": Out(1),
                "accumulator_free": In(1),
                "accumulator_acquire": Out(1),
                "accumulator_publish": Out(1),
                "valid": Out(1),
                "slot": Out(1),
                "serial": Out(1),
                "address": Out(self._address_bits),
                "position": Out(self._position_bits),
                "bank": Out(1),
                "first": Out(1),
                "swap": Out(1),
                "ones": Out(1),
                "zero": Out(1),
                "busy": Out(1),
                "begins": Out(1),
            }
            | {f"stall_{name}": Out(1) for name in _STALLS}
            | ({"wide": Out(1), "digit": Out(1)} if config.bfp16 else {})
        )

    @property
    def config(self):
        return self._config

    @property
    def spacing(self):
        return self._spacing

    @property
    def publish_delay(self):
        return self._publish_delay

    def elaborate(self, platform):
        m = Module()
        take, begin, pending = Signal(), Signal(), Signal()
        m.d.comb += [self.command.ready.eq(~pending), take.eq(self.command.valid & ~pending)]
        held = self._hold(m, take)
        sweep = self._sweeps(m, take, begin, held)
        with m.If(take):
            m.d.sync += pending.eq(1)
        with m.Elif(begin & sweep["last"]):
            m.d.sync += pending.eq(0)

        # go
        there, first = Signal(), Signal()  # a position; it is a sweep's first
        needs_moving, needs_bank, bank_free = Signal(), Signal(), Signal()
        m.d.sync += bank_free.eq(self.accumulator_free)  # two acquisitions are far apart
        conditions = Cat(
            ~needs_bank | bank_free,
            ~needs_moving | self.moving_full,
            self.stationary_ready,
            self._space(m),
        )
        go, at_end = Signal(), Signal()
        m.d.comb += [
            self.start.eq(first & conditions.all()),
            go.eq(self.start | (there & ~first)),
            # not at `start`, from where paths are long: the sweep after one of a single position
            # has `spacing` cycles to wait
            begin.eq(pending & (~there | (~first & at_end))),
            self.accumulator_acquire.eq(self.start & needs_bank),
        ]
        with m.If(begin):
            m.d.sync += [
                there.eq(1),
                first.eq(1),
                needs_moving.eq(sweep["acquire_moving"]),
                needs_bank.eq(sweep["acquire_accumulator"]),
            ]
        with m.Elif(go):
            m.d.sync += [
                there.eq(~at_end),
                first.eq(0),
                needs_moving.eq(0),
                needs_bank.eq(0),
            ]
        for k, name in enumerate(_STALLS):
            stall = getattr(self, f"stall_{name}")
            m.d.sync += stall.eq(first & ~conditions[k] & conditions[:k].all())
        m.d.sync += [self.swap.eq(first), self.begins.eq(begin & sweep["new"])]

        ends = self._positions(m, held, sweep, begin, go, at_end)
        self._pulses(m, go & at_end, ends)

        # busy
        tail = Signal(range(self._publish_delay + 2))
        with m.If(there):
            m.d.sync += tail.eq(self._publish_delay + 1)
        with m.Elif(tail != 0):
            m.d.sync += tail.eq(tail - 1)
        m.d.comb += self.busy.eq(pending | there | (tail != 0))
        return m

    def _hold(self, m, take):
        """The command's fields that the sweeps need: a copy in registers."""
        command = self.command.payload
        flags = ("release_moving", "release_accumulator", "init", "ones", "zero", "moving_serial")
        flags += ("moving_wide", "stationary_wide") if self._config.bfp16 else ()
        widths = {name: 1 for name in flags}
        widths |= {name: COUNT_BITS for name in _INNER}
        for name in _INNER:
            widths[f"moving_{name}"] = self._address_bits
            widths[f"accumulator_{name}"] = self._position_bits
        widths |= {f"moving_{name}": self._address_bits for name in _OUTER[1:]}
        widths |= {name: self._position_bits for name in ("accumulator_m_step", "ones_position")}
        held = {}
        for name, width in widths.items():
            held[name] = Signal(width, name=f"held_{name}", reset_less=True)
            with m.If(take):
                m.d.sync += held[name].eq(command[name])
        held["single"] = Signal(len(_INNER), name="held_single", reset_less=True)
        with m.If(take):
            m.d.sync += held["single"].eq(Cat(command[name] == 1 for name in _INNER))
        return held

    def _sweeps(self, m, take, begin, held):
        """The first position of the sweep that is next: everything about it."""
        command = self.command.payload
        m.submodules.outer_counters = counters = LoopCounters(loops=len(_OUTER))
        m.submodules.outer_address = address = AffineAddress(
            bits=self._address_bits, loops=len(_OUTER)
        )
        onwards, last, with_ones, digit = begin, counters.last, held["ones"], 0
        if self._config.bfp16:
            m.submodules.pairs = pairs = DigitPairs()
            onwards, last = begin & pairs.last, counters.last & pairs.last
            with_ones, digit = held["ones"] & ~pairs.moving, pairs.moving
            m.d.comb += [
                pairs.load.eq(take),
                pairs.advance.eq(begin),
                pairs.moving_wide.eq(held["moving_wide"]),
                pairs.stationary_wide.eq(held["stationary_wide"]),
            ]
        for k, name in enumerate(_OUTER):
            m.d.comb += [
                counters.counts[k].eq(command[name]),
                counters.single[k].eq(command[name] == 1),
                address.steps[k].eq(held[f"moving_{name}"] if k else 0),
            ]
        m.d.comb += [
            counters.load.eq(take),
            counters.advance.eq(onwards),
            address.load.eq(take),
            address.advance.eq(onwards),
            address.carry.eq(counters.carry),
            address.base.eq(command.moving_base),
        ]
        position = Signal(self._position_bits, name="sweep_position", reset_less=True)
        tile_starts = Signal(name="tile_starts", reset_less=True)
        new = Signal(name="new_command", reset_less=True)
        acquire_moving, acquire_bank = Signal(), Signal()
        slot, bank = Signal(name="next_slot"), Signal(name="next_bank")
        with m.If(take):
            m.d.sync += [
                position.eq(command.accumulator_base),
                tile_starts.eq(1),
                new.eq(1),
                acquire_moving.eq(command.acquire_moving),
                acquire_bank.eq(command.acquire_accumulator),
            ]
        with m.Elif(begin):
            m.d.sync += [
                tile_starts.eq(counters.carry[0] & onwards),
                new.eq(0),
                acquire_moving.eq(0),
                acquire_bank.eq(0),
            ]
            with m.If(counters.carry[0] & onwards):
                m.d.sync += position.eq(position + held["accumulator_m_step"])
        with m.If(begin & last):
            m.d.sync += [
                slot.eq(slot ^ held["release_moving"]),
                bank.eq(bank ^ held["release_accumulator"]),
            ]
        return {
            "moving": address.address,
            "accumulator": position,
            "first": tile_starts & held["init"],
            "new": new,
            "acquire_moving": acquire_moving,
            "acquire_accumulator": acquire_bank,
            "slot": slot,
            "bank": bank,
            "last": last,
            "ones": with_ones,
            "digit": digit,
        }

    def _positions(self, m, held, sweep, begin, go, at_end):
        """Walks the positions of a sweep; returns which releases its end makes due."""
        new = begin & sweep["new"]
        loops = len(_INNER)
        m.submodules.inner_counters = counters = LoopCounters(loops=loops)
        for k, name in enumerate(_INNER):
            m.d.comb += [
                counters.counts[k].eq(held[name]),
                counters.single[k].eq(held["single"][k]),
            ]
        ones, at_ones = Signal(name="with_ones", reset_less=True), Signal()
        to_ones = counters.last & ones & ~at_ones
        m.d.comb += [
            at_end.eq(counters.last & (~ones | at_ones)),
            counters.load.eq(new),
            counters.advance.eq(go & ~to_ones),
        ]
        walks = {}
        for name, bits in (("moving", self._address_bits), ("accumulator", self._position_bits)):
            walks[name] = walk = AffineAddress(bits=bits, loops=loops)
            m.submodules[f"inner_{name}"] = walk
            for k, loop in enumerate(_INNER):
                step = Signal(bits, name=f"{name}_step_{k}", reset_less=True)
                m.d.comb += walk.steps[k].eq(step)
                with m.If(new):
                    m.d.sync += step.eq(held[f"{name}_{loop}"])
            m.d.comb += [
                walk.load.eq(begin),
                walk.advance.eq(go),
                walk.carry.eq(counters.carry),
                walk.base.eq(sweep[name]),
            ]

        # of the whole sweep
        ends = Signal(2)
        releases = Cat(held["release_moving"], held["release_accumulator"])
        ones_position = Signal(self._position_bits, reset_less=True)
        whole = {
            name: Signal(name=f"sweep_{name}", reset_less=True)
            for name in ("first", "slot", "bank", "zero", "serial")
        }
        if self._config.bfp16:
            whole |= {name: Signal(name=f"sweep_{name}") for name in ("wide", "digit")}
        with m.If(begin):
            m.d.sync += [whole[name].eq(sweep[name]) for name in ("first", "slot", "bank")]
            m.d.sync += [
                whole["zero"].eq(held["zero"]),
                whole["serial"].eq(held["moving_serial"]),
                ones.eq(sweep["ones"]),
                ones_position.eq(sweep["accumulator"] + held["ones_position"]),
                ends.eq(Mux(sweep["last"], releases, 0)),
            ]
            if self._config.bfp16:
                m.d.sync += [
                    whole["wide"].eq(held["moving_wide"]),
                    whole["digit"].eq(sweep["digit"]),
                ]
        with m.If(go):
            m.d.sync += at_ones.eq(to_ones)

        # outputs
        m.d.sync += [getattr(self, name).eq(value) for name, value in whole.items()]
        m.d.sync += [
            self.valid.eq(go),
            self.address.eq(walks["moving"].address),
            self.position.eq(Mux(at_ones, ones_position, walks["accumulator"].address)),
            self.ones.eq(at_ones),
        ]
        return ends

    def _pulses(self, m, ended, ends):
        publish = Signal(self._publish_delay + 1)
        m.d.sync += publish.eq(Cat(ended & ends[1], publish[:-1]))
        m.d.comb += [
            self.moving_release.eq(ended & ends[0]),
            self.accumulator_publish.eq(publish[-1]),
        ]

    def _space(self, m):
        """Whether `spacing` cycles have passed since the last start."""
        left, spaced = Signal(range(self._spacing)), Signal(init=1)
        with m.If(self.start):
            m.d.sync += [left.eq(self._spacing - 1), spaced.eq(0)]
        with m.Else():
            m.d.sync += spaced.eq(left <= 1)
            with m.If(left != 0):
                m.d.sync += left.eq(left - 1)
        return spaced
