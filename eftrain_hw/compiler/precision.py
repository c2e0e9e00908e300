"""How many bits a training step keeps of each kind of tensor."""

from dataclasses import dataclass

__all__ = ["Precision"]

_ALLOWED = {
    "weights": (2, 3, 4, 5, 6, 7, 8),
    "activations": (8, 16),
    "gradients": (8, 16),
    "master": (16, 32),
}


@dataclass(frozen=True, kw_only=True)
class Precision:
    """Widths of a training step in bfp8.

    Parameters
    ----------
    weights : int
        Mantissa bits of the compute copies of tensor-train cores: 2 to 8.
    activations : int
        Of activations: 8, or 16 (bfp16).
    gradients : int
        Of the gradients of activations and of cores: 8, or 16 (bfp16).
    master : int
        Of the cores' and their biases' master copies: 32 (fp32), or 16: integers times a power of
        two, rounded stochastically.
    """

    weights: int = 4
    activations: int = 8
    gradients: int = 16
    master: int = 16

    def __post_init__(self):
        for name, allowed in _ALLOWED.items():
            value = getattr(self, name)
            if isinstance(value, bool) or value not in allowed:
                raise ValueError(f"Precision.{name} must be one of {allowed}, not {value!r}")

    def format_of(self, kind):
        """Format name of "activations" or "gradients"."""
        return "bfp8" if getattr(self, kind) == 8 else "bfp16"
