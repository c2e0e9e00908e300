"""Cycle counts of the gateware that the model needs; tests compare them with the components."""

from math import ceil, log2

__all__ = ["BUFFER_READ", "UPDATE_SPACING", "compute_latency", "drain_latency"]

BUFFER_READ = 3  # `LaneBuffer.read_latency`
ADDER = 8  # `Fp32Add.latency`
UPDATE_SPACING = ADDER + 3  # `PEArray.update_latency`
_MULTIPLY = 5  # `Fp32Multiply.latency`


def compute_latency(config):
    """`ComputeEngine.latency`: cycles from a position until the drain may read its sum."""
    levels = int(log2(config.lanes))
    if config.has_exponents:
        return 23 + levels + ceil(levels / 2)  # the aligner finds the largest of four a cycle
    return BUFFER_READ + 1 + (1 + _MULTIPLY + levels * ADDER) + ADDER


def drain_latency(config, raw):
    """Cycles from a group of sums that is asked for until the writer has its element."""
    groups = config.lanes // config.drain_lanes
    encode = 7 + groups if config.has_exponents and not raw else 0
    return 4 + 4 + encode
