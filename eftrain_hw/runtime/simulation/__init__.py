"""The RTL, compiled by Verilator, with a fast model of its memory and its host port."""

from .build import build_library, cache_directory
from .export import export_verilog
from .model import BusFault, Simulation, SimulationError
from .verilog import TopPorts, accelerator_verilog, to_verilog

__all__ = [
    "BusFault",
    "Simulation",
    "SimulationError",
    "TopPorts",
    "accelerator_verilog",
    "build_library",
    "cache_directory",
    "export_verilog",
    "to_verilog",
]
