"""A program's operations, run by the golden model: every tensor of a step."""

from dataclasses import dataclass

import numpy as np

from ..formats import Blocked, encode_narrow, format_named
from .arithmetic import fadd
from .loss import cross_entropy, squared_error
from .operations import run_backward, run_forward
from .run_prior import shrink, stored_master, update_variances
from .stochastic import update_seed
from .update import adam, clip_factor, prepare_gradient, sgd

__all__ = ["Step", "forward_pass", "training_step"]


@dataclass(frozen=True, kw_only=True)
class Step:
    """Run-time parameters of a training step.

    Members
    -------
    learning_rate, momentum : float
    valid_images : int
        Images of the batch that count.
    number : int
        Updates so far, this one included.
    seed : int
        Of the dropout layers.
    loss_images : int or None
        What the loss is the mean over: all images whose gradients are added up; None: this batch's.
    first, update : bool
        Whether this is the first and the last of the batches whose gradients are added up.
    label_smoothing : float or None
        Of a cross-entropy; None: the network's own.
    max_grad_norm : float or None
        Where the optimizer clips gradients; None: the optimizer's own.
    """

    learning_rate: float
    momentum: float
    valid_images: int
    number: int = 1
    seed: int = 0
    loss_images: int | None = None
    first: bool = True
    update: bool = True
    label_smoothing: float | None = None
    max_grad_norm: float | None = None


def forward_pass(program, tensors, step=None):
    """Run the forward operations of `program` on a dict of tensors, in place.

    Parameters
    ----------
    program : Program
        Only its `ops` and `config` are used.
    tensors : dict
        By name: Blocked where the device stores elements and exponents, else arrays. "x" and the
        parameters must be there; activations, indices and logits are added.
    step : Step or None
        None: inference.
    """
    for op in program.ops[:-1]:
        run_forward(op, tensors, step)


def training_step(program, tensors, **parameters):
    """Forward, loss, backward and update on a dict of tensors, in place.

    Parameters
    ----------
    program : Program
        Its `ops`, `tensors`, `config`, `batch_size` and `optimizer` are used.
    tensors : dict
        As `forward_pass`; "labels" or "targets" and the optimizer's state must be there too.
    **parameters
        Of `Step`.
    """
    step = Step(**parameters)
    forward_pass(program, tensors, step)
    _loss(program, tensors, step)
    for op in reversed(program.ops[:-1]):
        if op.input_gradient or _own_parameters(op):
            run_backward(op, tensors, step)
    trained = _trained(program)
    for name in trained:
        gradient = tensors[f"{name}.gradient"]
        if isinstance(gradient, Blocked):
            tensors[f"{name}.gradient"] = gradient.decode()
    if program.optimizer.accumulation > 1:
        for name in trained:
            gradient, total = tensors[f"{name}.gradient"], f"{name}.accumulated"
            tensors[total] = gradient if step.first else fadd(tensors[total], gradient)
    if step.update:
        _update(program, tensors, trained, step)


def _loss(program, tensors, step):
    loss, batch = program.ops[-1], program.batch_size
    count = step.loss_images or step.valid_images
    settings = {
        "valid": step.valid_images,
        "inv_n": np.float32(1) / np.float32(count),
        "format": format_named(program.tensors[loss.gradient].format),
    }
    outputs = tensors[loss.logits]
    if hasattr(loss, "features"):
        mask = outputs > 0 if loss.mask else None
        targets = tensors["targets"]
        result = squared_error(outputs, targets, features=loss.features, mask=mask, **settings)
    else:
        labels = tensors["labels"].view(np.int32)[:batch]
        given = step.label_smoothing
        settings["label_smoothing"] = loss.label_smoothing if given is None else given
        result = cross_entropy(outputs, labels, classes=loss.classes, **settings)
    losses, total, tensors[loss.gradient] = result
    stored = tensors["loss"] = np.zeros(program.tensors["loss"].shape, np.float32)
    if hasattr(loss, "features"):  # in every lane of a vector
        losses = np.repeat(losses, program.config.lanes)
        stored[len(losses) :] = total
    stored[: len(losses)] = losses
    stored[-16] = total


def _trained(program):
    """Names of the parameters that are trained, in the order of the network."""
    return [f"{op.key}.{name}" for op in program.ops for name in _own_parameters(op)]


def _own_parameters(op):
    """Names of an operation's parameters that are trained."""
    if hasattr(op, "trained_names"):
        return op.trained_names
    wanted = {name: getattr(op, f"train_{name}", False) for name in ("weight", "bias")}
    return [name for name, trained in wanted.items() if trained]


def _update(program, tensors, trained, step):
    optimizer = program.optimizer
    source = "accumulated" if optimizer.accumulation > 1 else "gradient"
    gradients = {name: tensors[f"{name}.{source}"] for name in trained}
    factor = None
    if optimizer.max_grad_norm is not None:
        norm = step.max_grad_norm or optimizer.max_grad_norm
        factor = clip_factor(list(gradients.values()), norm)
    scalars = optimizer.scalars(step.number, lr=step.learning_rate, momentum=step.momentum)
    rule = adam if "exp_avg" in optimizer.STATE else sgd
    settings = {"eps": optimizer.eps} if rule is adam else {"nesterov": optimizer.nesterov}
    update_variances(program, tensors, step.number)
    for index, name in enumerate(trained):
        master = tensors[f"{name}.master"]
        gradient = prepare_gradient(
            gradients[name], master, factor=factor, weight_decay=optimizer.weight_decay
        )
        gradient = shrink(program, tensors, name, gradient)
        states = [f"{name}.{state}" for state in optimizer.STATE]
        master, *new, _ = rule(
            master, *(tensors[state] for state in states), gradient, **scalars, **settings
        )
        tensors |= dict(zip(states, new, strict=True))
        seed = update_seed(step.seed, step.number, index)
        tensors[f"{name}.master"] = stored_master(program, tensors, name, master, seed)
        copy = tensors.get(name)
        if isinstance(copy, Blocked):
            bits = program.tensors[name].bits or 8
            tensors[name] = encode_narrow(tensors[f"{name}.master"], bits, copy.format)
