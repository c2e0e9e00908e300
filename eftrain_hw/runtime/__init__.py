"""Devices, data sets, training. On a board it needs NumPy alone."""

from .checkpoint import CheckpointError
from .datasets import DataError, load_dataset
from .device import Device, DeviceError, StepResult, open_device
from .divergence import DivergenceError
from .profile import DescriptorProfile, Profile, Span
from .progress import History
from .pynq_memory import BoardError
from .timeline import chrome_trace, profile_table
from .trainer import Trainer

__all__ = [
    "BoardError",
    "CheckpointError",
    "DataError",
    "DescriptorProfile",
    "Device",
    "DeviceError",
    "DivergenceError",
    "History",
    "Profile",
    "Span",
    "StepResult",
    "Trainer",
    "chrome_trace",
    "load_dataset",
    "open_device",
    "profile_table",
]
