"""Generator of RTL that trains convolutional networks on small FPGAs."""

from .compiler import compile_network, nn, optim
from .config import AcceleratorConfig
from .runtime import Trainer, open_device
from .version import __version__

__all__ = ["AcceleratorConfig", "Trainer", "compile_network", "nn", "open_device", "optim"]
