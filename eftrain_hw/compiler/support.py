"""Which operations have descriptors; the golden model runs the others too."""

from .operations import ConcatOp
from .program import ConvOp, LossOp, PoolOp

__all__ = ["check_supported"]


def check_supported(program):
    """ValueError names the first operation that there are no descriptors for yet."""
    for op in program.ops:
        reason = _unsupported(op, program.tensors)
        if reason:
            raise ValueError(
                f"{op.name}: the accelerator has no program for {reason} yet; the golden model"
                " runs it (compiler.compile.prepare)"
            )
    optimizer = program.optimizer
    if not optimizer.is_plain:
        raise ValueError(
            "compile_network: the accelerator has no program yet for another optimizer than SGD"
            f" with momentum alone; the golden model runs {optimizer!r}"
        )


def _unsupported(op, tensors):
    if isinstance(op, LossOp):
        return "label smoothing" if op.label_smoothing else None
    if isinstance(op, ConvOp):
        return None
    if isinstance(op, ConcatOp):
        if any(op.copied):
            return "the concatenation of the network's input or of a part of another one"
        if any(mask and wanted for mask, wanted in zip(op.masks, op.wanted, strict=True)):
            return "the concatenation of tensors with and without a ReLU"
        return None
    if isinstance(op, PoolOp):
        names = [op.x, f"d{op.x}", op.y, f"d{op.y}"]
        views = any(tensors[name].view is not None for name in names if name in tensors)
        return "max pooling of a part of a concatenation" if views else None
    return type(op).__name__.removesuffix("Op")
