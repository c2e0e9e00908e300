"""cocotb tests of the sequencer: programs fetched over AXI, against the interpreter."""

import random

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge

from eftrain_hw import compile_network, nn, optim
from eftrain_hw.sequencer.errors import PROGRAM_ERRORS, ProgramError
from eftrain_hw.sequencer.interpreter import issued_words
from eftrain_hw.streams.command import NOP

from .bus import Image, Memory, cycles, parameters, start
from .designs import ENGINES
from .models.networks import NETWORKS
from .models.programs import malformed_program, random_program

CONFIG, OPTIONS = parameters()
HALF = CONFIG.descriptor_words // 2
IDLE = {"start": 0, "engines_busy": 0} | {f"command_{layout.name}__ready": 0 for layout in ENGINES}


class Engines:
    """Engines that take commands when they like, and work on each for a while."""

    def __init__(self, dut, pause, work, rng):
        self.dut, self.pause, self.work, self.rng = dut, pause, work, rng
        self.taken = {layout.opcode: [] for layout in ENGINES}
        self.sent = []  # (opcode, words, whether all was quiet before its first word)
        self.remaining = [0] * len(ENGINES)
        self.words, self.partial = [], None

    async def run(self):
        dut, edge = self.dut, RisingEdge(self.dut.clk)
        ports = [
            tuple(getattr(dut, f"command_{layout.name}__{name}")
                  for name in ("valid", "ready", "payload"))
            for layout in ENGINES
        ]
        ready = [False] * len(ENGINES)
        while True:
            for k, port in enumerate(ports):
                ready[k] = not self.remaining[k] and self.rng.random() >= self.pause
                port[1].value = int(ready[k])
            dut.engines_busy.value = int(any(self.remaining))
            await edge
            sent, quiet = int(dut.sent.value), bool(dut.quiet.value)
            if sent:
                self.word(sent, quiet)
            for k, (valid, _, payload) in enumerate(ports):
                self.remaining[k] = max(0, self.remaining[k] - 1)
                if ready[k] and valid.value:
                    self.taken[ENGINES[k].opcode].append(int(payload.value))
                    self.remaining[k] = self.rng.randint(*self.work)

    def word(self, sent, quiet):
        assert sent & sent - 1 == 0, "words to two engines at once"
        opcode = ENGINES[sent.bit_length() - 1].opcode
        if self.partial is None:
            self.partial = (opcode, [], quiet)
        assert self.partial[0] == opcode, "a command was not finished"
        self.partial[1].append(int(self.dut.sent_data.value))
        if self.dut.sent_last.value:
            self.sent.append(self.partial)
            self.partial = None


async def run(dut, words, *, pause, work, seed):
    """Run a program from somewhere in memory; returns the engines and whether it ended well."""
    rng = random.Random(seed)
    base = 64 * rng.randrange(1, 1 << 20)
    data = np.array([*words, *[0] * 64], np.uint32).view(np.uint8).copy()
    image = Image(data, base, np.zeros(len(data), bool))
    await start(dut, **IDLE, program_address=base)
    memory = Memory(dut, image, ports=CONFIG.ports, pause=pause, rng=rng, writes=False)
    engines = Engines(dut, pause, work, rng)
    cocotb.start_soon(engines.run())
    edge = RisingEdge(dut.clk)
    dut.start.value = 1
    await edge
    dut.start.value = 0
    await edge
    while not dut.done.value and not dut.error.value:
        await edge
    done = bool(dut.done.value)
    assert not (done and any(engines.remaining)), "done before the engines were"
    await cycles(dut, 80)
    assert image.stray == [] and memory.reads and engines.partial is None
    return engines, done


def compare(engines, wanted):
    wanted = [issue for issue in wanted if issue[2] != NOP.opcode]
    assert [(opcode, words) for opcode, words, _ in engines.sent] == [w[2:4] for w in wanted]
    for (_, _, quiet), (*_, fence) in zip(engines.sent, wanted):
        assert quiet or not fence, "a fence did not wait"
    for opcode, values in engines.taken.items():
        packed = [sum(word << 32 * k for k, word in enumerate(words))
                  for _, _, code, words, _ in wanted if code == opcode]
        assert values == packed[: len(values)]
        assert len(values) >= len(packed) - 2  # the receivers hold the rest after an error


@cocotb.test()
@cocotb.parametrize(pause=[0.0, 0.5, 0.9])
async def issues_what_the_interpreter_says(dut, pause):
    rng = random.Random(f"program {pause}")
    words = random_program(rng, descriptors=OPTIONS["descriptors"], half_words=HALF)
    wanted = list(issued_words(words, half_words=HALF))
    assert len(wanted) > 60
    engines, done = await run(dut, words, pause=pause, work=(0, 30), seed=f"run {pause}")
    assert done
    compare(engines, wanted)
    assert sum(map(len, engines.taken.values())) == len(engines.sent)


@cocotb.test()
async def runs_a_compiled_step(dut):
    program = compile_network(
        NETWORKS["perceptron"](), CONFIG, batch_size=3, loss=nn.CrossEntropyLoss(),
        optimizer=optim.SGD(lr=0.1),
    )  # fmt: skip
    words = program.words("train", 0x40_0000).tolist()
    engines, done = await run(dut, words, pause=0.3, work=(0, 60), seed="step")
    assert done
    compare(engines, issued_words(words, half_words=HALF))


@cocotb.test()
@cocotb.parametrize(name=sorted(PROGRAM_ERRORS))
async def stops_at(dut, name):
    words = malformed_program(name)
    wanted = []
    try:
        wanted.extend(issued_words(words, half_words=HALF))
        raise AssertionError(f"the interpreter takes a program with {name}")
    except ProgramError as error:
        expected = error
    assert expected.name == name and wanted
    engines, done = await run(dut, words, pause=0.3, work=(0, 10), seed=name)
    assert not done
    assert int(dut.error_code.value) == expected.code
    assert (int(dut.index.value), int(dut.tag.value)) == (expected.index, expected.tag)
    compare(engines, wanted)
