"""The golden model as a device."""

from ..compiler.emit import VARIANCES
from ..golden.network import forward_pass, training_step
from .device import Device, StepResult

__all__ = ["GoldenDevice"]


class GoldenDevice(Device):
    """Runs programs on the NumPy model: the same bits as the RTL, no clock."""

    name = "golden"
    OPTIONS = ()

    def _load(self):
        self._tensors = {
            name: spec.from_bytes(bytes(spec.nbytes), bytes(spec.exponent_nbytes))
            for name, spec in self.program.tensors.items()
        }

    def _run(self, name, learning_rate, momentum, valid_images):
        if name == VARIANCES:  # the training step makes them itself
            return StepResult()
        if name == "infer":
            forward_pass(self.program, self._tensors)
        else:
            training_step(
                self.program,
                self._tensors,
                learning_rate=learning_rate,
                momentum=momentum,
                valid_images=valid_images,
                first=name in ("train", "train_first"),
                update=name in ("train", "train_last"),
                **self._step,
            )
        return StepResult()

    def write_tensor(self, name, value):
        spec = self._spec(name)
        self._tensors[name] = spec.from_bytes(*spec.to_bytes(value))  # a copy, checked

    def read_tensor(self, name):
        spec = self._spec(name)
        return spec.from_bytes(*spec.to_bytes(self._tensors[name]))
