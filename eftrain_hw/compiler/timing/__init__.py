"""The analytical model: what a layer program costs in cycles and memory traffic, without RTL."""

from .model import DescriptorTime, descriptor_time, program_cycles
from .schedule import CAUSES, Memory, Timing, simulate
from .vector import macs_of, vector_cost

__all__ = [
    "CAUSES",
    "DescriptorTime",
    "Memory",
    "Timing",
    "descriptor_time",
    "macs_of",
    "program_cycles",
    "simulate",
    "vector_cost",
]
