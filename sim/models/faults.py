"""A small network on the RTL, ways to break its steps, and what must hold after each."""

from dataclasses import replace

import numpy as np
import pytest

from eftrain_hw import nn
from eftrain_hw.csr.errors import ERRORS
from eftrain_hw.runtime.device import DeviceError
from eftrain_hw.runtime.simulation import BusFault
from eftrain_hw.sequencer.program_format import padded
from sim.models.step_bench import CONFIGS, StepBench

__all__ = [
    "BESIDE", "CODES", "DESCRIPTORS", "DIRECTIONS", "READS", "WATCHDOG", "WRITES", "Faults",
    "keep_length_untold",
]  # fmt: skip

CODES = {error.name: error.code for error in ERRORS}
DESCRIPTORS = 14  # of a training step of the network
BESIDE = 3  # descriptors whose commands may run while one works
WATCHDOG = 6000
READS = {
    "load": ("base", "exponent_base"),
    "drain": ("mask_base",),
    "pool_forward": ("source", "source_exponents"),
    "pool_backward": ("source", "source_exponents", "index"),
    "loss": ("logits", "labels"),
    "update": ("gradient", "momentum", "master"),
}
WRITES = {
    "drain": ("base", "exponent_base"),
    "pool_forward": ("result", "result_exponents", "index"),
    "pool_backward": ("result", "result_exponents"),
    "loss": ("gradient", "gradient_exponents", "losses"),
    "update": ("momentum", "master", "result", "result_exponents"),
}
DIRECTIONS = (("read", READS), ("write", WRITES))


def network():
    """All kinds of commands, and a mask, in 14 short descriptors."""
    return nn.Sequential(
        nn.Conv2d(3, 5, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(5, 6, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(54, 3),
        input_shape=(3, 6, 7),
    )


def keep_length_untold(program):
    """`program_address` says no more how long the first descriptor is."""
    program.entry = lambda name, base=0: base + program.addresses[name]


class Faults:
    """A bench, what its program touches, and ways to break it.

    Parameters
    ----------
    config : str
        Key of CONFIGS.
    **options
        Of the device.

    Members
    -------
    descriptors : list
        Of the training step.
    layers : list of str
        Their names.
    """

    def __init__(self, config="4x4", **options):
        options = {"watchdog": WATCHDOG, **options}
        self.bench = bench = StepBench(network(), CONFIGS[config], 3, **options)
        self.program = bench.program
        self.descriptors = bench.program.descriptors["train"]
        self.layers = [bench.program.tags[descriptor.tag] for descriptor in self.descriptors]
        self.planes = {}
        for name, spec in self.program.tensors.items():
            self.planes[spec.address] = name, spec.nbytes
            if spec.has_exponents:
                self.planes[spec.exponent_address] = name, spec.exponent_nbytes

    def touched(self, k, fields):
        """(name, start, bytes) of the planes that descriptor k touches through these fields."""
        found = {}
        for command in self.descriptors[k].commands:
            for field in fields.get(command.layout.name, ()):
                start = command.values.get(field, 0) * 64
                if start in self.planes:
                    found[start] = (self.planes[start][0], start, self.planes[start][1])
        return list(found.values())

    def outputs(self, upto, beside=0):
        """Names of the tensors that descriptors 0 to `upto`, and some beside it, write."""
        last = min(upto + beside, DESCRIPTORS - 1)
        return {name for k in range(last + 1) for name, _, _ in self.touched(k, WRITES)}

    def first(self, tensor, way):
        """The first descriptor that touches a tensor."""
        return next(
            k
            for k in range(DESCRIPTORS)
            if tensor in {name for name, _, _ in self.touched(k, dict(DIRECTIONS)[way])}
        )

    def blamed(self, k):
        """Layers that an error of descriptor k may be put down to: those that run beside it."""
        return self.layers[max(k - BESIDE, 0) : k + BESIDE + 1]

    def put_program(self, words):
        """Words in place of the training step's program; the rest of its memory is `FILL`."""
        spec = self.program.tensors["program.train"]
        place = slice(spec.address, spec.address + spec.nbytes)
        self.bench.memory[place] = 0xA5
        data = np.array(words, np.uint32).view(np.uint8)
        keep_length_untold(self.bench.program)  # its first descriptor may be of any length now
        self.bench.memory[spec.address : spec.address + len(data)] = data

    def alone(self, k, **changes):
        """Make descriptor k the whole program."""
        descriptor = replace(self.descriptors[k], last=True, **changes)
        self.put_program(padded(descriptor.words(base_line=self.bench.base // 64)))

    def set(self, *faults):
        """Bus faults (start, bytes, kind, direction), relative to the memory's base."""
        base = self.bench.base
        self.bench.simulation.set_faults(
            BusFault(base + start, base + start + count, kind, way != "write", way != "read")
            for start, count, kind, way in faults
        )

    def hold_outside(self, low, high):
        """Nothing outside low..high is answered: an access there would never end."""
        base = self.bench.base
        self.set((-base, base + low, "hold", "both"),
                 (high, (1 << 32) - base - high, "hold", "both"))  # fmt: skip

    def reported(self, error, start, count):
        """Whether the error's address is that of a burst in these bytes."""
        slack = self.program.config.bus_bytes - 1  # requests are whole bus words
        return start - slack <= error.address - self.bench.base < start + count

    def fails(self, name, layers, may_change, program="train"):
        """Run; it must stop with this error in one of these layers, and change only these tensors.

        Returns
        -------
        DeviceError
        """
        bench = self.bench
        before = bench.memory.copy()
        with pytest.raises(DeviceError) as info:
            bench.run(program)
        error = info.value
        assert error.name == name and error.code == CODES[name]
        assert error.layer in layers
        assert f"{name} (error code {CODES[name]:#x}) in {error.layer}" in str(error)
        interrupts = [entry for entry in bench.log if len(entry) == 2 and entry[0] is True]
        assert len(interrupts) == 1, "no interrupt, or several"
        assert bench.status() == {"idle", "error"}
        assert bench.host.read("error_code") == CODES[name]
        assert not bench.simulation.bus_busy and not bench.simulation.irq
        bench.simulation.run(300)  # nothing may come late
        assert not bench.simulation.bus_busy
        assert bench.changes(before) <= set(may_change)
        return error

    def recovers(self, soft_reset=False):
        """The next step, with the state put back, is bit-exact."""
        bench = self.bench
        self.set()
        if soft_reset:
            bench.host.soft_reset()
            assert bench.status() == {"idle"}
        tensors = dict(bench.tensors)
        bench.restore()
        bench.step()
        assert bench.status() == {"idle", "done"}
        bench.tensors = tensors
