"""The PE array alone, behind streams: a matrix-vector multiplier.

    python -m examples.pe_array
"""

import numpy as np
from amaranth.hdl import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from eftrain_hw import AcceleratorConfig
from eftrain_hw.array.pe_array import PEArray
from eftrain_hw.formats import Blocked, format_named

__all__ = ["MatrixVector", "main", "multiply", "vector_layout"]


def vector_layout(config):
    """A vector of `lanes` elements with its exponent, and whether it is the last one."""
    bits = 8 * config.element_bytes
    return data.StructLayout(
        {"elements": data.ArrayLayout(bits, config.lanes), "exponent": 8, "last": 1}
    )


class MatrixVector(wiring.Component):
    """y = W x for packets of vectors: first `rows` rows of W, then vectors x up to `last`.

        weights  w0 w1 .. w(rows-1) | w0 ..
        x                           x0 x1 x2(last)
        y                                            x0: rows 0.., rows drain_lanes.., x1: ..

    A packet has at most `accumulator_depth` vectors. Results come in fp32, `drain_lanes` rows an
    item, all rows of a vector before the next vector. Then W is given anew.

    Latency and cost: a row or vector a cycle; results every `drain_latency` + 2 cycles.
    Golden: eftrain_hw.golden.conv.conv_forward, kernel 1x1, encode=False.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    weights, x : In(stream(vector_layout(config)))
    y : Out(stream(ArrayLayout(32, drain_lanes)))
    """

    def __init__(self, config):
        self._config = config
        vector = stream.Signature(vector_layout(config))
        results = stream.Signature(data.ArrayLayout(32, config.drain_lanes))
        super().__init__({"weights": In(vector), "x": In(vector), "y": Out(results)})

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.submodules.array = array = PEArray(config)
        groups = config.rows // config.drain_lanes
        row, position = Signal(range(config.rows)), Signal(range(config.accumulator_depth))
        end, group = Signal.like(position), Signal(range(max(2, groups)))
        wait = Signal(range(max(array.latency, array.drain_latency) + 1))

        for port, source in ((array.stationary, self.weights), (array.moving, self.x)):
            taken = source.valid & source.ready
            m.d.comb += [
                port.valid.eq(taken),
                port.payload.elements.as_value().eq(source.payload.elements.as_value()),
                *(exponent.eq(source.payload.exponent) for exponent in port.payload.exponents),
            ]
        m.d.comb += [
            array.stationary.payload.row.eq(row),
            array.moving.payload.position.eq(position),
            array.moving.payload.first.eq(1),  # the sum starts from the row's start value: 0
            array.moving.payload.swap.eq(position == 0),
            array.accumulator.position.eq(position),
            array.accumulator.group.eq(group),
        ]
        with m.FSM():
            with m.State("TAKE_ROWS"):
                m.d.comb += self.weights.ready.eq(1)
                with m.If(self.weights.valid):
                    m.d.sync += row.eq(row + 1)
                    with m.If(row == config.rows - 1):
                        m.d.sync += [row.eq(0), position.eq(0)]
                        m.next = "TAKE_VECTORS"
            with m.State("TAKE_VECTORS"):
                m.d.comb += self.x.ready.eq(1)
                m.d.sync += wait.eq(array.latency)
                with m.If(self.x.valid):
                    m.d.sync += [position.eq(position + 1), end.eq(position)]
                    with m.If(self.x.payload.last):
                        m.d.sync += position.eq(0)
                        m.next = "SETTLE"
            with m.State("SETTLE"):  # the last vector is on its way
                m.d.sync += wait.eq(wait - 1)
                with m.If(wait == 0):
                    m.d.sync += wait.eq(array.drain_latency)
                    m.next = "READ"
            with m.State("READ"):
                m.d.sync += wait.eq(wait - 1)
                with m.If(wait == 0):
                    m.d.sync += [self.y.payload.eq(array.accumulator.values), self.y.valid.eq(1)]
                    m.next = "GIVE"
            with m.State("GIVE"), m.If(self.y.ready):
                m.d.sync += [self.y.valid.eq(0), wait.eq(array.drain_latency)]
                m.d.sync += group.eq(group + 1)
                m.next = "READ"
                with m.If(group == groups - 1):
                    m.d.sync += [group.eq(0), position.eq(position + 1)]
                    with m.If(position == end):
                        m.d.sync += position.eq(0)
                        m.next = "TAKE_ROWS"
        return m


def _payloads(blocked):
    """Stream payloads of the vectors of a Blocked, the last one marked."""
    lanes = blocked.elements.shape[-1]
    elements = blocked.elements.reshape(-1, lanes)
    bits = elements.view(f"u{elements.dtype.itemsize}")
    exponents = np.zeros(len(bits), int)
    if blocked.exponents is not None:
        exponents = blocked.exponents.reshape(-1)
    return [
        {"elements": vector.tolist(), "exponent": int(exponent), "last": index == len(bits) - 1}
        for index, (vector, exponent) in enumerate(zip(bits, exponents))
    ]


def multiply(config, packets, *, stall=0.0, seed=0):
    """Run packets through the RTL.

    Parameters
    ----------
    config : AcceleratorConfig
    packets : list of (Blocked, Blocked)
        Rows of W and vectors x.
    stall : float
        Probability that a stream pauses in a cycle.

    Returns
    -------
    list of numpy.ndarray
        float32 (vectors, rows).
    """
    from sim.models.clients import receive, send

    dut = MatrixVector(config)
    counts = [len(x.elements.reshape(-1, config.lanes)) for _, x in packets]
    groups = config.rows // config.drain_lanes
    words = []

    async def give_weights(ctx):
        rows = [payload for weights, _ in packets for payload in _payloads(weights)]
        await send(ctx, dut.weights, rows, stall=stall, seed=seed)

    async def give_x(ctx):
        vectors = [payload for _, x in packets for payload in _payloads(x)]
        await send(ctx, dut.x, vectors, stall=stall, seed=seed + 1)

    async def take(ctx):
        items = await receive(ctx, dut.y, sum(counts) * groups, stall=stall, seed=seed + 2)
        words.extend([int(word) for word in item] for _, item in items)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    for bench in (give_weights, give_x, take):
        simulator.add_testbench(bench)
    simulator.run()
    values = np.array(words, np.uint32).view(np.float32).reshape(-1, config.rows)
    return np.split(values, np.cumsum(counts)[:-1])


def main():
    config = AcceleratorConfig(rows=8, lanes=8, accumulator_depth=32)
    rng = np.random.default_rng(1)
    format = format_named(config.format)
    weights = rng.normal(0, 0.3, (config.rows, config.lanes)).astype(np.float32)
    x = rng.normal(0, 1, (12, config.lanes)).astype(np.float32)
    (y,) = multiply(config, [(Blocked.encode(format, weights), Blocked.encode(format, x))])
    error = np.abs(y - x @ weights.T).max()
    print(f"{len(x)} vectors times a {config.rows}x{config.lanes} matrix in {config.format}:")
    print(f"largest error against float32 {error:.4f}, largest result {np.abs(y).max():.4f}")
    assert error < 0.05


if __name__ == "__main__":
    main()
