"""Two rows of the PE array: dot products, scaling and accumulators."""

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..arith.dot_bfp8 import DotPairBfp8
from ..arith.dot_fp32 import DotFp32
from ..arith.integer_to_fp32 import ScaledToFp32
from ..config import AcceleratorConfig
from .accumulator import BANKS, Accumulator, accumulator_control

__all__ = ["RowPair", "row_pair_bus"]

ROWS = 2
PRIMITIVES = ("portable", "xilinx7")


def check_parameters(owner, config, primitives):
    """Raises TypeError or ValueError, naming the component `owner`."""
    if not isinstance(config, AcceleratorConfig):
        raise TypeError(f"{owner} config must be an AcceleratorConfig, not {config!r}")
    if primitives not in PRIMITIVES:
        raise ValueError(f"{owner} primitives must be one of {PRIMITIVES}, not {primitives!r}")


def element_shape(config):
    """Shape of an element inside the array."""
    return signed(8) if config.has_exponents else 32


def row_pair_bus(config):
    """What all pairs receive: operands and the controls of each step of the pipeline.

    A step takes a stationary value of the row that its own load strobe names into a shadow, and
    `swap_*` brings all shadows into use; the strobes are `RowPair`'s.
    """
    vector = data.ArrayLayout(element_shape(config), config.lanes)
    return data.StructLayout(
        {
            "stationary": vector,
            "moving": vector,
            "swap": 1,
            "stationary_exponent": 8,
            "moving_exponent": 8,
            "swap_exponent": 1,
            "start": 32,
            "swap_start": 1,
            "accumulator": accumulator_control(config.accumulator_depth),
        }
    )


class RowPair(wiring.Component):
    """sum[row][position] (+)= S[row] . x for two rows that share the moving vector.

    ::

        cycle  0            D                    T - 1   T
               swap, x ->   moving_exponent ->           term -> accumulator
               load         load_exponent - 1    load_start - 1

    `load` precedes the `swap` it belongs to, `load_exponent` and `load_start` likewise precede
    `swap_exponent` and `swap_start`; a load in the cycle of a swap belongs to the next one. The
    exponent in use meets `moving_exponent` at cycle D = `dot_latency`, so `swap_exponent` comes at
    D - 1; the start value meets `accumulator.first` at T - 1, so `swap_start` comes at T - 2.

    Latency and cost: T = `term_latency` cycles to the accumulators' adder. bfp8: `lanes` DSP48E1,
    less 4 for each of `lut_chains`.
    Golden: docs/numerics.md, "Dot product and accumulation".

    Parameters
    ----------
    config : AcceleratorConfig
    primitives : str
        "portable" or "xilinx7", see `DotPairBfp8`.
    lut_chains : int
        See `DotPairBfp8`.

    Members
    -------
    bus : In(row_pair_bus(config))
    load, load_exponent, load_start : In(2)
        Strobes, one bit for each row.
    stored : Out(ArrayLayout(ArrayLayout(32, 2), 2))
        What was read from the accumulators: [row][bank].

    Raises
    ------
    TypeError, ValueError
    """

    def __init__(self, config, *, primitives="portable", lut_chains=0):
        check_parameters("RowPair", config, primitives)
        self._config = config
        self._primitives = primitives
        if config.has_exponents:
            self._dots = [
                DotPairBfp8(lanes=config.lanes, primitives=primitives, lut_chains=lut_chains)
            ]
            bits = len(self._dots[0].o0)
            self._scales = [ScaledToFp32(integer_bits=bits) for _ in range(ROWS)]
        else:
            self._dots = [DotFp32(lanes=config.lanes) for _ in range(ROWS)]
            self._scales = []
        self._accumulators = [Accumulator(depth=config.accumulator_depth) for _ in range(ROWS)]
        super().__init__(
            {
                "bus": In(row_pair_bus(config)),
                "load": In(ROWS),
                "load_exponent": In(ROWS),
                "load_start": In(ROWS),
                "stored": Out(data.ArrayLayout(data.ArrayLayout(32, BANKS), ROWS)),
            }
        )

    @property
    def config(self):
        return self._config

    @property
    def primitives(self):
        return self._primitives

    @property
    def dot_latency(self):
        """Cycles from the moving vector to its dot products."""
        return self._dots[0].latency

    @property
    def term_latency(self):
        """Cycles from the moving vector to its binary32 terms."""
        return self.dot_latency + (self._scales[0].latency if self._scales else 0)

    @property
    def adder_latency(self):
        """Cycles from a term to its sum."""
        return self._accumulators[0].adder_latency

    @property
    def update_latency(self):
        """Least distance of two updates of one position, in cycles."""
        return self._accumulators[0].update_latency

    def elaborate(self, platform):
        m = Module()
        terms = self._terms_bfp8(m) if self._scales else self._terms_fp32(m)
        for row, (term, accumulator) in enumerate(zip(terms, self._accumulators)):
            m.submodules[f"accumulator_{row}"] = accumulator
            start = self._double_buffer(
                m, f"start_{row}", self.bus.start, self.load_start[row], self.bus.swap_start
            )
            m.d.comb += [
                accumulator.control.eq(self.bus.accumulator),
                accumulator.term.eq(term),
                accumulator.start.eq(start),
                self.stored[row].eq(accumulator.stored),
            ]
        return m

    @staticmethod
    def _double_buffer(m, name, value, load, swap):
        shadow = Signal(len(value), name=f"{name}_shadow", reset_less=True)
        active = Signal(len(value), name=f"{name}_active", reset_less=True)
        with m.If(load):
            m.d.sync += shadow.eq(value)
        with m.If(swap):
            m.d.sync += active.eq(shadow)
        return active

    def _terms_bfp8(self, m):
        bus = self.bus
        m.submodules.dot = dot = self._dots[0]
        m.d.comb += [
            dot.load0.eq(self.load[0]),
            dot.load1.eq(self.load[1]),
            dot.w0.eq(bus.stationary),
            dot.w1.eq(bus.stationary),
            dot.swap.eq(bus.swap),
            dot.x.eq(bus.moving),
        ]
        terms = []
        for row, (integer, scale) in enumerate(zip((dot.o0, dot.o1), self._scales)):
            m.submodules[f"scale_{row}"] = scale
            exponent = self._double_buffer(
                m,
                f"exponent_{row}",
                bus.stationary_exponent,
                self.load_exponent[row],
                bus.swap_exponent,
            )
            m.d.comb += [
                scale.value.eq(integer),
                scale.exponent.eq(exponent + bus.moving_exponent),
            ]
            terms.append(scale.o)
        return terms

    def _terms_fp32(self, m):
        terms = []
        for row, dot in enumerate(self._dots):
            m.submodules[f"dot_{row}"] = dot
            m.d.comb += [
                dot.load.eq(self.load[row]),
                dot.w.eq(self.bus.stationary),
                dot.swap.eq(self.bus.swap),
                dot.x.eq(self.bus.moving),
            ]
            terms.append(dot.o)
        return terms
