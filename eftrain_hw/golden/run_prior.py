"""Rank adaptation and narrow masters on a dict of tensors."""

import numpy as np

from .arithmetic import fmul
from .rank_prior import prior_gradient, slice_squares, surviving, variances
from .stochastic import MASTER_BITS, round_master

__all__ = ["shrink", "stored_master", "update_variances"]


def update_variances(program, tensors, number):
    """New variances and masks of all ranks, before update `number` if it is its turn."""
    prior = program.prior
    if prior is None or (number - 1) % prior.interval:
        return
    for bond in program.bonds:
        squares = [
            slice_squares(tensors[f"{name}.master"], blocks=bond.blocks, side=side)
            for name, side in ((bond.output, "out"), (bond.input, "in"))
        ]
        settings = {"count": bond.count, "shape": prior.shape, "scale": prior.scale}
        variance = tensors[bond.variance] = variances(*squares, **settings)
        tensors[bond.mask] = surviving(variance, tensors[bond.mask], prior.threshold)


def _ranks(program, name):
    """The bonds on the lanes o and i of a core, None where there is none."""
    outputs = next((bond for bond in program.bonds if bond.output == name), None)
    inputs = next((bond for bond in program.bonds if bond.input == name), None)
    return outputs, inputs


def shrink(program, tensors, name, gradient):
    """The gradient of a parameter with the prior's added."""
    if program.prior is None:
        return gradient
    found = [None if bond is None else tensors[bond.variance] for bond in _ranks(program, name)]
    strength, core = program.prior.strength, tensors[f"{name}.master"]
    return prior_gradient(gradient, core, strength=strength, outputs=found[0], inputs=found[1])


def stored_master(program, tensors, name, master, seed):
    """A new master as it is stored: rounded where it is narrow, +0 where its rank is gone."""
    if program.tensors[f"{name}.master"].bits == MASTER_BITS:
        master = round_master(master, seed)
    outputs, inputs = _ranks(program, name)
    if outputs is not None:
        mask = tensors[outputs.mask].astype(np.float32)
        mask = np.tile(mask, (len(master) // len(mask), 1))[:, None, None, None, None]
        master = fmul(master, mask)
    if inputs is not None:
        mask = tensors[inputs.mask].astype(np.float32)
        master = fmul(master, mask[:, None, None, :, None])
    return master
