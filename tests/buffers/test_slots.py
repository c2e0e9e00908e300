# amaranth: UnusedElaboratable=no
"""The slot controller against a model, over every state and every input."""

from itertools import product

import pytest
from amaranth.hdl import Module
from amaranth.sim import Simulator

from eftrain_hw.buffers.slots import SlotController


class Model:
    """The life of two slots: each free, filling or full."""

    def __init__(self, ahead):
        self.ahead = ahead
        self.slots = ["free", "free"]
        self.acquire_slot = self.fill_slot = self.read_slot = 0

    def levels(self):
        free = self.slots[self.acquire_slot] == "free"
        return free, self.slots[self.read_slot] == "full", self.fill_slot, self.read_slot

    @property
    def state(self):
        return tuple(self.slots), self.acquire_slot, self.fill_slot, self.read_slot

    def step(self, acquire, publish, release):
        free, full, _, _ = self.levels()
        acquire = free and (acquire if self.ahead else publish)
        publish = publish and (self.slots[self.fill_slot] == "filling" if self.ahead else free)
        if acquire:
            assert self.slots[self.acquire_slot] == "free"
            self.slots[self.acquire_slot] = "filling"
            self.acquire_slot ^= 1
        if publish:
            assert self.slots[self.fill_slot] == "filling"
            self.slots[self.fill_slot] = "full"
            self.fill_slot ^= 1
        if release and full:
            assert self.slots[self.read_slot] == "full"
            self.slots[self.read_slot] = "free"
            self.read_slot ^= 1


def paths(ahead):
    """For every reachable state, the inputs that lead there from reset."""
    found, todo = {}, [[]]
    while todo:
        path = todo.pop(0)
        model = Model(ahead)
        for pulses in path:
            model.step(*pulses)
        if model.state not in found:
            found[model.state] = path
            todo += [[*path, pulses] for pulses in product((0, 1), repeat=3)]
    return found


@pytest.mark.parametrize("ahead", [False, True])
def test_every_pulse_in_every_state(ahead):
    dut = SlotController(ahead=ahead)
    top = Module()
    top.submodules.dut = dut
    known = paths(ahead)
    assert len(known) == (12 if ahead else 6)

    async def bench(ctx):
        # the path to a state, a pulse, and back to reset by emptying and turning
        model = Model(ahead)

        async def apply(acquire, publish, release):
            if ahead:
                ctx.set(dut.acquire, acquire)
            ctx.set(dut.publish, publish)
            ctx.set(dut.release, release)
            model.step(acquire, publish, release)
            await ctx.tick()
            outputs = (dut.free, dut.full, dut.fill_slot, dut.read_slot)
            assert tuple(map(ctx.get, outputs)) == model.levels()

        for path in known.values():
            for pulses in product((0, 1), repeat=3):
                for step in [*path, pulses]:
                    await apply(*step)
                while model.state != (("free", "free"), 0, 0, 0):
                    filling = "filling" in model.slots
                    full = "full" in model.slots
                    idle = not filling and not full
                    await apply(idle, filling if ahead else idle, full and not filling)

    simulator = Simulator(top)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


def test_rejects_ahead():
    with pytest.raises(TypeError, match="^SlotController ahead must be bool, not 1$"):
        SlotController(ahead=1)
