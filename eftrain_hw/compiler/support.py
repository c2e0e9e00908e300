"""Which operations have descriptors; the golden model runs the others too."""

from .chain import TTStepOp
from .operations import ConcatOp
from .passes.programs import OPERATIONS
from .program import ConvOp, LossOp, PoolOp

__all__ = ["check_supported", "needs_vector_programs"]


def needs_vector_programs(network, config, batch_size):
    """Whether training a network with cross-entropy and SGD takes the vector processor."""
    from .lower import lower

    ops, _ = lower(network, config, batch_size, quick=True)  # only which operations there are
    return any(_program_of(op) for op in ops)


def check_supported(program):
    """ValueError names the first operation that there are no descriptors for yet."""
    for op in program.ops:
        what = _program_of(op)
        if what and not program.config.vector_programs:
            raise ValueError(
                f"{op.name}: {what} needs vector programs: AcceleratorConfig.vector_programs must"
                " be True, not False"
            )
        reason = _unsupported(op, program)
        if reason:
            raise ValueError(
                f"{op.name}: the accelerator has no program for {reason} yet; the golden model"
                " runs it (compiler.compile.prepare)"
            )
    optimizer = program.optimizer
    if program.bonds and (optimizer.weight_decay or optimizer.max_grad_norm is not None):
        raise ValueError(
            "compile_network: the accelerator has no program for a prior with weight decay or"
            f" clipped gradients yet, not {optimizer!r}; the golden model runs it"
            " (compiler.compile.prepare)"
        )
    if program.bonds and not program.config.vector_programs:
        raise ValueError(
            "compile_network: a prior needs vector programs: AcceleratorConfig.vector_programs"
            " must be True, not False"
        )
    if not program.optimizer.is_plain and not program.config.vector_programs:
        raise ValueError(
            "compile_network: any optimizer but SGD with momentum alone needs vector programs:"
            " AcceleratorConfig.vector_programs must be True, not False, for"
            f" {program.optimizer!r}"
        )


def _program_of(op):
    """What of an operation is a vector program; None where nothing is."""
    if isinstance(op, ConcatOp):  # its inputs are where they have to be, unless ..
        if any(op.copied):
            return "the concatenation of the network's input or of a part of another one"
        if any(mask and wanted for mask, wanted in zip(op.masks, op.wanted, strict=True)):
            return "the concatenation of tensors with and without a ReLU"
        return None
    return type(op).__name__.removesuffix("Op") if isinstance(op, OPERATIONS) else None


def _is_part(tensors, name):
    """Whether a tensor is a part of another one, not all of it under another name."""
    spec = tensors.get(name)
    while spec is not None and spec.view is not None:
        whole = tensors[spec.view[0]]
        if whole.shape != spec.shape:
            return True
        spec = whole
    return False


def _unsupported_step(op, config):
    """What of a step's ranks there is no program for."""
    view, lanes = op.interleaved, config.lanes
    if view is None or view.blocks == 1:
        return None
    ranks = f"ranks of {view.blocks} blocks of {lanes} lanes"
    if view.outer > 1 or (view.rows, view.inner) != op.conv_out[1:]:
        return f"{ranks} in the first step of TTConv2d"
    if view.blocks * lanes % config.rows:
        return f"{ranks} on {config.rows} rows, which do not divide their {view.blocks * lanes}"
    return None


def _unsupported(op, program):
    tensors = program.tensors
    if isinstance(op, TTStepOp):
        return _unsupported_step(op, program.config)
    if isinstance(op, PoolOp):
        names = (op.x, op.y, op.dx or f"d{op.x}", f"d{op.y}")
        parts = any(_is_part(tensors, name) for name in names)
        return "max pooling of a part of a concatenation" if parts else None
    if isinstance(op, (ConvOp, LossOp, *OPERATIONS)):
        return None
    return type(op).__name__.removesuffix("Op")
