"""Network descriptions, tiling, memory plan and layer programs. Pure Python."""

from . import nn, optim
from .compile import compile_network
from .program import Program, TensorSpec

__all__ = ["Program", "TensorSpec", "compile_network", "nn", "optim"]
