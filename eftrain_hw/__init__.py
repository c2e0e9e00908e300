"""Generator of RTL that trains convolutional networks on small FPGAs."""

from .compiler import compile_network, nn, optim
from .config import AcceleratorConfig
from .runtime import Trainer, open_device

__version__ = "0.1.0"
__all__ = ["AcceleratorConfig", "Trainer", "compile_network", "nn", "open_device", "optim"]
