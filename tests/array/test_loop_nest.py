# amaranth: UnusedElaboratable=no

import itertools

import pytest
from amaranth.hdl import Module
from amaranth.sim import Simulator
from hypothesis import given, settings
from hypothesis import strategies as st

from eftrain_hw.array.loop_nest import AffineAddress, LoopCounters

BITS, LOOPS = 10, 3


def walk(nests, held):
    """Addresses of several nests in turn, an address a cycle but for the cycles in `held`."""
    m = Module()
    m.submodules.counters = counters = LoopCounters(loops=LOOPS)
    m.submodules.address = address = AffineAddress(bits=BITS, loops=LOOPS)
    m.d.comb += [
        address.load.eq(counters.load),
        address.advance.eq(counters.advance),
        address.carry.eq(counters.carry),
    ]
    seen = []

    async def testbench(ctx):
        cycle = 0
        for counts, steps, base in nests:
            ctx.set(counters.load, 1)
            ctx.set(counters.counts, list(counts))
            ctx.set(counters.single, sum((count == 1) << k for k, count in enumerate(counts)))
            ctx.set(address.base, base)
            await ctx.tick()
            ctx.set(counters.load, 0)
            ctx.set(address.steps, [step % (1 << BITS) for step in steps])
            total = counts[0] * counts[1] * counts[2]
            while total:
                go = cycle not in held
                assert ctx.get(counters.last) == (total == 1)
                ctx.set(counters.advance, go)
                if go:
                    seen.append(ctx.get(address.address))
                    total -= 1
                await ctx.tick()
                cycle += 1
            ctx.set(counters.advance, 0)
            assert ctx.get(counters.last) == (counts[0] * counts[1] * counts[2] == 1)

    sim = Simulator(m)
    sim.add_clock(1e-6)
    sim.add_testbench(testbench)
    sim.run()
    return seen


counts = st.tuples(*[st.integers(1, 4)] * LOOPS)
steps = st.tuples(*[st.integers(-300, 300)] * LOOPS)
nest = st.tuples(counts, steps, st.integers(0, (1 << BITS) - 1))


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.lists(nest, min_size=1, max_size=3), st.sets(st.integers(0, 30)))
def test_addresses_equal_the_nested_loops(nests, held):
    expected = [
        (base + sum(i * step for i, step in zip(index, steps))) % (1 << BITS)
        for counts, steps, base in nests
        for index in itertools.product(*map(range, counts))
    ]
    assert walk(nests, held) == expected


@pytest.mark.parametrize(
    "make, error, message",
    [
        (lambda: LoopCounters(loops=1.0), TypeError, "LoopCounters loops must be an int, not 1.0"),
        (lambda: LoopCounters(loops=0), ValueError, "LoopCounters loops must be at least 1, not 0"),
        (
            lambda: AffineAddress(bits=None, loops=1),
            TypeError,
            "AffineAddress bits must be an int, not None",
        ),
        (
            lambda: AffineAddress(bits=8, loops=-1),
            ValueError,
            "AffineAddress loops must be at least 1, not -1",
        ),
    ],
)
def test_rejects_bad_parameters(make, error, message):
    with pytest.raises(error) as raised:
        make()
    assert str(raised.value) == message
