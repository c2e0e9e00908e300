"""Runs of the vector processor's streams: addresses and lengths."""

from amaranth.hdl import C, Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from .. import program_format as layout
from ..rom import rom
from .structs import INSTRUCTION, PORTS, RUNS, run_struct

__all__ = ["RunMaker"]

_WRITES = ("e", "ex", "w0", "w1")


class RunMaker(wiring.Component):
    """Make a run of a vector index, unless it is padding or a result that does not leave.

    Latency and cost: 1 cycle; at most every second cycle; about 220 LUT.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    lines : In(ArrayLayout), kinds : In(10), program_words : In(16), instruction : In(INSTRUCTION)
        As in `Walker`.
    visit : In(1), step : In(4), index : In(32)
        What is to be run, by its place in `RUNS`; taken while the run is not valid.
    vectors : In(6), pad : In(1), end : In(1)
        Of the segment.
    run : Out(stream of run_struct)
    """

    def __init__(self, config):
        self._config = config
        super().__init__(
            {
                "lines": In(data.ArrayLayout(config.address_bits - 6, len(RUNS))),
                "kinds": In(10),
                "program_words": In(16),
                "instruction": In(INSTRUCTION),
                "visit": In(1),
                "step": In(range(len(RUNS))),
                "index": In(32),
                "vectors": In(6),
                "pad": In(1),
                "end": In(1),
                "run": Out(stream.Signature(run_struct(config))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, now, kinds, step = self._config, self.instruction, self.kinds, self.step
        lanes = exact_log2(config.lanes)
        raw_elements = config.element_bytes == 4
        a_raw, b_raw = kinds[0:2] == 2, kinds[2:4] == 2
        w1_bytes = kinds[8:10] == layout.KINDS.index("bytes")

        def choose(name, values):
            """1 where the step's value is."""
            result = Signal(name=name)
            with m.Switch(step):
                for number, run in enumerate(RUNS):
                    value = values.get(run, 0)
                    if not isinstance(value, int) or value:
                        with m.Case(number):
                            m.d.comb += result.eq(value)
            return result

        words = choose("words", {  # 4 bytes an element
            "a": raw_elements | a_raw, "b": b_raw | (raw_elements & (kinds[2:4] == 1)), "c": 1,
            "e": int(raw_elements), "w0": 1, "w1": ~w1_bytes,
        })  # fmt: skip
        single = choose("single", {"ax": 1, "bx": 1, "ex": 1})
        quarter = choose("quarter", {
            "a": C(not raw_elements, 1) & ~a_raw,
            "b": ~b_raw & (C(not raw_elements, 1) | (kinds[2:4] == 3)), "w1": w1_bytes,
        })  # fmt: skip
        written = choose("written", dict.fromkeys(_WRITES, 1))
        padded = choose("padded", dict.fromkeys(("a", "ax", "b", "bx"), 1))
        program = choose("of_program", {"program": 1, "scalars": 1})
        base = Signal(self.lines[0].shape())
        m.d.comb += base.eq(self.lines[step])
        offset = Mux(words, self.index << lanes + 2, Mux(single, self.index, self.index << lanes))
        count = Signal(6)
        m.d.comb += count.eq(Mux(written & now.emit, 1, self.vectors))
        items = Mux(quarter, count << lanes - 2, Mux(single, count, count << lanes))
        port = Cat(choose(f"to_{name}", dict.fromkeys(runs, 1)) for name, runs in PORTS.items())
        kind = rom(m, "kind", step, [
            {"bx": 1, "c": 2, "program": 3, "scalars": 3}.get(run, 0) for run in RUNS
        ])  # fmt: skip

        payload = Signal(self.run.payload.shape(), reset_less=True)
        m.d.comb += self.run.payload.eq(payload)
        with m.If(self.run.ready):
            m.d.sync += self.run.valid.eq(0)
        with m.If(~self.run.valid & self.visit):
            m.d.sync += [
                self.run.valid.eq((~padded | ~self.pad) & (~written | ~now.emit | self.end)),
                payload.address.eq((base << 6) + offset),
                payload.items.eq(items),
                payload.port.eq(port),
                payload.kind.eq(kind),
            ]
            with m.If(program):
                m.d.sync += payload.items.eq(
                    Mux(step[0] ^ (RUNS.index("program") & 1), layout.SCALARS, self.program_words)
                )
        return m
