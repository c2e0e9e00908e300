"""Every register through AXI4-Lite against a model made from the table."""

import random

import pytest

from eftrain_hw.config import AcceleratorConfig
from eftrain_hw.csr.csr_block import Csr, member_name
from eftrain_hw.csr.registers import COUNTER_BASE, COUNTERS, REGISTERS, by_name, capabilities

OKAY, SLVERR, DECERR = 0, 2, 3
CONFIG = AcceleratorConfig(address_bits=36)
PLAIN = [r for r in REGISTERS if not r.name.startswith("counter_")]


def implemented(register, field):
    """Mask of the bits of a field that exist: addresses are as wide as the core's."""
    if register.part is None or register.part[0] == "build_id":
        return field.mask
    return field.mask & ((1 << CONFIG.address_bits) - 1) >> 32 * register.part[1]


def model_reset():
    values = {r.address: r.reset for r in PLAIN}
    values.update({by_name(name).address: v for name, v in capabilities(CONFIG).items()})
    values[by_name("status").address] = 0
    return values


@pytest.mark.parametrize("stall", [0, 0.5, 0.9])
def test_random_accesses(master, simulate, stall):
    dut = Csr(CONFIG)
    rng = random.Random(int(stall * 10))
    port = master(dut.axil, stall=stall, seed=int(stall * 10))
    holes = [0x038, 0x0A0, 0x0EC, 0x0F8, 0x200, 0xFFC, COUNTER_BASE + 8 * len(COUNTERS)]
    by_address = {register.address: register for register in PLAIN}

    async def bench(ctx):
        ctx.set(dut.status_idle, 1)
        values = model_reset()
        values[by_name("status").address] = 1
        for _ in range(400 if stall < 0.9 else 150):
            address = rng.choice([*by_address, *by_address, *holes])
            register = by_address.get(address)
            if rng.random() < 0.5:
                want = (0, DECERR) if register is None else (values[address], OKAY)
                assert await port.read(ctx, address | rng.choice([0, 0, 3])) == want
                continue
            idle = rng.random() < 0.7
            ctx.set(dut.status_idle, idle)
            values[by_name("status").address] = int(idle)
            data, strobe = rng.getrandbits(32), rng.choice([15, 15, rng.getrandbits(4)])
            response = await port.write(ctx, address, data, strobe)
            starts = address == by_name("control").address and data & strobe & 1
            if register is None:
                assert response == DECERR
            elif not register.writable or ((register.locked or starts) and not idle):
                assert response == SLVERR
            else:
                assert response == OKAY
                mask = sum(0xFF << 8 * k for k in range(4) if strobe >> k & 1)
                for field in register.fields:
                    if field.access == "rw":
                        changed = mask & implemented(register, field)
                        values[address] = values[address] & ~changed | data & changed
                for field in register.fields:
                    if field.access == "rw" and register.part is None:
                        port_value = ctx.get(getattr(dut, member_name(register, field)))
                        want = values[address] >> field.low & (1 << field.bits) - 1
                        assert port_value == want
        for name in ("program_address", "window_base", "window_limit"):
            low, high = (values[by_name(f"{name}_{half}").address] for half in ("low", "high"))
            assert ctx.get(getattr(dut, name)) == high << 32 | low

    simulate(dut, bench)


def test_status_inputs_are_read(master, simulate):
    dut = Csr(CONFIG)
    port = master(dut.axil)
    rng = random.Random(7)

    async def bench(ctx):
        for register in PLAIN:
            want = 0
            readable = [f for f in register.fields if f.access in ("ro", "w1c")]
            for field in readable:
                value = rng.getrandbits(64) | 1
                member = getattr(dut, member_name(register, field))
                value &= (1 << len(member)) - 1
                ctx.set(member, value)
                part = value if register.part is None else value >> 32 * register.part[1]
                want |= part << field.low & field.mask
            if readable:
                assert await port.read(ctx, register.address) == (want, OKAY), register.name

    simulate(dut, bench)


def test_actions_are_pulses(master, simulate):
    dut = Csr(CONFIG)
    port = master(dut.axil)
    seen = []
    members = ("control_start", "control_soft_reset", "irq_status_done_clear",
               "irq_status_error_clear")  # fmt: skip

    async def watch(ctx):
        while True:
            _, _, *values = await ctx.tick().sample(*(getattr(dut, name) for name in members))
            seen.extend(name for name, value in zip(members, values) if value)

    async def bench(ctx):
        control, irq = by_name("control").address, by_name("irq_status").address
        ctx.set(dut.status_idle, 1)
        expected = []
        for address, data, strobe, events in (
            (control, 1, 15, ["control_start"]),
            (control, 0x101, 2, []),
            (control, 2, 1, ["control_soft_reset"]),
            (irq, 1, 15, ["irq_status_done_clear"]),
            (irq, 2, 15, ["irq_status_error_clear"]),
            (irq, 3, 0xE, []),
        ):
            assert await port.write(ctx, address, data, strobe) == OKAY
            await ctx.tick().repeat(3)
            expected += events
            assert seen == expected
        assert ctx.get(dut.control_irq_enable) == 1  # byte 1 was written alone
        assert await port.write(ctx, control, 0) == OKAY
        assert ctx.get(dut.control_irq_enable) == 0
        ctx.set(dut.status_idle, 0)
        assert await port.write(ctx, control, 0x101) == SLVERR
        assert await port.write(ctx, control, 0x102) == OKAY
        await ctx.tick().repeat(3)
        assert seen == [*expected, "control_soft_reset"]
        assert ctx.get(dut.control_irq_enable) == 1

    simulate(dut, bench, background=[watch])


def test_reads_and_writes_at_once(master, simulate):
    """A reader on one register while a writer is on others: neither disturbs the other."""
    dut = Csr(CONFIG)
    reader, writer = (master(dut.axil, stall=0.5, seed=seed) for seed in (1, 2))
    scratch, watchdog = by_name("scratch").address, by_name("watchdog").address

    async def write(ctx):
        for value in range(60):
            assert await writer.write(ctx, scratch, value) == OKAY

    async def read(ctx):
        last = 0
        for _ in range(60):
            assert await reader.read(ctx, watchdog) == (1 << 24, OKAY)
            value, response = await reader.read(ctx, scratch)
            assert last <= value < 60 and response == OKAY
            last = value
        assert last > 10

    simulate(dut, write, read)


def test_counters_sum_a_step_and_keep_it(master, simulate):
    """Two steps; each counter equals the events of the step, read at once after its end."""
    dut = Csr(CONFIG)
    port = master(dut.axil)
    rng = random.Random(3)
    names = [name for name in COUNTERS if name != "cycles"]

    async def bench(ctx):
        ctx.set(dut.status_idle, 1)
        for cycles in (700, 233):
            totals = dict.fromkeys(COUNTERS, 0)
            ctx.set(dut.counters_clear, 1)
            await ctx.tick()
            ctx.set(dut.counters_clear, 0)
            ctx.set(dut.counting, 1)
            for _ in range(cycles):
                totals["cycles"] += 1
                for name in names:
                    member = getattr(dut, f"count_{name}")
                    top = CONFIG.ports if name.endswith("_beats") else 1
                    # mac_busy always, to fill its narrow counter
                    amount = top if name in ("mac_busy", "read_beats") else rng.randint(0, top)
                    ctx.set(member, amount)
                    totals[name] += amount
                await ctx.tick()
            ctx.set(dut.counting, 0)  # the events go on, but do not count
            for k, name in enumerate(COUNTERS):
                assert await port.read(ctx, COUNTER_BASE + 8 * k) == (totals[name], OKAY), name
                assert await port.read(ctx, COUNTER_BASE + 8 * k + 4) == (0, OKAY)
            assert await port.write(ctx, COUNTER_BASE, 1) == SLVERR

    simulate(dut, bench)
