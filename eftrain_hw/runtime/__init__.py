"""Devices, data sets, training. On a board it needs NumPy alone."""

from .checkpoint import CheckpointError
from .datasets import DataError, load_dataset
from .device import Device, DeviceError, StepResult, open_device
from .progress import History
from .pynq_memory import BoardError
from .trainer import Trainer

__all__ = [
    "BoardError",
    "CheckpointError",
    "DataError",
    "Device",
    "DeviceError",
    "History",
    "StepResult",
    "Trainer",
    "load_dataset",
    "open_device",
]
