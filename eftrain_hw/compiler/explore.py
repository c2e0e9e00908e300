"""Configurations for a board: which fit, and which of them no other one beats."""

from dataclasses import dataclass
from itertools import product

from . import optim
from .compile import compile_network
from .nn import CrossEntropyLoss
from .plan import plan_step
from .resources import resources

__all__ = ["CHOICES", "Point", "explore", "pareto"]

CHOICES = {
    "format": ("bfp8", "fp32"),
    "rows": (4, 8, 16, 24, 32, 48, 64),
    "lanes": (8, 16, 32),
    "drain_lanes": (4, 8),
    "moving_words": (256, 512, 1024),
    "accumulator_depth": (512, 1024),
}
"""Values that are tried for fields of the configuration; `stationary_words` is `moving_words`."""

_MARGIN = 1.1  # by which the tile search's estimate may be wrong


@dataclass
class Point:
    """A configuration that fits, what it takes of the device, and how long a step takes."""

    config: object
    resources: object
    step_cycles: float

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

    def to_dict(self):
        return {
            "config": self.config.to_dict(),
            "lut": self.resources.lut,
            "ff": self.resources.ff,
            "dsp": self.resources.dsp,
            "bram": self.resources.bram,
            "step_cycles": self.step_cycles,
            "step_seconds": self.step_seconds,
        }

    HEAD = (
        f"{'format':6} {'array':>9} {'drain':>5} {'buffer':>6} {'sums':>5} {'LUT':>8} {'DSP':>5}"
        f" {'BRAM36':>7} {'step, cycles':>15} {'seconds':>9}"
    )


def _fitting(network, base, batch_size, device, choices):
    """Yield `Point`s of all configurations that fit, with the tile search's own estimate."""
    for values in product(*choices.values()):
        changes = dict(zip(choices, values))
        if "moving_words" in changes:
            changes["stationary_words"] = changes["moving_words"]
        try:
            config = base.replace(**changes)
            used = resources(config)
            if used.missing(device):
                continue
            program = compile_network(
                network, config, batch_size=batch_size, loss=CrossEntropyLoss(),
                optimizer=optim.SGD(lr=0.01),
            )  # fmt: skip
        except ValueError:  # drain lanes that don't divide the rows, a tile that doesn't fit
            continue
        yield Point(config, used, sum(tiling.cycles for _, tiling in program.schedule if tiling))


def explore(network, base, batch_size, device="xc7z020", choices=None):
    """The configurations of `choices` around `base` that fit into a device and may be best.

    The tile search's estimates choose those that the model then looks at: all that none beats by
    more than a tenth.

    Parameters
    ----------
    network : nn.Sequential
    base : AcceleratorConfig
    batch_size : int
    device : str
        See `devices.DEVICES`.
    choices : dict or None
        Values to try by field; None is `CHOICES`.

    Returns
    -------
    list of Point
        Empty where nothing fits.
    """
    points = list(_fitting(network, base, batch_size, device, choices or CHOICES))
    chosen = pareto(points, _MARGIN)
    return [
        Point(p.config, p.resources, plan_step(network, p.config, batch_size).step_cycles)
        for p in chosen
    ]


def pareto(points, margin=1):
    """Points that no other one beats in cycles, LUTs and block RAMs together; the fastest first.

    A point is beaten by one that is nowhere worse and somewhere better, in cycles by `margin`.
    """
    def beaten(p):
        return any(
            q is not p
            and q.step_cycles * margin <= p.step_cycles
            and q.resources.lut <= p.resources.lut
            and q.resources.bram <= p.resources.bram
            and (q.step_cycles * margin, q.resources.lut, q.resources.bram)
            != (p.step_cycles, p.resources.lut, p.resources.bram)
            for q in points
        )

    return sorted((p for p in points if not beaten(p)), key=lambda p: p.step_cycles)
