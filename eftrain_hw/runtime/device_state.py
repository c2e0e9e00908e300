"""Parameters, running statistics and the optimizer's state of a program on a device."""

from math import sqrt

import numpy as np

from ..compiler.parameters import parameter_from_device, parameter_to_device, weight_mask
from ..compiler.state import bond_state, operation_of
from ..formats import Blocked, format_named
from .checks import checked_state

__all__ = ["DeviceState"]


class DeviceState:
    """By PyTorch's names and in its shapes.

    Parameters
    ----------
    program : Program
    device : Device
    """

    def __init__(self, program, device):
        self._program, self._device = program, device
        network = program.network
        self.parameters, self.buffers = network.parameters(), network.buffers()
        trained = network.trained()
        self.kept = {  # of the optimizer
            f"{name}.{state}": self.parameters[name]
            for state in program.optimizer.STATE
            for name in trained
        }
        self.added = {}  # gradients of the batches since the last update
        if program.optimizer.accumulation > 1:
            self.added = {f"{name}.accumulated": self.parameters[name] for name in trained}

    def _layer(self, name):
        """(operation, name within it) of a parameter such as "3.body.0.weight"."""
        return operation_of(self._program, name)

    def initial(self, seed):
        """What PyTorch's layers start from, but from NumPy's generator: uniform within
        1 / sqrt(fan in); 1 and 0 of batch normalisation. Cores of a tensor train are uniform such
        that the matrix that they stand for has the variance of PyTorch's."""
        generator, state = np.random.default_rng(seed), {}
        for name, shape in self.parameters.items():
            op, own = self._layer(name)
            if hasattr(op, "bound"):
                bound = op.bound
            elif hasattr(op, "weight_shape"):
                bound = 1 / sqrt(np.prod(op.weight_shape[1:]))
            else:
                state[name] = np.full(shape, own == "weight", np.float32)
                continue
            state[name] = generator.uniform(-bound, bound, shape).astype(np.float32)
        for name, shape in self.buffers.items():
            state[name] = np.full(shape, name.endswith("running_var"), np.float32)
        return state

    def read(self):
        """Parameters and running statistics as float32."""
        names = {name: f"{name}.master" for name in self.parameters}
        names |= {name: name for name in self.buffers}
        return {name: self._read(name, tensor) for name, tensor in names.items()}

    def read_kept(self):
        """The optimizer's state, "<parameter>.momentum" and the like."""
        names = [*self.kept, *self.added]
        return {name: self._read(name.rpartition(".")[0], name) for name in names}

    def _read(self, name, tensor):
        return parameter_from_device(*self._layer(name), self._device.read_tensor(tensor))

    def write(self, state, kept=None):
        """Take over what `read` and `read_kept` return; what is not given of the latter is zero.

        Raises
        ------
        ValueError
            A name is missing or unknown, a shape differs, or a value is not finite.
        """
        zeros = {**self.added, **(self.kept if kept is None else {})}
        zeros = {name: np.zeros(shape, np.float32) for name, shape in zeros.items()}
        kept = zeros | (kept or {})
        state = checked_state("state_dict", state, {**self.parameters, **self.buffers})
        kept = checked_state("optimizer state", kept, {**self.kept, **self.added})
        program, device = self._program, self._device
        lanes = program.config.lanes
        for name, values in state.items():
            op, own = self._layer(name)
            tensor = parameter_to_device(op, own, values, lanes)
            if name in self.buffers:
                device.write_tensor(name, tensor)
                continue
            device.write_tensor(f"{name}.master", tensor)
            if name in program.tensors:
                format = format_named(program.tensors[name].format)
                device.write_tensor(name, Blocked.encode(format, tensor))
            mask = program.tensors.get(f"{name}.mask")
            if mask is not None:  # which weights there are, between groups
                device.write_tensor(mask.name, weight_mask(op, lanes).astype(mask.dtype))
        for name, values in bond_state(program).items():
            device.write_tensor(name, values)
        for name, values in kept.items():
            op, own = self._layer(name.rpartition(".")[0])
            device.write_tensor(name, parameter_to_device(op, own, values, lanes))
