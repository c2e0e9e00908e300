"""Random layer programs, a memory that answers a read client, and a bench around the sequencer."""

import random

import pytest
from amaranth.hdl import Module, ResetInserter, Signal
from amaranth.lib import wiring
from amaranth.sim import Simulator

from eftrain_hw.config import AcceleratorConfig
from eftrain_hw.sequencer.opcodes import LAYOUTS as ALL_LAYOUTS
from eftrain_hw.sequencer.program_format import (
    ADD,
    LAST,
    OR_FIRST,
    OR_LAST,
    Command,
    Descriptor,
    padded,
)
from eftrain_hw.sequencer.sequencer import Sequencer
from eftrain_hw.streams.command import NOP
from eftrain_hw.streams.command_receiver import CommandReceiver

LAYOUTS = [layout for layout in ALL_LAYOUTS if layout is not NOP]
CONFIG = AcceleratorConfig(descriptor_words=512)


def random_command(rng, loops, patches=4):
    layout = rng.choice(ALL_LAYOUTS)
    values = {}
    for name, field in layout.fields.items():
        top = (1 << field.bits - field.signed) - 1
        values[name] = rng.randint(-top if field.signed else 0, top)
    masks = [1 << d for d in range(5)]
    command = Command(
        layout,
        values,
        when_first=rng.choice([0, 0, 0, rng.choice(masks[5 - loops :] or [0])]),
        when_last=rng.choice([0, 0, 0, rng.choice(masks[5 - loops :] or [0])]),
        fence=rng.random() < 0.15,
        not_last=rng.random() < 0.15,
    )
    for _ in range(rng.randint(0, patches)):
        name = rng.choice(list(layout.fields))
        field = layout.fields[name]
        kind = rng.choice([ADD, ADD, LAST, OR_FIRST, OR_LAST])
        if kind == ADD:
            command.patch(kind, name, rng.choice(masks), rng.choice([rng.getrandbits(32), 3, -1]))
        else:
            value = rng.randint(0, (1 << field.bits - field.signed) - 1)
            command.patch(kind, name, rng.getrandbits(5), value)
    return command


def random_program(rng, descriptors=4, half_words=256, most=6):
    """Descriptors that fit the half, of up to about 100 commands each."""
    program = []
    for k in range(descriptors):
        loops = [rng.choice([1, 1, 2, 3, 5]) for _ in range(rng.randint(0, 4))]
        while True:
            commands = [random_command(rng, len(loops)) for _ in range(rng.randint(0, most))]
            descriptor = Descriptor(
                rng.getrandbits(32), loops, commands, last=k == descriptors - 1
            )
            words = descriptor.words()
            if len(words) <= half_words:
                break
        program += padded(words)
    return program


class Bench:
    """The sequencer with its receivers, a memory and engines.

    Parameters of `run`: `stall`, the probability that memory or an engine pauses in a cycle;
    `work`, how long an engine is busy with a command.
    """

    def __init__(self, config=CONFIG):
        self.config = config

    def run(
        self,
        words,
        *,
        stall=0.0,
        work=(0, 20),
        seed=0,
        cycles=60_000,
        address=0x4000,
        abandon=(),
        lines=0,
    ):
        """Run a program, after runs that a reset ends after the numbers of cycles in `abandon`;
        `lines` is what `program_address` says of the first descriptor.
        Returns (commands in order of issue, error or None); a command is
        (opcode, words, cycle, whether all was idle when its first word came)."""
        rng = random.Random(seed)
        config = self.config
        top, clear = Module(), Signal()
        top.submodules.dut = dut = Sequencer(config)
        receivers = {}
        for layout in LAYOUTS:
            receiver = CommandReceiver(layout, ahead=layout.opcode <= 3)
            receivers[layout.name] = top.submodules[layout.name] = receiver
            wiring.connect(top, getattr(dut, f"issue_{layout.name}"), receiver.words)
        wordbits = 32 * (config.bus_bytes // 4)
        issued, taken, requests, outcome = [], {layout.name: [] for layout in LAYOUTS}, [], {}
        memory = list(words) + [0] * 64
        engines = {layout.name: 0 for layout in LAYOUTS}

        async def serve(ctx):
            """The memory: one request at a time, 12 cycles of latency, then the beats."""
            port = dut.memory
            queue = []
            while True:
                ctx.set(port.request.ready, rng.random() >= stall)
                deliver = bool(queue) and queue[0][0] <= 0 and rng.random() >= stall
                ctx.set(port.data.valid, deliver)
                if deliver:
                    ctx.set(port.data.payload, queue[0][1])
                _, _, request, payload, data = await ctx.tick().sample(
                    port.request.valid & port.request.ready,
                    port.request.payload,
                    port.data.valid & port.data.ready,
                )
                if ctx.get(clear):
                    queue, data, request = [], 0, 0
                queue = [(wait - 1, beat) for wait, beat in queue]
                if data:
                    queue.pop(0)
                if request:
                    start, beats = payload.address, payload.beats
                    assert address <= start < address + 4 * len(memory)
                    assert start % config.bus_bytes == 0 and 1 <= beats <= 256
                    requests.append((start, beats))
                    for beat in range(beats):
                        word = (start - address) // 4 + beat * config.bus_bytes // 4
                        chunk = (memory[word : word + config.bus_bytes // 4] + [0] * 8)[
                            : config.bus_bytes // 4
                        ]
                        value = sum(w << 32 * i for i, w in enumerate(chunk))
                        assert value < 1 << wordbits
                        queue.append((12, value))

        async def engine(ctx):
            """All engines: take a command, be busy, take the next."""
            cycle = 0
            while True:
                for layout in LAYOUTS:
                    name = layout.name
                    ctx.set(
                        receivers[name].command.ready,
                        engines[name] == 0 and rng.random() >= stall,
                    )
                busy = any(engines.values()) or any(
                    ctx.get(receivers[name].busy) for name in engines
                )
                ctx.set(dut.engines_busy, busy)
                samples = []
                for layout in LAYOUTS:
                    port, receiver = getattr(dut, f"issue_{layout.name}"), receivers[layout.name]
                    samples += [
                        port.valid & port.ready,
                        port.payload,
                        receiver.command.valid & receiver.command.ready,
                        receiver.command.payload.as_value(),
                    ]
                _, _, *values = await ctx.tick().sample(*samples)
                sending = [k for k in range(len(LAYOUTS)) if values[4 * k]]
                assert len(sending) <= 1
                for k, layout in enumerate(LAYOUTS):
                    word, payload, take, command = values[4 * k : 4 * k + 4]
                    name = layout.name
                    engines[name] = max(0, engines[name] - 1)
                    if word:
                        if not issued or issued[-1]["closed"]:
                            issued.append(
                                {"opcode": layout.opcode, "words": [], "closed": False,
                                 "cycle": cycle, "idle": not busy}
                            )  # fmt: skip
                        assert issued[-1]["opcode"] == layout.opcode
                        issued[-1]["words"].append(payload.data)
                        issued[-1]["closed"] = bool(payload.last)
                        issued[-1]["end"] = cycle
                    if take:
                        taken[name].append(command)
                        engines[name] = rng.randint(*work)
                cycle += 1

        async def control(ctx):
            ctx.set(dut.program_address, address + lines)
            await ctx.tick().repeat(3)
            for after in abandon:
                ctx.set(dut.start, 1)
                await ctx.tick()
                ctx.set(dut.start, 0)
                await ctx.tick().repeat(after)
                ctx.set(clear, 1)
                await ctx.tick().repeat(3)
                engines.update(dict.fromkeys(engines, 0))
                issued.clear()
                assert not ctx.get(dut.busy)
                ctx.set(clear, 0)
            ctx.set(dut.start, 1)
            await ctx.tick()
            ctx.set(dut.start, 0)
            done, error = (
                await ctx.tick().sample(dut.done, dut.error).until(dut.done | dut.error)
            )
            outcome.update(
                done=done,
                code=ctx.get(dut.error_code) if error else None,
                tag=ctx.get(dut.descriptor_tag),
                index=ctx.get(dut.descriptor_index),
                busy=any(engines.values()),
            )
            await ctx.tick().repeat(60)

        async def limit(ctx):
            for _ in range(cycles):
                await ctx.tick()
            raise AssertionError(f"not finished after {cycles} cycles")

        simulator = Simulator(ResetInserter(clear)(top))
        simulator.add_clock(1e-6)
        simulator.add_testbench(control)
        for bench in (serve, engine, limit):
            simulator.add_testbench(bench, background=True)
        simulator.run()
        self.requests = requests
        self.taken = taken
        return issued, outcome


@pytest.fixture
def bench():
    return Bench


@pytest.fixture
def make_program():
    return random_program


@pytest.fixture
def config():
    return CONFIG


def break_program(name):
    """(words, half memory, commands before the error) of a program whose descriptor 1 has the
    error `name`; the sum of the words is right otherwise."""
    good = padded(Descriptor(1, [2], [Command(ALL_LAYOUTS[3], {"run": 5})]).words())
    first = Command(ALL_LAYOUTS[3], {"run": 1})
    second = Command(ALL_LAYOUTS[1], {"rows": 2}).patch(ADD, "vector", 1 << 4, 3)
    words = Descriptor(0xBAD, [3], [first, second], last=True).words()
    head = 12 + 2 + 13  # of the second command
    assert words[head] & 0xFF == ALL_LAYOUTS[1].opcode
    patch = len(words) - 2
    before = 2
    if name == "bad_magic":
        words[0] ^= 1 << 20
    elif name == "bad_version":
        words[0] += 1
    elif name == "bad_length":
        words[1] = 11
    elif name == "bad_loop_count":
        words[9] = 0
    elif name == "bad_command_count":
        words[4], before = 1, 3
    elif name == "unknown_opcode":
        words[head], before = words[head] & ~0xFF | 0x2A, 3
    elif name == "bad_template":
        words[head], before = words[head] + (1 << 16) - (2 << 8), 3  # as long as before
    elif name == "bad_patch":
        words[patch], before = words[patch] | 1 << 18, 3
    words[11] = 0
    words[11] = -sum(words) & 0xFFFFFFFF
    if name == "bad_checksum":
        words[11] ^= 1 << 31
    return good + padded(words), 256, before


@pytest.fixture
def malformed():
    return break_program
