# amaranth: UnusedElaboratable=no
"""connect_streams: same payload or a TypeError that names both."""

import pytest
from amaranth.hdl import Module, unsigned
from amaranth.lib import data, stream
from amaranth.sim import Simulator

from eftrain_hw.streams.connect import connect_streams
from eftrain_hw.streams.register import Register

PAIR = data.StructLayout({"a": 4, "b": 4})
OTHER = data.StructLayout({"a": 4, "c": 4})


def test_connects():
    m = Module()
    m.submodules.first = first = Register(PAIR)
    m.submodules.second = second = Register(data.StructLayout({"a": 4, "b": 4}))
    connect_streams(m, first.o, second.i)

    async def bench(ctx):
        ctx.set(first.i.payload, {"a": 3, "b": 9})
        ctx.set(first.i.valid, 1)
        ctx.set(second.o.ready, 1)
        await ctx.tick()
        ctx.set(first.i.valid, 0)
        await ctx.tick().until(second.o.valid)
        assert ctx.get(second.o.payload.b) == 9

    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


@pytest.mark.parametrize("sink", [8, unsigned(8), range(256)])
def test_plain_widths_are_equal(sink):
    source = stream.Signature(unsigned(8)).create()
    connect_streams(Module(), source, stream.Signature(sink).flip().create())


@pytest.mark.parametrize("sink", [OTHER, unsigned(8), unsigned(9)])
def test_names_both_shapes(sink):
    with pytest.raises(TypeError) as caught:
        connect_streams(
            Module(), stream.Signature(PAIR).create(), stream.Signature(sink).flip().create()
        )
    assert str(caught.value) == (
        f"streams must carry the same payload: source {PAIR!r}, sink {sink!r}"
    )


def test_rejects_what_is_no_stream():
    with pytest.raises(TypeError, match="^sink of a connection must be a stream, not 5$"):
        connect_streams(Module(), stream.Signature(8).create(), 5)


def test_always_ready_and_always_valid():
    plain, eager = stream.Signature(8), stream.Signature(8, always_ready=True)
    constant = stream.Signature(8, always_valid=True)
    connect_streams(Module(), eager.create(), eager.flip().create())
    connect_streams(Module(), plain.create(), eager.flip().create())
    with pytest.raises(TypeError, match="always_ready"):
        connect_streams(Module(), eager.create(), plain.flip().create())
    with pytest.raises(TypeError, match="always_valid"):
        connect_streams(Module(), plain.create(), constant.flip().create())
