"""Batch normalisation."""

from dataclasses import dataclass
from math import isfinite

from .module import Module, count, fraction, quiet

__all__ = ["BatchNorm2d"]


@dataclass(frozen=True, repr=False)
class BatchNorm2d(Module):
    """Normalisation of each channel over a batch, as torch.nn.BatchNorm2d.

    Training uses the mean and the (biased) variance of the batch's valid images, inference the
    running ones, if they are tracked.

    Parameters
    ----------
    num_features : int
    eps : float
        Added to the variance, greater than 0.
    momentum : float
        Weight of a batch in the running statistics, 0 to 1.
    affine : bool
        Whether there are a scale `weight` and a shift `bias` to train.
    track_running_stats : bool
    requires_grad : bool or tuple of str
        Whether `weight` and `bias` are trained, or which of them.
    """

    num_features: int
    eps: float = 1e-5
    momentum: float = 0.1
    affine: bool = True
    track_running_stats: bool = True
    requires_grad: bool | tuple = quiet(True)

    def __post_init__(self):
        count("BatchNorm2d", "num_features", self.num_features)
        eps = self.eps
        if not (isinstance(eps, int | float) and isfinite(eps) and eps > 0):
            raise ValueError(f"BatchNorm2d.eps must be a number greater than 0, not {eps!r}")
        if self.momentum is None:
            raise ValueError(
                "BatchNorm2d.momentum must be 0 to 1 (cumulative averages are not supported),"
                " not None"
            )
        fraction("BatchNorm2d", "momentum", self.momentum, below_one=False)
        self._check_requires_grad()

    def output_shape(self, shape):
        if len(shape) != 3 or shape[0] != self.num_features:
            raise ValueError(
                f"input must be ({self.num_features} channels, height, width), not {tuple(shape)}"
            )
        return tuple(shape)

    def parameters(self):
        shape = (self.num_features,)
        return {"weight": shape, "bias": shape} if self.affine else {}

    def buffers(self):
        shape = (self.num_features,)
        names = ("running_mean", "running_var") if self.track_running_stats else ()
        return {name: shape for name in names}
