"""Optimizers, with PyTorch's names."""

from dataclasses import dataclass
from math import isfinite, sqrt

import numpy as np

__all__ = ["SGD", "Adam", "Optimizer"]


@dataclass(frozen=True, kw_only=True)
class Optimizer:
    """What all optimizers have.

    Parameters
    ----------
    lr : float
        Learning rate, greater than 0; a run-time parameter of the device.
    weight_decay : float
        0 or more; times the weight is added to its gradient.
    max_grad_norm : float or None
        Gradients are scaled down so that the norm of all together is at most that, as
        torch.nn.utils.clip_grad_norm_ does; None: they aren't.
    accumulation : int
        Batches whose gradients are added up before an update, 1 to 65535.

    Members
    -------
    STATE : tuple of str
        Tensors that each parameter has besides its value, by PyTorch's names.
    """

    lr: float
    weight_decay: float = 0.0
    max_grad_norm: float | None = None
    accumulation: int = 1

    STATE = ()

    def __post_init__(self):
        owner = type(self).__name__
        if not _number(self.lr) or self.lr <= 0:
            raise ValueError(f"{owner}.lr must be a number greater than 0, not {self.lr!r}")
        if not _number(self.weight_decay) or self.weight_decay < 0:
            raise ValueError(f"{owner}.weight_decay must be at least 0, not {self.weight_decay!r}")
        norm = self.max_grad_norm
        if norm is not None and (not _number(norm) or norm <= 0):
            raise ValueError(f"{owner}.max_grad_norm must be greater than 0 or None, not {norm!r}")
        count = self.accumulation
        if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= 65535:
            raise ValueError(f"{owner}.accumulation must be 1 to 65535, not {count!r}")

    def scalars(self, step, *, lr=None):
        """What the host computes for an update and the device reads, as binary32 by name.

        Parameters
        ----------
        step : int
            Updates so far, this one included: 1, 2, ...
        lr : float or None
            None: `self.lr`.
        """
        raise NotImplementedError


def _number(value):
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


@dataclass(frozen=True, kw_only=True)
class SGD(Optimizer):
    """Stochastic gradient descent with momentum, as torch.optim.SGD without dampening.

    Parameters
    ----------
    lr, weight_decay, max_grad_norm, accumulation
        As Optimizer.
    momentum : float
        0 or more, less than 1; a run-time parameter of the device.
    nesterov : bool
    """

    momentum: float = 0.0
    nesterov: bool = False

    STATE = ("momentum",)

    def __post_init__(self):
        super().__post_init__()
        if not (isinstance(self.momentum, int | float) and 0 <= self.momentum < 1):
            raise ValueError(
                f"SGD.momentum must be at least 0 and less than 1, not {self.momentum!r}"
            )
        if not isinstance(self.nesterov, bool):
            raise TypeError(f"SGD.nesterov must be True or False, not {self.nesterov!r}")
        if self.nesterov and not self.momentum:
            raise ValueError("SGD.nesterov must be False without momentum, not True")

    @property
    def is_plain(self):
        """Whether the vector unit's update command does it all."""
        return not (
            self.weight_decay or self.nesterov or self.max_grad_norm or self.accumulation > 1
        )

    def scalars(self, step, *, lr=None, momentum=None):
        lr = self.lr if lr is None else lr
        momentum = self.momentum if momentum is None else momentum
        return {"lr": np.float32(lr), "momentum": np.float32(momentum)}


@dataclass(frozen=True, kw_only=True)
class Adam(Optimizer):
    """Adam, as torch.optim.Adam.

    Parameters
    ----------
    lr : float
        Greater than 0.
    betas : (float, float)
        0 or more, less than 1.
    eps : float
        Greater than 0.
    weight_decay, max_grad_norm, accumulation
        As Optimizer.
    """

    lr: float = 1e-3
    betas: tuple = (0.9, 0.999)
    eps: float = 1e-8

    STATE = ("exp_avg", "exp_avg_sq")
    is_plain = False

    def __post_init__(self):
        super().__post_init__()
        betas = self.betas
        pair = isinstance(betas, tuple | list) and len(betas) == 2
        if not pair or not all(_number(b) and 0 <= b < 1 for b in betas):
            raise ValueError(
                f"Adam.betas must be two numbers, at least 0 and less than 1, not {betas!r}"
            )
        object.__setattr__(self, "betas", tuple(betas))
        if not _number(self.eps) or self.eps < 2.0**-126:
            raise ValueError(f"Adam.eps must be at least 2^-126, not {self.eps!r}")

    def scalars(self, step, *, lr=None, momentum=None):
        lr = float(np.float32(self.lr if lr is None else lr))  # what the device's register holds
        first, second = self.betas
        return {
            "weight1": np.float32(1 - first),
            "weight2": np.float32(1 - second),
            "root_scale": np.float32(1 / sqrt(1 - second**step)),
            "step_size": np.float32(lr / (1 - first**step)),
        }
