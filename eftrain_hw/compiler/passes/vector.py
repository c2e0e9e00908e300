"""Descriptors of the vector unit: pooling, loss, update."""

from math import prod

from ...sequencer.program_format import LOOPS, Command, Descriptor
from ...vector.commands import LINE_BYTES, LOSS, POOL_BACKWARD, POOL_FORWARD, UPDATE
from .body import exponent_line, line, low_line

__all__ = [
    "loss_descriptor",
    "low_copies_descriptor",
    "pool_backward_descriptor",
    "pool_forward_descriptor",
    "pool_steps",
    "pool_tile",
    "update_descriptor",
]


def _single(tag, *commands):
    return Descriptor(tag, [1] * LOOPS, list(commands))


def pool_forward_descriptor(config, op, batch, tensors, tag):
    """Max pooling."""
    return _single(tag, Command(POOL_FORWARD, _pool_forward(op, batch, tensors)))


def _pool_forward(op, images, tensors):
    x, y = tensors[op.x], tensors[op.y]
    return {
        "relu": int(op.relu),
        "source": line(x),
        "source_exponents": exponent_line(x),
        "result": line(y),
        "result_exponents": exponent_line(y),
        "index": line(tensors[op.index]),
        **_pool_shape(op, images),
        **({"wide": 1, "source_low": low_line(x), "result_low": low_line(y)} if op.wide else {}),
    }


def pool_steps(op, images, tensors):
    """Bytes from a group of images to the next in each tensor that pooling touches, by field."""
    x, y, index = tensors[op.x], tensors[op.y], tensors[op.index]
    steps = {"source": x.plane_nbytes, "result": y.plane_nbytes, "index": index.nbytes}
    if op.wide:
        steps |= {"source_low": x.plane_nbytes, "result_low": y.plane_nbytes}
    if x.has_exponents:
        steps["source_exponents"] = x.exponent_nbytes
        steps["result_exponents"] = y.exponent_nbytes
    return {field: size // x.shape[0] * images for field, size in steps.items()}


def pool_tile(body, op, tensors):
    """Max pooling of the images of a tile, once all of it has been stored."""
    images, last = body.tiling.full["image"], body.tiling.last["image"]
    pool = body.add(
        POOL_FORWARD,
        _pool_forward(op, images, tensors),
        when_last=body.mask("group", "row", "reduction"),
    )
    body.last(pool, "planes", "image", last * op.in_shape[0])
    for field, size in pool_steps(op, images, tensors).items():
        body.step(pool, field, "image", size // LINE_BYTES)
    return pool


def pool_backward_descriptor(config, op, batch, tensors, tag):
    """The gradient of max pooling."""
    dx, dy = tensors[op.dx or f"d{op.x}"], tensors[f"d{op.y}"]
    values = {
        "source": line(dy),
        "source_exponents": exponent_line(dy),
        "result": line(dx),
        "result_exponents": exponent_line(dx),
        "index": line(tensors[op.index]),
        **_pool_shape(op, batch),
    }
    commands = [Command(POOL_BACKWARD, values)]
    if op.wide_gradient:  # low digits go the same way
        low = {"source": low_line(dy), "result": low_line(dx)}
        commands.append(Command(POOL_BACKWARD, values | low))
    return _single(tag, *commands)


def _pool_shape(op, images):
    return {
        "planes": images * op.in_shape[0],
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
    values = {
        "logits": line(logits),
        "labels": line(tensors["labels"]),
        "gradient": line(gradient),
        "gradient_exponents": exponent_line(gradient),
        "losses": line(tensors["loss"]),
        "images": batch,
        "classes": op.classes,
        "blocks": prod(logits.shape[1:-1]),
    }
    commands = [Command(LOSS, values)]
    if gradient.digits == 2:
        commands.append(Command(LOSS, values | {"low": 1, "gradient": low_line(gradient)}))
    return _single(tag, *commands)


def update_descriptor(config, op, tensors, tag):
    """SGD of a layer's parameters."""
    commands = []
    for name in op.names:
        prefix = f"{op.key}.{name}"
        if f"{prefix}.momentum" not in tensors:  # frozen
            continue
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
    return _single(tag, *commands, *_low_copies(op.key, tensors))


def low_copies_descriptor(config, key, tensors, tag):
    """The low digits of a layer's compute copy, from the master weights that are updated."""
    return _single(tag, *_low_copies(key, tensors))


def _low_copies(key, tensors):
    copy, master = tensors.get(f"{key}.weight"), tensors.get(f"{key}.weight.master")
    if copy is None or copy.digits == 1 or f"{key}.weight.gradient" not in tensors:
        return []
    values = {
        "copy": 1,
        "low": 1,
        "master": line(master),
        "result": low_line(copy),
        "vectors": prod(master.shape[:-1]),
    }
    return [Command(UPDATE, values)]
