"""Cycles of one layer's passes on the RTL, beside what bounds them and what the model says."""

from .command import bench_command
from .layer import PASSES, Layer, LayerError
from .measure import LayerBench, model_cycles
from .network import bench_network, ideal_cycles

__all__ = [
    "PASSES",
    "Layer",
    "LayerBench",
    "LayerError",
    "bench_command",
    "bench_network",
    "ideal_cycles",
    "model_cycles",
]
