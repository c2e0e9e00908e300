"""The PE array: aligners, row pairs, accumulators and their drain port."""

from amaranth.hdl import Array, Assert, Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In

from ..arith.align import VectorAlign
from ..arith.dsp48e1 import CHAIN
from ..arith.pipeline import delay
from ..streams.ports import AccumulatorRead
from .accumulator import BANKS
from .row_pair import ROWS, RowPair, check_parameters, element_shape, row_pair_bus

__all__ = ["PEArray", "moving_vector", "stationary_row"]

_ONE = {"bfp8": (64, 127), "fp32": (0x3F800000, 0)}  # element, exponent


def stationary_row(config):
    """One row of the stationary operand, an exponent for each lane, with the row's start value."""
    return data.StructLayout(
        {"row": range(config.rows), "start": 32} | _operand(config)
    )


def _operand(config):
    """A vector before alignment; in bfp16 (`wide`) with both digits, of which one is wanted."""
    elements = data.ArrayLayout(element_shape(config), config.lanes)
    fields = {"elements": elements, "exponents": data.ArrayLayout(8, config.lanes)}
    if config.bfp16:
        fields |= {"low": elements, "wide": 1, "digit": 1}
    return fields


def moving_vector(config):
    """One moving vector and what to do with its dot products.

    `swap` brings the stationary rows loaded before into use, from this vector on. `first` starts
    the sum from the row's start value instead of the stored one. `ones` replaces the vector by
    1.0 in every lane, `zero` by zeros (exponent 0).
    """
    return data.StructLayout(
        {
            "position": range(config.accumulator_depth),
            "bank": 1,
            "first": 1,
            "swap": 1,
            "ones": 1,
            "zero": 1,
        }
        | _operand(config)
    )


class _Timeline:
    """A value at later cycles; all users share one chain of registers."""

    def __init__(self, m, value, name):
        self._m, self._name, self._stages = m, name, [value]

    def __getitem__(self, cycle):
        while cycle >= len(self._stages):
            name = f"{self._name}_at{len(self._stages)}"
            self._stages.append(delay(self._m, self._stages[-1], 1, name=name))
        return self._stages[cycle]


class PEArray(wiring.Component):
    """sum[bank][row][position] (+)= S[row] . x, one moving vector a cycle.

    Two free-running inputs of the same latency: stationary rows and moving vectors. A row that
    comes in the cycle before a vector with `swap`, or earlier, belongs to it; a row in the same
    cycle or later belongs to the next `swap`. All rows must be given before each `swap`. So ``n``
    rows a sweep and vectors without a gap fit for sweeps of ``n`` vectors or more::

        stationary   r0 r1 r2 r3 r0 r1 r2 r3
        moving                   x0 x1 x2 x3 x0 ..
        swap                     1           1

    Vectors to the same position and bank come `update_latency` cycles apart or more.
    A drain reads a bank into which no vector is on its way: `latency` cycles after the last one.
    While vectors go into a bank, what is drained from it is undefined.

    Latency and cost: `latency` cycles from a vector until its sums can be read; one vector a
    cycle; bfp8: rows * lanes / 2 DSP48E1, less 4 for each of `config.lut_chains`; 2 * rows block
    RAMs of accumulator_depth x 32.
    Golden: docs/numerics.md, "Dot product and accumulation".

    Parameters
    ----------
    config : AcceleratorConfig
    primitives : str
        "portable" or "xilinx7", see `DotPairBfp8`.
    checks : bool
        Adds an assertion that no position returns within `update_latency` (simulation only).

    Members
    -------
    stationary : In(stream(stationary_row(config))), always ready
    moving : In(stream(moving_vector(config))), always ready
    accumulator : In(AccumulatorRead(config))
        Drain port, `drain_latency` cycles.

    Raises
    ------
    TypeError, ValueError
    """

    def __init__(self, config, *, primitives="portable", checks=False):
        check_parameters("PEArray", config, primitives)
        self._config = config
        self._primitives = primitives
        self._checks = bool(checks)
        self._aligners = {}
        if config.has_exponents:
            self._aligners = {
                name: VectorAlign(lanes=config.lanes, element_bits=16 if config.bfp16 else 8)
                for name in ("stationary", "moving")
            }
        self._pairs = [
            RowPair(config, primitives=primitives, lut_chains=chains)
            for chains in self._lut_chains()
        ]
        super().__init__(
            {
                "stationary": In(stream.Signature(stationary_row(config), always_ready=True)),
                "moving": In(stream.Signature(moving_vector(config), always_ready=True)),
                "accumulator": In(AccumulatorRead(config)),
            }
        )

    @property
    def config(self):
        return self._config

    @property
    def primitives(self):
        return self._primitives

    @property
    def checks(self):
        return self._checks

    def _lut_chains(self):
        """How many chains of each pair are of LUTs: the last ones of the array."""
        config = self._config
        chains, left = config.lanes // CHAIN, config.lut_chains
        counts = []
        for _ in range(config.rows // ROWS):
            counts.append(min(chains, left))
            left -= counts[-1]
        return counts[::-1]

    @property
    def _aligned_cycle(self):
        """When a vector is aligned; the cycle of its input is 0."""
        return self._aligners["moving"].latency if self._aligners else 0

    @property
    def _operand_cycle(self):
        """When it enters the rows."""
        return self._aligned_cycle + 1

    @property
    def _term_cycle(self):
        return self._operand_cycle + self._pairs[0].term_latency

    @property
    def _write_cycle(self):
        return self._term_cycle + self._pairs[0].adder_latency

    @property
    def latency(self):
        """Cycles from a vector until `accumulator.position` may name its position."""
        return self._write_cycle

    @property
    def update_latency(self):
        """Least distance of two vectors to the same position, in cycles."""
        return self._pairs[0].update_latency

    @property
    def drain_latency(self):
        """Cycles from `accumulator.position` to `accumulator.values`."""
        return 4

    def elaborate(self, platform):
        m = Module()
        bus = Signal(row_pair_bus(self._config))

        # operands
        self._stationary_operand(m, bus)
        self._moving_operand(m, bus)

        # accumulator addresses
        self._control(m, bus)

        # rows
        for index, pair in enumerate(self._pairs):
            m.submodules[f"pair_{index}"] = pair
            m.d.comb += pair.bus.eq(bus)
        self._load_strobes(m)

        # drain
        self._drain(m, [pair.stored[row] for pair in self._pairs for row in range(ROWS)])
        return m

    def _aligned(self, m, name, vector):
        """Elements and exponent of a vector at `_aligned_cycle`."""
        if not self._aligners:
            return vector.elements, 0
        align = self._aligners[name]
        m.submodules[f"align_{name}"] = align
        inputs = ("elements", "exponents")
        inputs += ("low", "wide", "digit") if self._config.bfp16 else ()
        m.d.comb += [getattr(align, field).eq(vector[field]) for field in inputs]
        return align.o_elements, align.o_exponent

    def _stationary_operand(self, m, bus):
        row = self.stationary.payload
        elements, exponent = self._aligned(m, "stationary", row)
        operand = Signal.like(bus.stationary, name="stationary_operand", reset_less=True)
        m.d.sync += operand.eq(elements)
        m.d.comb += bus.stationary.eq(operand)
        if self._config.has_exponents:
            late = delay(m, exponent, self._pairs[0].dot_latency, name="stationary_exponent")
            m.d.comb += bus.stationary_exponent.eq(late)
        start = delay(m, row.start, self._term_cycle - 2, name="start")
        m.d.comb += bus.start.eq(start)

    def _moving_operand(self, m, bus):
        vector = self.moving.payload
        elements, exponent = self._aligned(m, "moving", vector)
        ones = delay(m, vector.ones, self._aligned_cycle, name="ones")
        zero = delay(m, vector.zero, self._aligned_cycle, name="zero")
        one, one_exponent = _ONE[self._config.format]
        operand = Signal.like(bus.moving, name="moving_operand", reset_less=True)
        for lane in range(self._config.lanes):
            element = Mux(zero, 0, elements[lane])
            m.d.sync += operand[lane].eq(Mux(ones, one, element))
        m.d.comb += bus.moving.eq(operand)
        if self._config.has_exponents:
            late = Signal(8, name="moving_exponent", reset_less=True)
            m.d.sync += late.eq(Mux(ones, one_exponent, Mux(zero, 0, exponent)))
            late = delay(m, late, self._pairs[0].dot_latency, name="moving_exponent")
            m.d.comb += bus.moving_exponent.eq(late)

    def _strobe_cycles(self):
        """(bus field or pair member, cycle) of the three steps that take stationary values."""
        operand = self._operand_cycle
        steps = [("", operand), ("_start", self._term_cycle - 2)]
        if self._config.has_exponents:
            steps.append(("_exponent", operand + self._pairs[0].dot_latency - 1))
        return steps

    def _load_strobes(self, m):
        row = self.stationary.payload.row
        tag = _Timeline(m, Cat(self.stationary.valid, row), "row")
        for step, cycle in self._strobe_cycles():
            valid, row = tag[cycle - 1][0], tag[cycle - 1][1:]
            for index, pair in enumerate(self._pairs):
                strobe = Signal(ROWS, name=f"load{step}_{index}", reset_less=True)
                for k in range(ROWS):
                    m.d.sync += strobe[k].eq(valid & (row == index * ROWS + k))
                m.d.comb += getattr(pair, f"load{step}").eq(strobe)

    def _control(self, m, bus):
        vector = self.moving.payload
        control = bus.accumulator
        swap = _Timeline(m, self.moving.valid & vector.swap, "swap")
        for step, cycle in self._strobe_cycles():
            m.d.comb += bus[f"swap{step}"].eq(swap[cycle])

        # every vector that is on its way to its sum: from the addresses to the write
        read_cycle = self._term_cycle - 2
        tag = _Timeline(m, Cat(vector.position, vector.bank, vector.first), "tag")
        valid = [self.moving.valid]
        for cycle in range(1, self._write_cycle):
            stage = Signal(name=f"valid_at{cycle}")
            m.d.sync += stage.eq(valid[-1])
            valid.append(stage)

        def position(cycle):
            return tag[cycle][: len(vector.position)]

        def bank(cycle):
            return tag[cycle][len(vector.position)]

        read = Signal.like(control.read, name="read_position", reset_less=True)
        write = Signal(BANKS, name="write")
        for k in range(BANKS):
            computes = valid[read_cycle - 1] & (bank(read_cycle - 1) == k)
            address = Mux(computes, position(read_cycle - 1), self.accumulator.position)
            m.d.sync += [
                read[k].eq(address),
                write[k].eq(valid[-1] & (bank(self._write_cycle - 1) == k)),
            ]
        m.d.comb += [
            control.read.eq(read),
            control.bank.eq(bank(read_cycle + 1)),
            control.first.eq(tag[read_cycle + 1][-1]),
            control.write.eq(write),
            control.position.eq(position(self._write_cycle)),
        ]

        if self._checks:
            for cycle in range(read_cycle, read_cycle + self.update_latency - 1):
                same = tag[read_cycle - 1][:-1] == tag[cycle][:-1]
                returns = valid[read_cycle - 1] & valid[cycle] & same
                m.d.sync += Assert(~returns, "a position returned within the accumulator latency")

    def _drain(self, m, stored):
        port, lanes = self.accumulator, self._config.drain_lanes
        group = delay(m, port.group, 2, name="group")
        bank = delay(m, port.bank, 3, name="drained_bank")
        for lane in range(lanes):
            rows = stored[lane::lanes]
            taken = []
            for k in range(BANKS):
                value = Signal(32, name=f"drained_{lane}_{k}", reset_less=True)
                m.d.sync += value.eq(Array(row[k] for row in rows)[group])
                taken.append(value)
            values = Signal(32, name=f"values_{lane}", reset_less=True)
            m.d.sync += values.eq(Mux(bank, taken[1], taken[0]))
            m.d.comb += port.values[lane].eq(values)
        return m
