"""A compiled program's operations, run by the golden model: every tensor of a step."""

import numpy as np

from ..formats import Blocked, format_named
from .conv import conv_backward_input, conv_forward
from .loss import cross_entropy
from .pooling import maxpool_backward, maxpool_forward
from .update import sgd
from .weight_gradient import conv_backward_weight

__all__ = ["forward_pass", "training_step"]


def forward_pass(program, tensors):
    """Run the forward operations of `program` on a dict of tensors, in place.

    Parameters
    ----------
    program : Program
        Only its `ops` and `config` are used.
    tensors : dict
        By name: Blocked where the device stores elements and exponents, else arrays. "x" and the
        parameters must be there; activations, indices and logits are added.
    """
    for op in program.ops[:-1]:
        x = tensors[op.x]
        if hasattr(op, "index"):
            tensors[op.y], tensors[op.index] = maxpool_forward(x, kernel=op.kernel, relu=op.relu)
            continue
        tensors[op.y] = conv_forward(
            x.reshape(len(x.elements), *op.in_shape),
            tensors[f"{op.key}.weight"],
            tensors[f"{op.key}.bias.master"].reshape(-1) if op.bias else None,
            stride=op.stride,
            padding=op.padding,
            relu=op.relu,
            encode=not op.raw,
        )


def training_step(program, tensors, *, learning_rate, momentum, valid_images):
    """Forward, loss, backward and update on a dict of tensors, in place; see `forward_pass`."""
    forward_pass(program, tensors)
    format = format_named(program.config.format)
    loss = program.ops[-1]
    losses, total, gradient = cross_entropy(
        tensors[loss.logits],
        tensors["labels"].view(np.int32)[: program.batch_size],
        classes=loss.classes,
        valid=valid_images,
        inv_n=np.float32(1) / np.float32(valid_images),
        format=format,
    )
    tensors[loss.gradient] = gradient
    stored = tensors["loss"] = np.zeros(program.tensors["loss"].shape, np.float32)
    stored[: len(losses)] = losses
    stored[-16] = total
    for op in reversed(program.ops[:-1]):
        if not op.input_gradient and hasattr(op, "index"):
            continue
        dy = tensors[f"d{op.y}"]
        if hasattr(op, "index"):
            tensors[f"d{op.x}"] = maxpool_backward(
                dy, tensors[op.index], input_size=op.in_shape[1:], kernel=op.kernel
            )
            continue
        _convolution_backward(program, op, tensors, dy)
        for name in ("weight", "bias") if op.bias else ("weight",):
            _update(tensors, f"{op.key}.{name}", learning_rate, momentum, format)


def _convolution_backward(program, op, tensors, dy):
    x = tensors[op.x]
    flat = x.reshape(len(x.elements), *op.in_shape)
    if op.input_gradient:
        dx = conv_backward_input(
            dy,
            tensors[f"{op.key}.weight"],
            input_size=op.in_shape[1:],
            stride=op.stride,
            padding=op.padding,
            mask=flat if op.mask else None,
        )
        tensors[f"d{op.x}"] = dx.reshape(*x.elements.shape[:-1])
    gradient, bias = conv_backward_weight(
        flat, dy, kernel=op.kernel, stride=op.stride, padding=op.padding, split=op.split
    )
    tensors[f"{op.key}.weight.gradient"] = gradient
    if op.bias:
        tensors[f"{op.key}.bias.gradient"] = bias.reshape(-1, gradient.shape[-1])


def _update(tensors, prefix, learning_rate, momentum, format):
    has_copy = isinstance(tensors.get(prefix), Blocked)
    master, velocity, copy = sgd(
        tensors[f"{prefix}.master"],
        tensors[f"{prefix}.momentum"],
        tensors[f"{prefix}.gradient"],
        lr=np.float32(learning_rate),
        momentum=np.float32(momentum),
        format=format if has_copy else None,
    )
    tensors[f"{prefix}.master"], tensors[f"{prefix}.momentum"] = master, velocity
    if has_copy:
        tensors[prefix] = copy
