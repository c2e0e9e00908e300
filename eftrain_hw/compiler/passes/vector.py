"""Descriptors of the vector unit: pooling, loss, update."""

from math import prod

from ...sequencer.program_format import LOOPS, Command, Descriptor
from ...vector.commands import LOSS, POOL_BACKWARD, POOL_FORWARD, UPDATE
from .body import exponent_line, fence, line

__all__ = [
    "loss_descriptor",
    "pool_backward_descriptor",
    "pool_forward_descriptor",
    "update_descriptor",
]


def _single(tag, *commands):
    return Descriptor(tag, [1] * LOOPS, [fence(), *commands])


def pool_forward_descriptor(config, op, batch, tensors, tag):
    """Max pooling."""
    x, y = tensors[op.x], tensors[op.y]
    return _single(
        tag,
        Command(
            POOL_FORWARD,
            {
                "relu": int(op.relu),
                "source": line(x),
                "source_exponents": exponent_line(x),
                "result": line(y),
                "result_exponents": exponent_line(y),
                "index": line(tensors[op.index]),
                **_pool_shape(op, batch),
            },
        ),
    )


def pool_backward_descriptor(config, op, batch, tensors, tag):
    """The gradient of max pooling."""
    dx, dy = tensors[f"d{op.x}"], tensors[f"d{op.y}"]
    return _single(
        tag,
        Command(
            POOL_BACKWARD,
            {
                "source": line(dy),
                "source_exponents": exponent_line(dy),
                "result": line(dx),
                "result_exponents": exponent_line(dx),
                "index": line(tensors[op.index]),
                **_pool_shape(op, batch),
            },
        ),
    )


def _pool_shape(op, batch):
    return {
        "planes": batch * op.in_shape[0],
        "height": op.in_shape[1],
        "width": op.in_shape[2],
        "out_height": op.out_shape[1],
        "out_width": op.out_shape[2],
        "kernel_height": op.kernel[0],
        "kernel_width": op.kernel[1],
    }


def loss_descriptor(config, op, batch, tensors, tag):
    """Loss and its gradient."""
    logits, gradient = tensors[op.logits], tensors[op.gradient]
    return _single(
        tag,
        Command(
            LOSS,
            {
                "logits": line(logits),
                "labels": line(tensors["labels"]),
                "gradient": line(gradient),
                "gradient_exponents": exponent_line(gradient),
                "losses": line(tensors["loss"]),
                "images": batch,
                "classes": op.classes,
                "blocks": prod(logits.shape[1:-1]),
            },
        ),
    )


def update_descriptor(config, op, tensors, tag):
    """SGD of a layer's weights and biases."""
    commands = []
    for name in ("weight", "bias") if op.bias else ("weight",):
        prefix = f"{op.key}.{name}"
        copy = tensors.get(prefix)
        commands.append(
            Command(
                UPDATE,
                {
                    "copy": int(copy is not None),
                    "gradient": line(tensors[f"{prefix}.gradient"]),
                    "momentum": line(tensors[f"{prefix}.momentum"]),
                    "master": line(tensors[f"{prefix}.master"]),
                    "result": line(copy) if copy else 0,
                    "result_exponents": exponent_line(copy) if copy else 0,
                    "vectors": prod(tensors[f"{prefix}.master"].shape[:-1]),
                },
            )
        )
    return _single(tag, *commands)
