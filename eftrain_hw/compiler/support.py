"""Which operations have descriptors; the golden model runs the others too."""

from .operations import ConcatOp
from .passes.programs import OPERATIONS
from .program import ConvOp, LossOp, PoolOp

__all__ = ["check_supported", "needs_vector_programs"]


def needs_vector_programs(network, config, batch_size):
    """Whether training a network with cross-entropy and SGD takes the vector processor."""
    from .lower import lower

    ops, _ = lower(network, config, batch_size)
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
        reason = _unsupported(op, program.tensors)
        if reason:
            raise ValueError(
                f"{op.name}: the accelerator has no program for {reason} yet; the golden model"
                " runs it (compiler.compile.prepare)"
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


def _unsupported(op, tensors):
    if isinstance(op, PoolOp):
        names = (op.x, op.y, op.dx or f"d{op.x}", f"d{op.y}")
        parts = any(_is_part(tensors, name) for name in names)
        return "max pooling of a part of a concatenation" if parts else None
    if isinstance(op, (ConvOp, LossOp, *OPERATIONS)):
        return None
    return type(op).__name__.removesuffix("Op")
