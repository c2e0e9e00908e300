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
    SquaredErrorOp,
)
from .program import ConvOp, LossOp, PoolOp

__all__ = ["check_supported"]

_PROGRAMS = (
    ActivationOp, AddOp, AvgPoolOp, BatchNormOp, ConcatOp, DropoutOp, FanoutOp, MaxPoolOp,
    SquaredErrorOp,
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
        if isinstance(op, ConvOp | PoolOp) and not reason:
            names = (op.x, op.y, op.dx or f"d{op.x}", f"d{op.y}")
            if any(_is_part(program.tensors, name) for name in names):
                reason = "parts of concatenations beside convolutions and pooling"
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


def _is_part(tensors, name):
    """Whether a tensor is a part of another one, not all of it under another name."""
    spec = tensors.get(name)
    while spec is not None and spec.view is not None:
        whole = tensors[spec.view[0]]
        if whole.shape != spec.shape:
            return True
        spec = whole
    return False


def _unsupported(op):
    if isinstance(op, LossOp):
        return "label smoothing" if op.label_smoothing else None
    if isinstance(op, ConvOp):
        cases = (
            ("transposed convolutions", op.transposed),
            ("groups", op.groups > 1),
            ("dilation", op.dilation != (1, 1)),
            ("concatenated inputs", op.segments is not None),
            ("layers frozen in part", op.bias and op.train_weight != op.train_bias),
            ("outputs of several pixels", op.raw and op.out_shape[1:] != (1, 1)),
        )
        return next((reason for reason, given in cases if given), None)
    if isinstance(op, (PoolOp, *_PROGRAMS)):
        return None
    return type(op).__name__.removesuffix("Op")
