# amaranth: UnusedElaboratable=no
"""The AXI checker lets good traffic pass and stops at every broken rule."""

import pytest
from amaranth.sim import Simulator

from eftrain_hw.dma.axi import Axi

from .checker import AxiChecker

# what each cycle drives; a read of 4 beats, a write of 2 with its data behind the address
ADDRESS = {"addr": 0x1FE0, "len": 3, "size": 3, "burst": 1, "valid": 1}
GOOD = [
    {**{f"ar{k}": v for k, v in ADDRESS.items()}},
    {"arready": 1},
    {"arvalid": 0, "awaddr": 0x2000, "awlen": 1, "awsize": 3, "awburst": 1, "awvalid": 1},
    {"awready": 1, "wvalid": 1, "wdata": 5, "wstrb": 255},
    {"awvalid": 0, "wready": 1},
    {"wdata": 6, "wlast": 1},
    {"wvalid": 0, "bvalid": 1, "bready": 1},
    {"bvalid": 0},
    {},
]


def run(cycles, protocol="axi4"):
    dut = AxiChecker(Axi(32, protocol), 16)

    async def bench(ctx):
        for cycle in cycles:
            for name, value in cycle.items():
                ctx.set(getattr(dut, name), value)
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


def changed(cycle, **values):
    return [part | values if k == cycle else part for k, part in enumerate(GOOD)]


@pytest.mark.parametrize("protocol", ["axi3", "axi4"])
def test_good_traffic_passes(protocol):
    run(GOOD, protocol)
    run(GOOD + changed(0, wlast=0, arready=0, awready=0, wready=0), protocol)


@pytest.mark.parametrize(
    "cycles, message",
    [
        (changed(1, arvalid=0, arready=0), "arvalid fell before arready"),
        (changed(1, araddr=0x1FE8), "araddr changed"),
        (changed(4, wdata=7), "wdata changed"),
        (changed(0, arsize=2), "arsize"),
        (changed(2, awburst=2), "awburst"),
        (changed(0, araddr=0x1FE4), "araddr is not aligned"),
        (changed(0, araddr=0x1FE8), "ar burst crosses 4 KiB"),
        (changed(2, awaddr=0, awlen=16), "awlen is too long"),
        (changed(2, wvalid=1, awvalid=0), "write data before"),
        (changed(5, wlast=0), "wlast"),
        (changed(4, wlast=1), "wlast"),
        (changed(1, bvalid=1, bready=1), "a response without a burst"),
        (changed(0, arid=1), "arid is not 0"),
    ],
)
def test_stops_at(cycles, message):
    with pytest.raises(AssertionError, match=message):
        run(cycles)
