"""Network, configuration and batch to a program for a device."""

from functools import partial
from math import prod

from ..config import AcceleratorConfig
from . import nn, optim
from .emit import emit
from .lower import lower
from .nn.formats import pass_formats
from .passes.programs import Constants, prior_spec, scratch_spec
from .precision import Precision
from .program import LINE_BYTES, LossOp, PoolOp, Program, TensorSpec
from .rank_prior import add_bonds
from .scalars import scalars_spec
from .support import check_supported

__all__ = ["allocate", "compile_network", "complete", "place", "prepare"]

GUARD = LINE_BYTES  # between tensors, so that a stray write is seen and not silent


def prepare(
    network, config, *, batch_size, loss, optimizer, precision=None, prior=None, format=None,
    quick=False,
):
    """Operations and tensors of a training step, laid out in DRAM, without descriptors.

    What the golden model runs; `compile_network` adds the descriptors. Parameters and errors as
    there; `precision` is a Precision, with format bfp8, or None; `prior` a RankPrior or None. The
    configuration need not have bfp16. `quick`: estimates choose how the lanes share pixels out, not
    the model: 20 seconds less, and some tenths of a percent more cycles.

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
    if precision is not None and not isinstance(precision, Precision):
        raise TypeError(f"prepare: precision must be Precision or None, not {precision!r}")
    if precision is not None and config.format != "bfp8":
        raise ValueError(f"prepare: precision must be None with format {config.format!r}")
    formats = pass_formats("compile_network: format", format)
    if formats is not None and (config.format != "bfp8" or precision is not None):
        reason = f"configuration format {config.format!r}" if precision is None else "a precision"
        raise ValueError(f"compile_network: format must be None with {reason}, not {format!r}")
    ops, tensors = lower(network, config, batch_size, loss, optimizer, precision, formats, quick)
    program = Program(
        config=config,
        network=network,
        loss=loss,
        optimizer=optimizer,
        batch_size=batch_size,
        ops=ops,
        tensors=tensors,
        logits=ops[-1].logits,
        precision=precision,
        prior=prior,
    )
    if prior is not None:
        add_bonds(program)
    for spec in (scratch_spec(program), prior_spec(program), scalars_spec(program)):
        if spec is not None:
            tensors[spec.name] = spec
    align = LINE_BYTES
    if config.vector_programs:
        align = max(align, 4 * config.lanes)  # a stream reaches all fp32 tensors
    program.memory_bytes = allocate(tensors.values(), align)
    return program


def compile_network(network, config, *, batch_size, loss, optimizer, format=None, prior=None):
    """Compile `network` into layer programs for training and inference.

    Parameters
    ----------
    network : nn.Sequential or nn.Network
    config : AcceleratorConfig
    batch_size : int
        Images of one training step, 1 to 4096.
    loss : nn.CrossEntropyLoss or nn.MSELoss
    optimizer : optim.SGD or optim.Adam
    format : str, dict or None
        Of the passes on the array that layers leave open in their own `format`: "bfp8" (None) or
        "bfp16", which takes a configuration with `bfp16`; or a dict of them with keys "forward",
        "backward" and "weight_gradient".
    prior : RankPrior or None
        Of the ranks of tensor-train layers.

    Returns
    -------
    Program

    Raises
    ------
    TypeError, ValueError
        Naming the layer or field, what was given and what is allowed.
    """
    return complete(
        prepare(
            network,
            config,
            batch_size=batch_size,
            loss=loss,
            optimizer=optimizer,
            format=format,
            prior=prior,
        )
    )


def complete(program):
    """Add the descriptors to what `prepare` made, without precision; returns it.

    Raises
    ------
    ValueError
        As `compile_network`.
    """
    config, tensors = program.config, program.tensors
    check_supported(program)
    _check_bfp16(config, program.ops)
    _check_limits(config, program.ops)
    align = max(LINE_BYTES, 4 * config.lanes)  # a stream reaches tensors and constants
    emit(program, Constants(program, partial(place, align=align)))
    end = program.memory_bytes
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


def _check_bfp16(config, ops):
    for op in ops:
        if not config.bfp16 and "bfp16" in (getattr(op, "formats", None) or {}).values():
            raise ValueError(
                f"{op.name}: passes in bfp16 need AcceleratorConfig.bfp16 to be True, not False"
            )


def _check_limits(config, ops):
    for op in ops:
        if isinstance(op, PoolOp):
            share = 4 if op.wide else 2  # low digits take the place of more words
            for what, words, most in (
                (
                    f"a band of {op.kernel[0]} rows, {op.in_shape[2]} columns",
                    op.in_shape[2] * op.kernel[0] * config.beats_per_vector,
                    config.pool_words // share,
                ),
                (
                    f"an output row of {op.out_shape[2]} columns",
                    2 * op.out_shape[2] * config.beats_per_vector,
                    config.pool_words // 2,
                ),
            ):
                if words > most:
                    divisor = config.pool_words // most
                    raise ValueError(
                        f"{op.name}: {what} takes {words} words; the configuration's"
                        f" pool_words // {divisor} must be at least that, not {most}"
                    )
        elif isinstance(op, LossOp) and op.classes > config.loss_words:
            raise ValueError(
                f"{op.name}: {op.classes} classes; the configuration's loss_words must be at least"
                f" that, not {config.loss_words}"
            )


def place(spec, start, align=LINE_BYTES):
    """Put a tensor at a byte address, fp32 vectors at a multiple of `align`; returns the end."""
    if spec.storage == "fp32":
        start = -(-start // align) * align
    spec.address = start
    plane = -(-spec.plane_nbytes // LINE_BYTES) * LINE_BYTES + GUARD
    end = start + plane
    if spec.has_exponents:
        spec.exponent_address = end
        end += -(-spec.exponent_nbytes // LINE_BYTES) * LINE_BYTES + GUARD
    if spec.digits == 2:
        spec.low_address = end
        end += plane
    return end


def allocate(specs, align=LINE_BYTES):
    """Put tensors one behind the other, views where they belong; returns the end.

    `align`: as `place`.
    """
    specs = list(specs)
    end = GUARD
    for spec in specs:
        if spec.view is None:
            end = place(spec, end, align)
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
    if spec.digits == 2:
        spec.low_address = base.low_address + vectors * spec.vector_nbytes
