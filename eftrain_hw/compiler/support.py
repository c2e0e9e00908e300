"""Which operations have descriptors; the golden model runs the others too."""

from .operations import (
    ActivationOp,
    AddOp,
    AvgPoolOp,
    BatchNormOp,
    ConcatOp,
    DropoutOp,
    FanoutOp,
    MaxPoolOp,
)
from .program import ConvOp, LossOp, PoolOp

__all__ = ["check_supported"]

_PROGRAMS = (
    ActivationOp, AddOp, AvgPoolOp, BatchNormOp, ConcatOp, DropoutOp, FanoutOp, MaxPoolOp,
)  # fmt: skip


def check_supported(program):
    """ValueError names the first operation that there are no descriptors for yet."""
    for op in program.ops:
        if isinstance(op, _PROGRAMS) and not program.config.vector_programs:
            what = type(op).__name__.removesuffix("Op")
            raise ValueError(
                f"{op.name}: {what} needs vector programs: AcceleratorConfig.vector_programs must"
                " be True, not False"
            )
        reason = _unsupported(op)
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


def _unsupported(op):
    if isinstance(op, LossOp):
        return "label smoothing" if op.label_smoothing else None
    if isinstance(op, ConvOp):
        cases = (
            ("concatenated inputs", op.segments is not None),
        )
        return next((reason for reason, given in cases if given), None)
    if isinstance(op, ActivationOp) and op.kind == "sigmoid":
        return "Sigmoid"
    if isinstance(op, (PoolOp, *_PROGRAMS)):
        return None
    return type(op).__name__.removesuffix("Op")
