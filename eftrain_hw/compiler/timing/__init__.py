"""The analytical model: what a layer program costs in cycles and memory traffic, without RTL."""

from .machine import CAUSES, Machine, Memory, Timing
from .model import DescriptorTime, descriptor_time, program_cycles, program_time
from .traffic import Traffic, traffic
from .vector import macs_of, vector_cost

__all__ = [
    "CAUSES",
    "DescriptorTime",
    "Machine",
    "Memory",
    "Timing",
    "Traffic",
    "descriptor_time",
    "macs_of",
    "program_cycles",
    "program_time",
    "traffic",
    "vector_cost",
]
