"""Amaranth's own simulator, for benches of one component."""

from amaranth.sim import Simulator

__all__ = ["simulate"]


def simulate(dut, *benches, cycles=20_000, background=()):
    """Run testbenches on a component until the last of them returns.

    Parameters
    ----------
    dut : Elaboratable
        With one clock domain, `sync`.
    benches, background : testbenches
        Those in the background are not waited for.
    cycles : int
        AssertionError when the benches have not finished after so many.
    """

    async def limit(ctx):
        for _ in range(cycles):
            await ctx.tick()
        raise AssertionError(f"not finished after {cycles} cycles")

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    for bench in benches:
        simulator.add_testbench(bench)
    for bench in (limit, *background):
        simulator.add_testbench(bench, background=True)
    simulator.run()
