"""cocotb tests that the tests of the runner call: some are meant to fail."""

import cocotb

from .bus import cycles, parameters, start

_, OPTIONS = parameters()


@cocotb.test()
async def counts(dut):
    await start(dut, limit=100, enable=1)
    await cycles(dut, 3)
    assert int(dut.count.value) == OPTIONS["expected"]


@cocotb.test()
async def ends(dut):
    await start(dut, limit=100, enable=0)
    if OPTIONS["hang"]:
        await cycles(dut, 200)
    if OPTIONS["overflow"]:
        dut.enable.value = 1
        await cycles(dut, 40)
