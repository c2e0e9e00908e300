"""Network, configuration and batch to a program for a device."""

from math import prod

from ..config import AcceleratorConfig
from . import nn, optim, passes
from .lower import lower
from .operations import ConcatOp
from .program import LINE_BYTES, LossOp, PoolOp, Program, TensorSpec, UpdateOp, trained_of
from .support import check_supported

__all__ = ["allocate", "compile_network", "place", "prepare"]

GUARD = LINE_BYTES  # between tensors, so that a stray write is seen and not silent


def prepare(network, config, *, batch_size, loss, optimizer):
    """Operations and tensors of a training step, laid out in DRAM, without descriptors.

    What the golden model runs; `compile_network` adds the descriptors. Parameters and errors as
    there.

    Returns
    -------
    Program
    """
    for name, value, kinds in (
        ("network", network, (nn.Sequential, nn.Network)),
        ("config", config, (AcceleratorConfig,)),
        ("loss", loss, (nn.CrossEntropyLoss, nn.MSELoss)),
        ("optimizer", optimizer, (optim.SGD, optim.Adam)),
    ):
        if not isinstance(value, kinds):
            allowed = " or ".join(kind.__name__ for kind in kinds)
            raise TypeError(f"compile_network: {name} must be {allowed}, not {value!r}")
    if network.input_shape is None:
        raise ValueError("compile_network: network must have an input_shape, not None")
    if not isinstance(batch_size, int) or not 1 <= batch_size <= 4096:
        raise ValueError(f"compile_network: batch_size must be 1 to 4096, not {batch_size!r}")
    ops, tensors = lower(network, config, batch_size, loss, optimizer)
    program = Program(
        config=config,
        network=network,
        loss=loss,
        optimizer=optimizer,
        batch_size=batch_size,
        ops=ops,
        tensors=tensors,
        logits=ops[-1].logits,
    )
    program.memory_bytes = allocate(tensors.values())
    return program


def compile_network(network, config, *, batch_size, loss, optimizer):
    """Compile `network` into layer programs for training and inference.

    Parameters
    ----------
    network : nn.Sequential or nn.Network
    config : AcceleratorConfig
    batch_size : int
        Images of one training step, 1 to 4096.
    loss : nn.CrossEntropyLoss or nn.MSELoss
    optimizer : optim.SGD or optim.Adam

    Returns
    -------
    Program

    Raises
    ------
    TypeError, ValueError
        Naming the layer or field, what was given and what is allowed.
    """
    program = prepare(network, config, batch_size=batch_size, loss=loss, optimizer=optimizer)
    tensors = program.tensors
    check_supported(program)
    _check_limits(config, program.ops)
    end = program.memory_bytes
    _emit(program)
    for name, descriptors in program.descriptors.items():
        limit = config.descriptor_words // 2
        for descriptor in descriptors:
            size = len(descriptor.words())
            if size > limit:
                raise ValueError(
                    f"{program.tags[descriptor.tag]}: the descriptor takes {size} words; the"
                    f" configuration's descriptor_words // 2 must be at least that, not {limit}"
                )
        spec = TensorSpec(
            f"program.{name}", "program", "words", program.words(name).shape, config.format
        )
        end = place(spec, end)
        program.addresses[name] = spec.address
        tensors[spec.name] = spec
    program.memory_bytes = end
    if end > 1 << config.address_bits:
        raise ValueError(
            f"the network takes {end} bytes; addresses have {config.address_bits} bits"
        )
    return program


def _check_limits(config, ops):
    for op in ops:
        if isinstance(op, PoolOp):
            for what, words, most in (
                (
                    f"a band of {op.kernel[0]} rows, {op.in_shape[2]} columns",
                    op.in_shape[2] * op.kernel[0] * config.beats_per_vector,
                    config.pool_words // 2,
                ),
                (
                    f"an output row of {op.out_shape[2]} columns",
                    2 * op.out_shape[2] * config.beats_per_vector,
                    config.pool_words // 2,
                ),
            ):
                if words > most:
                    raise ValueError(
                        f"{op.name}: {what} takes {words} words; the configuration's"
                        f" pool_words // 2 must be at least that, not {most}"
                    )
        elif isinstance(op, LossOp) and op.classes > config.loss_words:
            raise ValueError(
                f"{op.name}: {op.classes} classes; the configuration's loss_words must be at least"
                f" that, not {config.loss_words}"
            )


def place(spec, start):
    """Put a tensor at a byte address; returns where the next one may start."""
    spec.address = start
    end = start + -(-spec.nbytes // LINE_BYTES) * LINE_BYTES + GUARD
    if spec.has_exponents:
        spec.exponent_address = end
        end += -(-spec.exponent_nbytes // LINE_BYTES) * LINE_BYTES + GUARD
    return end


def allocate(specs):
    """Put tensors one behind the other, views where they belong; returns the end."""
    specs = list(specs)
    end = GUARD
    for spec in specs:
        if spec.view is None:
            end = place(spec, end)
    by_name = {spec.name: spec for spec in specs}
    for spec in specs:
        if spec.view is not None:
            _place_view(spec, by_name)
    return end


def _place_view(spec, by_name):
    base, block = by_name[spec.view[0]], spec.view[1]
    if base.view is not None:
        _place_view(base, by_name)
    vectors = block * prod(spec.shape[2:-1])
    spec.address = base.address + vectors * spec.vector_nbytes
    spec.pitch = base.pitch or prod(base.shape[1:-1])
    if spec.has_exponents:
        spec.exponent_address = base.exponent_address + vectors


def _emit(program):
    """The descriptors in the order in which they are issued.

    Only the engines that read what others write wait for them (`Dispatch`), so order makes
    overlap: pooling's gradient and the update of the layer above run beside a weight gradient.
    """
    config, batch, tensors = program.config, program.batch_size, program.tensors
    forward, train = [], []
    waiting, updates = [], []  # layers whose gradients, whose update is yet to be issued
    riding = []  # poolings that ride on the tiles of the convolution before
    producer = {"x": set()}  # engines that make a tensor

    def emit(target, make, name, *arguments):
        tag = len(program.tags)
        program.tags[tag] = name
        result = make(config, *arguments, tag)
        descriptor, tiling = (result[0], result[1]) if isinstance(result, tuple) else (result, None)
        target.append(descriptor)
        program.schedule.append((name, tiling))

    def emit_updates():
        for op in updates:
            update = UpdateOp(op.name, op.key, op.bias)
            emit(train, passes.update_descriptor, f"{op.name} update", update, tensors)
        updates.clear()

    def emit_weight_gradient():
        for op in waiting:
            emit_updates()
            made_by = set() if op.input_gradient else producer[f"d{op.y}"]  # BP has waited for it
            if op.train_weight:
                name = f"{op.name} weight gradient"
                emit(train, passes.weight_gradient_descriptor, name, op, batch, tensors, made_by)
            if op.train_bias and (op.transposed or not op.train_weight):
                name = f"{op.name} bias gradient"
                emit(train, passes.bias_gradient_descriptor, name, op, batch, tensors, made_by)
            updates.append(op)
        waiting.clear()

    for op, following in zip(program.ops, [*program.ops[1:], None]):
        if isinstance(op, LossOp):
            producer[op.gradient] = {"vector"}
            emit(train, passes.loss_descriptor, "loss", op, batch, tensors)
            continue
        if isinstance(op, ConcatOp):  # its inputs are where they have to be
            producer[op.y] = set().union(*(producer[x] for x in op.inputs))
            continue
        arguments = (f"{op.name} forward", op, batch, tensors)
        if isinstance(op, PoolOp):
            producer[op.y] = {"vector"}
            if op not in riding:
                emit(forward, passes.pool_forward_descriptor, *arguments)
            continue
        producer[op.y] = {"drain"}
        tiling = passes.forward_tiling(config, op, batch, tensors)
        pool = following if isinstance(following, PoolOp) and following.x == op.y else None
        if pool is not None and passes.pools_with(tiling, pool, tensors):
            riding.append(pool)
        else:
            pool = None
        name = f"{op.name} forward"
        emit(forward, _forward, name, op, tensors, tiling, producer[op.x], pool)
    for op in reversed(program.ops[:-1]):
        gradient = f"d{op.y}"
        if isinstance(op, ConcatOp):
            producer |= {dx: producer[gradient] for dx in op.dx if dx is not None}
            continue
        if isinstance(op, PoolOp):
            if op.input_gradient:
                producer[op.dx or f"d{op.x}"] = {"vector"}
                name = f"{op.name} backward"
                emit(train, passes.pool_backward_descriptor, name, op, batch, tensors)
            continue
        emit_weight_gradient()
        if trained_of(op):
            waiting.append(op)
        if op.input_gradient:
            producer[op.dx or f"d{op.x}"] = {"drain"}
            name = f"{op.name} backward"
            emit(train, passes.backward_descriptor, name, op, batch, tensors, producer[gradient])
    emit_weight_gradient()
    emit_updates()
    program.descriptors = {"train": _ended(forward + train), "infer": _ended(forward)}


def _forward(config, op, tensors, tiling, producer, pool, tag):
    """FP of a convolution: (descriptor, tiling) like the other passes."""
    make = passes.forward_descriptor
    return make(config, op, tensors, tiling, producer, pool, tag), tiling


def _ended(descriptors):
    """The same descriptors, the last one marked."""
    from dataclasses import replace

    return [*descriptors[:-1], replace(descriptors[-1], last=True)]
