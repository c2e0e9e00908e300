"""The tensors that a program starts from, made of a state dict."""

import numpy as np

from ..formats import Blocked, format_named
from .parameters import parameter_from_device, parameter_to_device, weight_mask

__all__ = ["device_state", "network_state"]


def _operation(program, name):
    key, _, own = name.rpartition(".")
    op = next(op for op in program.ops if getattr(op, "key", None) == key)
    return op, own


def device_state(program, state):
    """Everything that must be in a device's memory before the first step.

    Parameters
    ----------
    program : Program
    state : dict
        float32 parameters and running statistics by PyTorch's names and in its shapes.

    Returns
    -------
    dict
        By tensor name: master values, compute copies, masks, running statistics, and the
        optimizer's state, which is zero.
    """
    lanes, format = program.config.lanes, format_named(program.config.format)
    network, tensors = program.network, {}
    for name, shape in {**network.parameters(), **network.buffers()}.items():
        op, own = _operation(program, name)
        values = np.asarray(state[name], np.float32)
        if values.shape != tuple(shape):
            raise ValueError(f"state[{name!r}] must have shape {tuple(shape)}, not {values.shape}")
        device = parameter_to_device(op, own, values, lanes)
        if name in network.buffers():
            tensors[name] = device
            continue
        tensors[f"{name}.master"] = device
        if name in program.tensors:
            tensors[name] = Blocked.encode(format, device)
        if f"{name}.mask" in program.tensors:
            mask = program.tensors[f"{name}.mask"]
            tensors[mask.name] = weight_mask(op, lanes).astype(mask.dtype)
        for item in program.optimizer.STATE:
            if f"{name}.{item}" in program.tensors:
                tensors[f"{name}.{item}"] = np.zeros_like(device)
    return tensors


def network_state(program, tensors):
    """Parameters and running statistics by PyTorch's names, from a device's tensors."""
    network = program.network
    names = [(name, f"{name}.master") for name in network.parameters()]
    names += [(name, name) for name in network.buffers()]
    return {
        name: parameter_from_device(*_operation(program, name), tensors[tensor])
        for name, tensor in names
    }
