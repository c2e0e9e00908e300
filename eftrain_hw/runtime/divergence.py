"""What keeps a run of training steps from making sense: it diverges, or a batch is too small."""

from math import isfinite

from ..compiler.operations import BatchNormOp

__all__ = ["DivergenceError", "check_last_batch", "check_loss", "check_valid"]


class DivergenceError(RuntimeError):
    """A step's loss is infinite or no number.

    Members
    -------
    loss : float
    epoch, step : int
        Where it happened, both from 0; the step within the epoch.
    """

    def __init__(self, loss, epoch, step):
        self.loss, self.epoch, self.step = loss, epoch, step
        super().__init__(
            f"the training diverged: the loss of step {step} in epoch {epoch} is {loss}; the"
            " parameters are not meaningful any more. Load the last checkpoint, and try a lower"
            " learning rate or max_grad_norm"
        )


def check_loss(loss, epoch, step):
    """DivergenceError unless a step's loss is finite."""
    if not isfinite(loss):
        raise DivergenceError(loss, epoch, step)


def check_last_batch(program, images):
    """ValueError if the last batch of an epoch leaves a batch normalisation a single value."""
    op = _single_valued(program)
    if op is not None and images % program.batch_size == 1:
        raise ValueError(
            f"{op.name}: there must be more than one value of each channel, but the last batch of"
            f" {images} images is a single one of 1x1; the images must not leave a remainder of 1"
            f" by batch_size {program.batch_size}"
        )


def check_valid(program, valid_images):
    """ValueError if so few images leave a batch normalisation a single value."""
    op = _single_valued(program)
    if op is not None and valid_images == 1:
        raise ValueError(
            f"{op.name}: there must be more than one value of each channel: valid_images must be at"
            " least 2, not 1"
        )


def _single_valued(program):
    """A batch normalisation of maps of a single pixel, or None."""
    norms = (op for op in program.ops if isinstance(op, BatchNormOp))
    return next((op for op in norms if op.in_shape[1:] == (1, 1)), None)
