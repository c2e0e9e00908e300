"""The tensors that a program starts from, made of a state dict."""

import numpy as np

from ..formats import encode_narrow, format_named
from ..golden.stochastic import MASTER_BITS, MASTER_EXPONENT
from .parameters import parameter_from_device, parameter_to_device, weight_mask

__all__ = ["bond_state", "device_state", "network_state", "operation_of"]


def operation_of(program, name):
    """(operation, name within it) of a parameter or running statistic such as "3.weight"."""
    key, _, own = name.rpartition(".")
    ops = (op for op in program.ops if getattr(op, "key", None) == key)
    op = next(op for op in ops if own in getattr(op, "owned", (own,)))
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
        op, own = operation_of(program, name)
        values = np.asarray(state[name], np.float32)
        if values.shape != tuple(shape):
            raise ValueError(f"state[{name!r}] must have shape {tuple(shape)}, not {values.shape}")
        device = parameter_to_device(op, own, values, lanes)
        if name in network.buffers():
            tensors[name] = device
            continue
        tensors[f"{name}.master"] = device
        if name in program.tensors:
            bits = program.tensors[name].bits or 8
            tensors[name] = encode_narrow(device, bits, format)
        if f"{name}.mask" in program.tensors:
            mask = program.tensors[f"{name}.mask"]
            tensors[mask.name] = weight_mask(op, lanes).astype(mask.dtype)
        for item in program.optimizer.STATE:
            if f"{name}.{item}" in program.tensors:
                tensors[f"{name}.{item}"] = np.zeros_like(device)
    tensors |= bond_state(program)
    if program.precision is not None and program.precision.master == 16:
        _round_masters(program, tensors)
    return tensors


def bond_state(program):
    """Masks and variances of ranks with a prior: all that exist are kept."""
    state = {}
    for bond in program.bonds:
        shape = program.tensors[bond.mask].shape
        exists = np.arange(bond.blocks * program.config.lanes) < bond.rank
        state[bond.mask] = exists.astype(np.uint8).reshape(shape)
        state[bond.variance] = np.ones(shape, np.float32)
    return state


def _round_masters(program, tensors):
    """Masters of 16 bits start as the nearest such numbers."""
    unit = 2.0 ** (MASTER_EXPONENT - MASTER_BITS + 1)
    most = 2 ** (MASTER_BITS - 1) - 1
    for name, spec in program.tensors.items():
        if spec.kind == "master" and spec.bits == MASTER_BITS:
            units = np.clip(np.rint(tensors[name] / unit), -most, most)
            tensors[name] = (units * unit).astype(np.float32)


def network_state(program, tensors):
    """Parameters and running statistics by PyTorch's names, from a device's tensors."""
    network = program.network
    names = [(name, f"{name}.master") for name in network.parameters()]
    names += [(name, name) for name in network.buffers()]
    return {
        name: parameter_from_device(*operation_of(program, name), tensors[tensor])
        for name, tensor in names
    }
