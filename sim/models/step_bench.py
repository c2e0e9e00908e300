"""A training step on the RTL beside the golden model."""

from collections import namedtuple

import numpy as np

from eftrain_hw import AcceleratorConfig, compile_network, nn, open_device, optim
from eftrain_hw.compiler.scalars import SCALARS
from eftrain_hw.golden.network import forward_pass, training_step
from sim.models.state import FILL, initial_state, memory_image

__all__ = ["CONFIGS", "GAPS", "StepBench"]

SMALL = AcceleratorConfig(
    rows=4,
    lanes=4,
    moving_words=128,
    stationary_words=128,
    accumulator_depth=64,
    bias_depth=64,
    pool_words=128,
    loss_words=64,
)
CONFIGS = {  # each is compiled once
    "4x4": SMALL,
    "6x8-four-ports": SMALL.replace(
        rows=6, lanes=8, ports=4, max_burst_beats=256, accumulator_depth=128
    ),
    "4x4-fp32-axi3": SMALL.replace(
        format="fp32", ports=1, axi="axi3", moving_words=256, stationary_words=256, pool_words=256
    ),
}
PARAMETERS = {"learning_rate": 0.05, "momentum": 0.9}
STEP_LIMIT = 2_000_000  # cycles; no test may wait longer
GAPS = "outside every tensor"

Interrupt = namedtuple("Interrupt", "came bus_busy")


class StepBench:
    """One compiled network on the RTL, and the tensors that the golden model says.

    Memory outside the tensors, the padding of the losses included, holds `FILL`.

    Members
    -------
    program, device, host, simulation :
    options : dict
        Others of Device.run, such as the number of the step; may be changed.
    tensors : dict
        The golden model's.
    log : list
        What the host has done since `run` began: ("read" or "write", register address), Interrupt.
    """

    def __init__(
        self, network, config, batch_size, *, valid=None, seed=0, optimizer=None, loss=None,
        step=None, format=None, **options,
    ):  # fmt: skip
        self.program = compile_network(
            network,
            config,
            batch_size=batch_size,
            loss=loss or nn.CrossEntropyLoss(),
            optimizer=optimizer or optim.SGD(lr=0.1),
            format=format,
        )
        self.options = step or {}
        self.valid = valid or batch_size
        self.device = open_device("sim", config, **{"step_limit": STEP_LIMIT, **options})
        self.device.load_program(self.program)
        self.host, self.simulation = self.device.host, self.device.simulation
        self.memory, self.base = self.simulation.memory, self.simulation.memory_base
        self.tensors = initial_state(self.program, seed=seed, valid=self.valid)
        words = self.program.tensors["loss"].shape
        self.tensors["loss"] = np.full(words, FILL * 0x01010101, np.uint32).view(np.float32)
        self.log = []
        self._record()
        self.names = [GAPS, *self.program.tensors]
        self.owner = np.zeros(len(self.memory), np.int16)
        for number, spec in enumerate(self.program.tensors.values(), 1):
            for start, count in spec.spans() + spec.exponent_spans():
                self.owner[start : start + count] = number
        self.restore()

    def _record(self):
        def recorded(kind, function):
            def call(address, *value):
                self.log.append((kind, address))
                return function(address, *value)

            return call

        def wait(original=self.device._wait):
            came = original()
            self.log.append(Interrupt(came, self.simulation.bus_busy))
            return came

        self.host._read = recorded("read", self.host._read)
        self.host._write = recorded("write", self.host._write)
        self.host._wait = wait

    def image(self):
        """What the whole memory should hold."""
        image = np.full(len(self.memory), FILL, np.uint8)
        tensors = memory_image(self.program, self.tensors, self.base)
        image[: len(tensors)] = tensors
        return image

    def restore(self):
        """Put the golden model's tensors, the programs and `FILL` into the memory."""
        self.memory[:] = self.image()

    def changes(self, before):
        """Names of the tensors, `GAPS` among them, whose bytes are not those of an image."""
        return {self.names[k] for k in np.unique(self.owner[self.memory != before])}

    def wrong(self):
        """Names of the tensors, `GAPS` among them, that differ from the golden model's.

        All but the scratch, which the golden model knows nothing of.
        """
        return sorted(self.changes(self.image()) - {"scratch"})

    def new_batch(self, seed):
        """Other images and labels, on both sides."""
        fresh = initial_state(self.program, seed=seed, valid=self.valid)
        for name in ("x", "targets" if "targets" in fresh else "labels"):
            self.tensors[name] = fresh[name]
            self.device.write_tensor(name, fresh[name])

    def run(self, name="train"):
        """Run a program on the RTL alone."""
        self.log.clear()
        result = self.device.run(name, **PARAMETERS, valid_images=self.valid, **self.options)
        if SCALARS in self.program.tensors:
            self.tensors[SCALARS] = self.device.read_tensor(SCALARS)
        return result

    def golden(self, name="train"):
        """Run it on the golden model alone."""
        if name == "infer":
            forward_pass(self.program, self.tensors)
            return
        padding = np.ones(self.program.tensors["loss"].shape, bool)
        padding[: self.program.batch_size] = False
        padding[-16] = False
        padding &= "labels" in self.program.tensors  # a squared error writes all of it
        before = self.tensors["loss"][padding]
        settings = PARAMETERS | self.options
        training_step(self.program, self.tensors, **settings, valid_images=self.valid)
        self.tensors["loss"][padding] = before

    def step(self, name="train"):
        """Run it on both; all of the memory must be equal after it."""
        result = self.run(name)
        self.golden(name)
        assert self.wrong() == []
        return result

    def status(self):
        """Names of the status bits that are 1."""
        names = "idle busy done error nonfinite resetting".split()
        return {name for name in names if self.host.read_field("status", name)}
