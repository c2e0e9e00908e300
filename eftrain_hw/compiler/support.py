"""Which operations have descriptors; the golden model runs the others too."""

from .program import ConvOp, LossOp, PoolOp

__all__ = ["check_supported"]


def check_supported(program):
    """ValueError names the first operation that there are no descriptors for yet."""
    for op in program.ops:
        reason = _unsupported(op)
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


def _unsupported(op):
    if isinstance(op, LossOp):
        return "label smoothing" if op.label_smoothing else None
    if isinstance(op, ConvOp):
        cases = (
            ("concatenated inputs", op.segments is not None),
        )
        return next((reason for reason, given in cases if given), None)
    return None if isinstance(op, PoolOp) else type(op).__name__.removesuffix("Op")
