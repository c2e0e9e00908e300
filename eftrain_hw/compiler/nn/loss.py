"""Losses."""

from dataclasses import dataclass

from .module import fraction

__all__ = ["CrossEntropyLoss", "MSELoss"]


@dataclass(frozen=True)
class CrossEntropyLoss:
    """Softmax cross-entropy, mean over the batch, as torch.nn.CrossEntropyLoss().

    Parameters
    ----------
    label_smoothing : float
        Share of the target that is spread over all classes, 0 or more, less than 1.
    """

    label_smoothing: float = 0.0

    def __post_init__(self):
        fraction("CrossEntropyLoss", "label_smoothing", self.label_smoothing)


@dataclass(frozen=True)
class MSELoss:
    """Squared error, mean over the batch and all outputs, as torch.nn.MSELoss()."""
