"""Optimizers, with PyTorch's names."""

from dataclasses import dataclass
from math import isfinite

__all__ = ["SGD"]


@dataclass(frozen=True, kw_only=True)
class SGD:
    """Stochastic gradient descent with momentum, as torch.optim.SGD without dampening.

    Parameters
    ----------
    lr : float
        Learning rate, greater than 0; a run-time parameter of the device.
    momentum : float
        0 or more, less than 1; a run-time parameter of the device.
    """

    lr: float
    momentum: float = 0.0

    def __post_init__(self):
        if not (isinstance(self.lr, int | float) and isfinite(self.lr) and self.lr > 0):
            raise ValueError(f"SGD.lr must be a number greater than 0, not {self.lr!r}")
        if not (isinstance(self.momentum, int | float) and 0 <= self.momentum < 1):
            raise ValueError(
                f"SGD.momentum must be at least 0 and less than 1, not {self.momentum!r}"
            )
