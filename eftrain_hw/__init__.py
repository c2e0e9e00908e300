"""Generator of RTL that trains convolutional networks on small FPGAs."""

from .compiler import compile_network, nn, optim
from .config import AcceleratorConfig

__version__ = "0.1.0"
__all__ = ["AcceleratorConfig", "compile_network", "nn", "optim"]
