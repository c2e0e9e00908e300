"""The host's side of the control registers, for any device that has them."""

import numpy as np

from ..csr.errors import describe
from ..csr.registers import COUNTERS, ID, REGISTERS, VERSION, capabilities
from .device import DeviceError, StepResult

__all__ = ["Host"]

_REGISTERS = {register.name: register for register in REGISTERS}
_STUCK = "the memory does not answer what it owes"


class Host:
    """Starts steps and reads what came of them.

    Parameters
    ----------
    read, write : callable
        read(offset) and write(offset, value) of a 32-bit register.
    wait : callable
        wait() returns when the interrupt is up or after some time; True if it is up.
    """

    def __init__(self, read, write, wait):
        self._read, self._write, self._wait = read, write, wait

    def read(self, name):
        """Value of a register, or of both halves of a wide one."""
        if name in _REGISTERS:
            return self._read(_REGISTERS[name].address)
        low, high = (self._read(_REGISTERS[f"{name}_{half}"].address) for half in ("low", "high"))
        return low | high << 32

    def write(self, name, value):
        """Write a register, or both halves of a wide one."""
        value = int(value)
        if name in _REGISTERS:
            self._write(_REGISTERS[name].address, value)
            return
        self._write(_REGISTERS[f"{name}_low"].address, value & 0xFFFFFFFF)
        self._write(_REGISTERS[f"{name}_high"].address, value >> 32)

    def read_field(self, register, field):
        """Value of one field of a register."""
        entry = next(f for f in _REGISTERS[register].fields if f.name == field)
        return (self.read(register) & entry.mask) >> entry.low

    def _bits(self, register, **fields):
        entries = {f.name: f for f in _REGISTERS[register].fields}
        return sum(value << entries[name].low for name, value in fields.items())

    def check_build(self, config):
        """Refuse hardware that was built from another configuration.

        Raises
        ------
        ValueError
        """
        found = self.read("id")
        if found != ID:
            raise ValueError(f"there is no accelerator: its id register reads {found:#x}")
        major, minor = (self.read_field("version", part) for part in ("major", "minor"))
        if major != VERSION[0] or minor < VERSION[1]:
            raise ValueError(
                f"the accelerator's register map is version {major}.{minor}; this driver needs"
                f" {VERSION[0]}.{VERSION[1]}"
            )
        for name, expected in capabilities(config).items():
            value = self.read(name)
            if value != expected and name != "version":
                raise ValueError(
                    f"the accelerator was built from another configuration: its register {name}"
                    f" reads {value:#x}, not {expected:#x}"
                )

    def set_window(self, base, limit):
        """First byte that the accelerator may touch, and the end."""
        self.write("window_base", base)
        self.write("window_limit", limit)

    def soft_reset(self):
        """Abandon what runs; returns when the bus is drained.

        Raises
        ------
        DeviceError
            The bus does not answer.
        """
        self.write("control", self._bits("control", soft_reset=1))
        if not self._drains():
            raise DeviceError(0, "bus_stuck", _STUCK)

    def _drains(self):
        for _ in range(10_000):  # the bus owes a few bursts at most
            if self.read_field("status", "idle"):
                return True
        return False

    def start(
        self, address, *, learning_rate=0, momentum=0, valid_images=1, loss_images=None,
        targets=(1.0, 0.0),
    ):  # fmt: skip
        """Ring the doorbell for the program at a byte address; see `run`."""
        if not self.read_field("status", "idle"):  # an exception ended the last run
            self.soft_reset()
        self.write("irq_status", self._bits("irq_status", done=1, error=1))
        self.write("program_address", address)
        for name, value in (
            ("learning_rate", np.float32(learning_rate)),
            ("momentum", np.float32(momentum)),
            ("inverse_images", np.float32(1) / np.float32(loss_images or valid_images)),
            ("label_target", np.float32(targets[0])),
            ("other_target", np.float32(targets[1])),
        ):
            self.write(name, value.view(np.uint32))
        self.write("valid_images", valid_images)
        self.write("control", self._bits("control", start=1, irq_enable=1))

    def status(self):
        """Names of the status bits that are 1."""
        value = self.read("status")
        return [field.name for field in _REGISTERS["status"].fields if value & field.mask]

    def run(
        self, address, *, learning_rate, momentum, valid_images, tags, locate, limit,
        loss_images=None, targets=(1.0, 0.0),
    ):  # fmt: skip
        """Run the program at a byte address to its end.

        Parameters
        ----------
        address : int
        learning_rate, momentum : numpy.float32
        valid_images : int
        tags : dict
            Names of the descriptors, for errors.
        locate : callable
            locate(address) names the tensor at a bus address, or None; for errors too.
        limit : callable
            limit() is called after each wait that brought no interrupt; it raises to give up.
        loss_images : int or None
            Images that the loss is the mean over; None: the valid ones.
        targets : (float, float)
            Of a cross-entropy: of an image's own class and of the others.

        Returns
        -------
        StepResult

        Raises
        ------
        DeviceError
        """
        self.start(
            address,
            learning_rate=learning_rate,
            momentum=momentum,
            valid_images=valid_images,
            loss_images=loss_images,
            targets=targets,
        )
        while not self._wait():
            limit()
        self.write("irq_status", self._bits("irq_status", done=1, error=1))
        status = self.status()
        if "error" in status:
            raise self._error(tags, locate)
        return StepResult(self.read("counter_cycles"), self.counters(), "nonfinite" in status)

    def _error(self, tags, locate):
        entry = describe(self.read("error_code"))
        tag = self.read("error_tag")
        address = self.read("error_address") if entry.has_address else None
        return DeviceError(
            entry.code,
            entry.name,
            entry.meaning if self._drains() else f"{entry.meaning}; {_STUCK}",
            layer=tags.get(tag, f"descriptor {self.read('error_index')}"),
            address=address,
            tensor=None if address is None else locate(address),
        )

    def step_log(self):
        """Words of the last step's log, (code, value), and whether nothing is missing.

        Raises
        ------
        DeviceError
            A step is still running.
        """
        for _ in range(100):  # its last words are written down after the step's end
            if not self.read_field("log_status", "busy"):
                break
        else:
            raise DeviceError(0, "busy", "the step has not ended")
        words = []
        for index in range(self.read_field("log_status", "count")):
            self.write("log_index", index)
            words.append((self.read("log_code"), self.read("log_value")))
        missing = [self.read_field("log_status", name) for name in ("overflow", "lost")]
        return words, not any(missing)

    def counters(self):
        """The performance counters of the last step."""
        return {name: self.read(f"counter_{name}") for name in COUNTERS}
