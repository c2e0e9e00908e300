"""What every device offers, and the errors that it reports."""

import numbers
from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import numpy as np

from ..compiler.emit import VARIANCES, train_name
from ..compiler.program import Program
from ..compiler.scalars import SCALARS, run_time_scalars
from ..config import AcceleratorConfig
from ..golden.loss import class_targets
from .divergence import check_valid

__all__ = ["BACKENDS", "Device", "DeviceError", "MemoryDevice", "StepResult", "open_device"]

BACKENDS = ("golden", "sim", "serial", "pynq")


class DeviceError(RuntimeError):
    """The accelerator stopped with an error.

    Members
    -------
    code : int
        Error code of the status register.
    name : str
        The code's name, such as "read_slverr".
    layer : str or None
        What was running, such as "0.Conv2d forward".
    address : int or None
        Bus address that the error is about.
    tensor : str or None
        The tensor that lies there.
    """

    def __init__(self, code, name, meaning="", *, layer=None, address=None, tensor=None):
        self.code, self.name, self.layer = code, name, layer
        self.address, self.tensor = address, tensor
        where = f" in {layer}" if layer else ""
        at = f" at address {address:#x}" if address is not None else ""
        at += f", tensor {tensor}" if tensor else ""
        what = f": {meaning}" if meaning else ""
        super().__init__(f"{name} (error code {code:#x}){where}{at}{what}")


@dataclass
class StepResult:
    """What a run reports.

    Members
    -------
    cycles : int
        Clock cycles from the start to the interrupt; 0 where there is no clock.
    counters : dict
        Performance counters by name.
    nonfinite : bool
        The status bit: an infinity or NaN was stored.
    """

    cycles: int = 0
    counters: dict = field(default_factory=dict)
    nonfinite: bool = False

    def plus(self, other):
        """This run and another one behind it."""
        counters = {n: self.counters.get(n, 0) + value for n, value in other.counters.items()}
        nonfinite = self.nonfinite or other.nonfinite
        return StepResult(self.cycles + other.cycles, counters, nonfinite)


class Device(ABC):
    """Runs compiled programs; `with` closes it.

    Parameters
    ----------
    config : AcceleratorConfig
    """

    name = None

    def __init__(self, config):
        if not isinstance(config, AcceleratorConfig):
            raise TypeError(f"config must be AcceleratorConfig, not {config!r}")
        self.config = config
        self.program = None
        self._ran = None

    def load_program(self, program):
        """Make `program` the one that `run` runs; all its tensors become zero.

        Raises
        ------
        ValueError
            It was compiled for another configuration.
        """
        if not isinstance(program, Program):
            raise TypeError(f"program must be what compile_network returns, not {program!r}")
        if program.config != self.config:
            theirs, ours = program.config.to_dict(), self.config.to_dict()
            field = next(name for name in ours if ours[name] != theirs[name])
            raise ValueError(
                f"program must be compiled for the device's configuration: {field} is"
                f" {theirs[field]!r} in the program, {ours[field]!r} in the device"
            )
        self.program, self._ran = program, None
        self._load()
        for name, value in program.constants.items():
            self.write_tensor(name, value)

    def _spec(self, name):
        if self.program is None:
            raise ValueError("the device has no program yet: call load_program first")
        if name not in self.program.tensors:
            raise ValueError(f"tensor must be one of {list(self.program.tensors)}, not {name!r}")
        return self.program.tensors[name]

    def run(
        self, name, *, learning_rate=0.0, momentum=0.0, valid_images=None,
        number=1, seed=0, loss_images=None, first=True, update=True, label_smoothing=None,
        max_grad_norm=None,
    ):  # fmt: skip
        """Run the program "train" (one step) or "infer" on the tensors in the device's memory.

        Parameters
        ----------
        name : str
        learning_rate, momentum : float
            Of the update; used as float32.
        valid_images : int or None
            Images of the batch that count for loss and gradient; None is all of them.
        number : int
            Updates so far, this one included; of Adam and dropout.
        seed : int
            Of the run's dropout layers.
        loss_images : int or None
            Images that the loss is the mean over, where several batches' gradients are added up;
            None: the valid ones.
        first, update : bool
            Whether this batch is the first, the last of those whose gradients are added up.
        label_smoothing : float or None
            Of a cross-entropy, 0 to 1; None: that of the program's loss.
        max_grad_norm : float or None
            Norm that gradients are clipped to, where the program's optimizer has one; None: that.

        Returns
        -------
        StepResult

        Raises
        ------
        DeviceError
            The hardware stopped with an error; after it the device runs again.
        """
        if self.program is None:
            raise ValueError("the device has no program yet: call load_program first")
        if name not in self.program.descriptors:
            raise ValueError(
                f"program must be one of {list(self.program.descriptors)}, not {name!r}"
            )
        if valid_images is None:
            valid_images = self.program.batch_size
        if not 1 <= valid_images <= self.program.batch_size:
            raise ValueError(
                f"valid_images must be 1 to {self.program.batch_size}, not {valid_images!r}"
            )
        if name == "train":
            check_valid(self.program, valid_images)
            name = train_name(first, update)
            if name not in self.program.descriptors:
                raise ValueError(
                    "first and update must be True where the optimizer's accumulation is 1, not"
                    f" {first!r} and {update!r}"
                )
        self._ran = name
        self._step = {
            "number": number,
            "seed": seed,
            "loss_images": loss_images or valid_images,
            "label_smoothing": self._smoothing(label_smoothing),
            "max_grad_norm": self._norm(max_grad_norm),
        }
        if SCALARS in self.program.tensors:
            scalars = run_time_scalars(
                self.program, learning_rate=learning_rate, valid_images=valid_images,
                number=number, seed=seed, max_grad_norm=self._step["max_grad_norm"],
            )  # fmt: skip
            self.write_tensor(SCALARS, scalars)
        arguments = np.float32(learning_rate), np.float32(momentum), valid_images
        before = StepResult()
        prior = self.program.prior
        if prior is not None and update and name != "infer" and (number - 1) % prior.interval == 0:
            before = self._run(VARIANCES, *arguments)
        return before.plus(self._run(name, *arguments))

    def _smoothing(self, given):
        loss = self.program.ops[-1]
        if not hasattr(loss, "label_smoothing"):
            if given:
                raise ValueError(
                    f"label_smoothing must be 0 for {self.program.loss!r}, not {given!r}"
                )
            return 0.0
        if given is None:
            return loss.label_smoothing
        if isinstance(given, bool) or not isinstance(given, numbers.Real):
            raise TypeError(f"label_smoothing must be a number, not {given!r}")
        if not 0 <= given <= 1:
            raise ValueError(f"label_smoothing must be 0 to 1, not {given!r}")
        return float(given)

    def _norm(self, given):
        optimizer = self.program.optimizer  # None in a program of single passes
        own = None if optimizer is None else optimizer.max_grad_norm
        if given is None:
            return own
        if own is None:
            raise ValueError(
                "max_grad_norm must be None where the optimizer was compiled without one, not"
                f" {given!r}"
            )
        if isinstance(given, bool) or not isinstance(given, numbers.Real):
            raise TypeError(f"max_grad_norm must be a number, not {given!r}")
        if not 0 < given < float("inf"):
            raise ValueError(f"max_grad_norm must be greater than 0, not {given!r}")
        return float(given)

    def _loss_settings(self):
        """What a host tells the loss unit before a step: arguments of `Host.run`."""
        classes = getattr(self.program.ops[-1], "classes", 1)
        targets = class_targets(self._step["label_smoothing"], classes)
        return {"loss_images": self._step["loss_images"], "targets": targets}

    def profile(self):
        """Where the cycles of the last run went, descriptor by descriptor; also of a failed one.

        Returns
        -------
        Profile

        Raises
        ------
        ValueError
            Nothing has run, or the device has no clock.
        """
        if self._ran is None:
            raise ValueError("there is no profile before the first run")
        descriptors = self.program.descriptors[self._ran]
        return self._profile([self.program.tags[each.tag] for each in descriptors])

    def _profile(self, names):
        """See `profile`; the names of the descriptors of what has run."""
        raise ValueError(
            f'the device "{self.name}" has no clock, so nothing can be said about cycles;'
            ' open_device("sim", ..) has one'
        )

    @abstractmethod
    def _load(self):
        """Take `self.program`; clear all tensors."""

    @abstractmethod
    def _run(self, name, learning_rate, momentum, valid_images):
        """See `run`; the arguments are checked."""

    @abstractmethod
    def write_tensor(self, name, value):
        """Put a tensor into the device's memory: Blocked where its storage is "blocked", else an
        array."""

    @abstractmethod
    def read_tensor(self, name):
        """The inverse of `write_tensor`."""

    def close(self):  # noqa: B027
        """Give back what the device holds; nothing, for most."""

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()


class MemoryDevice(Device):
    """A device whose tensors lie in a memory of bytes, as TensorSpec says."""

    @abstractmethod
    def _write(self, offset, data):
        """Put bytes at an offset from the memory's base."""

    @abstractmethod
    def _read(self, offset, count):
        """Bytes at an offset from the memory's base."""

    def _tensor_at(self, offset):
        """Name of the tensor that holds a byte, or None."""
        for name, spec in self.program.tensors.items():
            for start, count in spec.spans() + spec.exponent_spans():
                if start <= offset < start + count:
                    return name
        return None

    def write_tensor(self, name, value):
        spec = self._spec(name)
        elements, exponents = spec.to_bytes(value)
        self._write_spans(spec.spans(), elements)
        if exponents is not None:
            self._write_spans(spec.exponent_spans(), exponents)

    def _write_spans(self, spans, data):
        at = 0
        for start, count in spans:
            self._write(start, data[at : at + count])
            at += count

    def _read_spans(self, spans):
        if len(spans) == 1:
            return self._read(*spans[0])
        return b"".join(bytes(self._read(start, count)) for start, count in spans)

    def read_tensor(self, name):
        spec = self._spec(name)
        exponents = None
        if spec.has_exponents:
            exponents = self._read_spans(spec.exponent_spans())
        return spec.from_bytes(self._read_spans(spec.spans()), exponents)


def open_device(name, config, **options):
    """Open a device.

    Parameters
    ----------
    name : str
        "golden": the NumPy model. "sim": the RTL, compiled by Verilator. "serial": a board with
        its memory on the chip, over its serial port. "pynq": a Zynq board with the PYNQ image.
    config : AcceleratorConfig
    **options
        Passed to the device, see `SimDevice`, `SerialDevice` and `PynqDevice`.

    Raises
    ------
    ValueError
        There is no such device, or it has no such option.
    """
    if name == "golden":
        from .golden_device import GoldenDevice as backend
    elif name == "sim":
        from .sim_device import SimDevice as backend
    elif name == "serial":
        from .serial_device import SerialDevice as backend
    elif name == "pynq":
        from .pynq_device import PynqDevice as backend
    else:
        raise ValueError(f"device must be one of {list(BACKENDS)}, not {name!r}")
    unknown = [option for option in options if option not in backend.OPTIONS]
    if unknown:
        raise ValueError(
            f"device {name!r} has no option {unknown[0]!r}; its options are {list(backend.OPTIONS)}"
        )
    return backend(config, **options)
