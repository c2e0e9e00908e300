"""Configurations for a board: which fit, and which of them no other one beats."""

from dataclasses import dataclass
from itertools import product

from .plan import plan_step
from .resources import resources

__all__ = ["CHOICES", "Point", "explore", "pareto"]

CHOICES = {
    "format": ("bfp8", "fp32"),
    "rows": (4, 8, 16, 24, 32),
    "lanes": (8, 16),
    "drain_lanes": (4, 8),
    "moving_words": (256, 512),
    "accumulator_depth": (512, 1024),
}
"""Values that are tried for fields of the configuration; `stationary_words` is `moving_words`."""


@dataclass
class Point:
    """A configuration that fits, what it takes of the device, and how long a step takes."""

    config: object
    resources: object
    step_cycles: int

    @property
    def step_seconds(self):
        return self.step_cycles / self.config.clock_hz

    def row(self):
        """A line for a terminal."""
        c, r = self.config, self.resources
        return (
            f"{c.format:6} {c.rows:>4}x{c.lanes:<4} {c.drain_lanes:>5} {c.moving_words:>6}"
            f" {c.accumulator_depth:>5} {r.lut:8,} {r.dsp:5} {r.bram:7g} {self.step_cycles:15,}"
            f" {self.step_seconds:9.4g}"
        )

    HEAD = (
        f"{'format':6} {'array':>9} {'drain':>5} {'buffer':>6} {'sums':>5} {'LUT':>8} {'DSP':>5}"
        f" {'BRAM36':>7} {'step, cycles':>15} {'seconds':>9}"
    )


def explore(network, base, batch_size, device="xc7z020", choices=None):
    """Every configuration of `choices` around `base` that fits into a device.

    Yields
    ------
    Point
        Configurations that can't hold the network's tiles are left out.
    """
    choices = choices or CHOICES
    for values in product(*choices.values()):
        changes = dict(zip(choices, values))
        if "moving_words" in changes:
            changes["stationary_words"] = changes["moving_words"]
        try:
            config = base.replace(**changes)
            used = resources(config)
            if used.missing(device):
                continue
            plan = plan_step(network, config, batch_size)
        except ValueError:  # drain lanes that don't divide the rows, a tile that doesn't fit
            continue
        yield Point(config, used, plan.step_cycles)


def pareto(points):
    """Points that no other one beats in cycles without taking more LUTs, the fastest first."""
    front, fewest = [], float("inf")
    for point in sorted(points, key=lambda p: (p.step_cycles, p.resources.lut)):
        if point.resources.lut < fewest:
            fewest = point.resources.lut
            front.append(point)
    return front
