# amaranth: UnusedElaboratable=no
"""A published slot stays as it is until it is released, weights and biases."""

import pytest
from amaranth.sim import Simulator

from eftrain_hw.buffers.bias_bank import BiasBank
from eftrain_hw.buffers.moving import MovingBuffer
from eftrain_hw.buffers.weight_reuse import WeightReuseBuffer
from eftrain_hw.config import AcceleratorConfig

CONFIG = AcceleratorConfig(
    rows=4, lanes=8, ports=1, drain_lanes=1, stationary_words=64, moving_words=64, bias_depth=32
)


def test_a_slot_is_kept_while_the_other_is_filled():
    dut = WeightReuseBuffer(config=CONFIG)

    async def bench(ctx):
        async def pulse(name):
            ctx.set(getattr(dut, name), 1)
            await ctx.tick()
            ctx.set(getattr(dut, name), 0)

        async def fill(value):
            """Weight 0 of lane 3 and biases 0, 1; published with the last write."""
            await pulse("acquire")
            ctx.set(dut.bias_write.enable, 1)
            ctx.set(dut.bias_write.data, value | value + 1 << 32)
            await ctx.tick()
            ctx.set(dut.bias_write.enable, 0)
            ctx.set(dut.write.lanes, 1 << 3)
            ctx.set(dut.write.groups, 1)
            ctx.set(dut.write.data, value << 8 * 3)  # lane 3 keeps element 0 at position 3
            await pulse("publish")
            ctx.set(dut.write.lanes, 0)

        async def read():
            slot = ctx.get(dut.read_slot)
            ctx.set(dut.read.slot, slot)
            ctx.set(dut.bias_read.slot, slot)
            ctx.set(dut.bias_read.word, 1)
            for _ in range(dut.read_latency):
                await ctx.tick()
            return ctx.get(dut.read.elements[3]), ctx.get(dut.bias_read.value)

        assert ctx.get(dut.free) and not ctx.get(dut.full)
        await fill(10)
        assert ctx.get(dut.free) and ctx.get(dut.full)
        assert await read() == (10, 11)
        await fill(20)
        assert not ctx.get(dut.free)
        for _ in range(3):
            assert await read() == (10, 11)
        await pulse("release")
        assert ctx.get(dut.free) and ctx.get(dut.full)
        assert await read() == (20, 21)
        await fill(30)
        assert await read() == (20, 21)
        await pulse("release")
        assert await read() == (30, 31)
        await pulse("release")
        assert not ctx.get(dut.full)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


@pytest.mark.parametrize("component", [WeightReuseBuffer, MovingBuffer, BiasBank])
def test_rejects_config(component):
    message = f"^{component.__name__} config must be an AcceleratorConfig, not 'x'$"
    with pytest.raises(TypeError, match=message):
        component(config="x")
