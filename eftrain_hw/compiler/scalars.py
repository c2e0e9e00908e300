"""What the host writes before each step and vector programs read: lines of 16 fp32 words.

Line 0 is of the optimizer and the batch, the lines after it hold the seeds of the dropout layers.
"""

import numpy as np

from ..golden.activation import layer_seed
from .operations import DropoutOp
from .tensors import TensorSpec

__all__ = ["SCALARS", "STEP", "run_time_scalars", "scalars_spec", "seed_place"]

SCALARS = "scalars"
"""Name of the tensor."""

STEP = ("root_scale", "minus_step_size", "inverse_images", "max_grad_norm")
"""Scalars of line 0: of Adam, one over the images of this batch, which is not the register's
where several batches' gradients are added up, and the norm that gradients are clipped to."""

LINE_WORDS = 16
_SEEDS = 2  # of a layer: of most of its elements, and of the rest


def seed_place(index, part):
    """(line, scalar) of a seed of dropout layer number `index`; `part` 1 is the rest's."""
    line, place = divmod(_SEEDS * index + part, LINE_WORDS)
    return 1 + line, place


def _dropouts(program):
    return [op for op in program.ops if isinstance(op, DropoutOp)]


def scalars_spec(program):
    """TensorSpec of the scalars of a program that has some, or None."""
    dropouts, optimizer = _dropouts(program), program.optimizer
    adam, clips = "exp_avg" in optimizer.STATE, optimizer.max_grad_norm is not None
    if not (dropouts or adam or clips or optimizer.accumulation > 1):
        return None
    lines = 1 + -(-_SEEDS * len(dropouts) // LINE_WORDS)
    return TensorSpec(SCALARS, SCALARS, "fp32", (lines * LINE_WORDS,), program.config.format)


def run_time_scalars(
    program, *, learning_rate, valid_images, number=1, seed=0, max_grad_norm=None
):
    """The tensor "scalars" for a step.

    Parameters
    ----------
    program : Program
    learning_rate : float
    valid_images : int
    number : int
        Updates so far, this one included.
    seed : int
        Of the run's dropout layers.
    max_grad_norm : float or None
        None: the optimizer's.
    """
    from .passes.programs.dropout import first_of_rest

    values = np.zeros(program.tensors[SCALARS].shape, np.float32)
    known = program.optimizer.scalars(number, lr=learning_rate)
    if "root_scale" in known:
        values[STEP.index("root_scale")] = known["root_scale"]
        values[STEP.index("minus_step_size")] = -known["step_size"]
    values[STEP.index("inverse_images")] = np.float32(1) / np.float32(valid_images)
    norm = program.optimizer.max_grad_norm if max_grad_norm is None else max_grad_norm
    values[STEP.index("max_grad_norm")] = norm or 0
    bits = values.view(np.uint32)
    for op in _dropouts(program):
        start = layer_seed(seed, number, op.index)
        for part, first in enumerate((0, first_of_rest(program, op))):
            line, place = seed_place(op.index, part)
            bits[line * LINE_WORDS + place] = (start + first) & 0xFFFFFFFF
    return values
