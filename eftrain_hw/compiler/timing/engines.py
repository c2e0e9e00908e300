"""What one command costs in its engine: cycles at full speed, bus beats, pipeline tails."""

from math import prod
from typing import NamedTuple

from .constants import UPDATE_SPACING
from .drain_cost import Drain, drain_cost
from .load_cost import Load, Request, load_cost

__all__ = ["Compute", "Drain", "Load", "Request", "compute_cost", "drain_cost", "load_cost"]


class Compute(NamedTuple):
    """A compute command: `sweeps` of `length` positions, one every `stride` cycles.

    `busy` are the positions of all of them: a sweep over low digits leaves out that of ones.
    """

    sweeps: int
    length: int
    stride: float
    busy: int
    acquire_moving: bool
    acquire_stationary: bool
    acquire_accumulator: bool
    release_moving: bool
    release_stationary: bool
    release_accumulator: bool


def compute_cost(config, fields):
    """`Compute` of a command's fields."""
    length = prod(fields[f"inner{k}"] for k in range(4)) + fields["ones"]
    steps = fields["m_tiles"] * fields["outer0"] * fields["outer1"] * fields["outer2"]
    pairs = 1 + fields["moving_wide"] + fields["stationary_wide"]
    least, left_out = max(config.rows, UPDATE_SPACING), fields["ones"] * fields["moving_wide"]
    return Compute(
        steps * pairs,
        length,
        max(length, least) - left_out * (length > least) / pairs,
        steps * (pairs * length - left_out),
        bool(fields["acquire_moving"]),
        bool(fields["acquire_stationary"]),
        bool(fields["acquire_accumulator"]),
        bool(fields["release_moving"]),
        bool(fields["release_stationary"]),
        bool(fields["release_accumulator"]),
    )
