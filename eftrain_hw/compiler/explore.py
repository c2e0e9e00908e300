"""Configurations for a board: which fit, and which of them no other one beats."""

from dataclasses import dataclass
from itertools import product

from . import optim
from .compile import complete, prepare
from .nn import CrossEntropyLoss
from .program import ConvOp
from .resources import resources
from .tile_output import backward_tilings, forward_tilings
from .tile_strips import weight_gradient_tilings
from .timing import program_time

__all__ = ["CHOICES", "Exploration", "Point", "explore", "pareto"]

CHOICES = {
    "format": ("bfp8", "fp32"),
    "rows": (4, 8, 16, 24, 32, 48, 64),
    "lanes": (8, 16, 32),
    "drain_lanes": (4, 8),
    "moving_words": (256, 512, 1024),
    "accumulator_depth": (512, 1024),
}
"""Values that are tried for fields of the configuration; `stationary_words` is `moving_words`."""

_WORTH = 0.99  # of the cycles of what takes no more of the device: more than that is no gain,
_ESTIMATED = 0.995  # nor more than that where cycles are estimates: the model takes seconds


@dataclass
class Point:
    """A configuration that fits, what it takes of the device, and how long a step takes."""

    config: object
    resources: object
    step_cycles: float

    @property
    def step_seconds(self):
        return self.step_cycles / self.config.clock_hz

    @property
    def name(self):
        """Such as "16x16 bfp8"."""
        return f"{self.config.rows}x{self.config.lanes} {self.config.format}"

    def row(self):
        """A line for a terminal."""
        c, r = self.config, self.resources
        return (
            f"{c.format:6} {f'{c.rows}x{c.lanes}':>7} {c.drain_lanes:>5} {c.moving_words:>6}"
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
        f"{'format':6} {'array':>7} {'drain':>5} {'buffer':>6} {'sums':>5} {'LUT':>8} {'DSP':>5}"
        f" {'BRAM36':>7} {'step, cycles':>15} {'seconds':>9}"
    )


@dataclass
class Exploration:
    """What a search found.

    Members
    -------
    points : list of Point
        Those that the model looked at.
    tried, fitting : int
        Configurations that exist, and those of them that fit the device and hold a tile of every
        layer.
    """

    points: list
    tried: int
    fitting: int

    @property
    def front(self):
        """The points that are faster by 1 % than all that take no more of the device."""
        return pareto(self.points, _WORTH)


def _configurations(base, choices):
    """Yield the configurations of `choices` around `base` that are valid."""
    for values in product(*choices.values()):
        changes = dict(zip(choices, values))
        if "moving_words" in changes:
            changes["stationary_words"] = changes["moving_words"]
        try:
            yield base.replace(**changes)
        except ValueError:  # drain lanes that don't divide the rows
            continue


def _prepared(network, config, batch_size):
    """The step of a configuration among many: estimates choose how lanes share pixels out.

    Raises
    ------
    ValueError
        The configuration cannot carry the network out.
    """
    return prepare(
        network,
        config,
        batch_size=batch_size,
        loss=CrossEntropyLoss(),
        optimizer=optim.SGD(lr=0.01, momentum=0.9),
        quick=True,
    )


def _estimated(network, config, batch_size):
    """The tile search's own estimate of a step's cycles on the array.

    Raises
    ------
    ValueError
        The configuration cannot carry the network out.
    """
    program = _prepared(network, config, batch_size)
    cycles = 0
    for op in program.ops:
        if isinstance(op, ConvOp):
            searches = [forward_tilings]
            searches += [weight_gradient_tilings] if op.train_weight else []
            searches += [backward_tilings] if op.input_gradient else []
            cycles += sum(search(config, op, batch_size)[0].cycles for search in searches)
    return cycles


def _modelled(network, config, batch_size):
    """Cycles of a step by the model."""
    program = complete(_prepared(network, config, batch_size))
    return round(program_time(config, program.descriptors["train"]))


def explore(network, base, batch_size, device="xc7z020", choices=None, progress=None):
    """The configurations of `choices` around `base` that fit into a device and may be best.

    The tile search's estimates choose those that the model then looks at: all that are faster, by
    half a percent or more, than what takes no more LUTs and block RAMs. Of those that take the same
    only the best one, with the largest buffers, is looked at.

    Parameters
    ----------
    network : nn.Sequential
    base : AcceleratorConfig
    batch_size : int
    device : str
        See `devices.DEVICES`.
    choices : dict or None
        Values to try by field; None is `CHOICES`.
    progress : callable or None
        Called with a line of text before the model looks at a configuration.

    Returns
    -------
    Exploration
        Without points where nothing fits.
    """
    tried, alike = 0, {}
    fitting = 0
    for config in _configurations(base, choices or CHOICES):
        tried += 1
        used = resources(config)
        if used.missing(device):
            continue
        try:
            cycles = _estimated(network, config, batch_size)
        except ValueError:  # a tile that doesn't fit
            continue
        fitting += 1
        key = used.lut, used.ff, used.dsp, used.bram
        if key not in alike or cycles <= alike[key].step_cycles:  # larger buffers come later
            alike[key] = Point(config, used, cycles)
    points, likely = [], pareto(list(alike.values()), _ESTIMATED)
    for number, point in enumerate(likely, 1):
        if progress:
            progress(f"{number} of {len(likely)}: {point.name}, {point.resources.lut:,} LUT")
        try:
            cycles = _modelled(network, point.config, batch_size)
        except ValueError:  # a descriptor that is too long
            continue
        points.append(Point(point.config, point.resources, cycles))
    return Exploration(points, tried, fitting)


def pareto(points, margin=1):
    """Points that no other one beats in cycles, LUTs and block RAMs together; the fastest first.

    A point is beaten by one of the same format that is nowhere worse and somewhere better, where
    `margin` times the other's cycles count.
    """
    def beaten(p):
        return any(
            q is not p
            and _format(q) == _format(p)
            and q.step_cycles * margin <= p.step_cycles
            and q.resources.lut <= p.resources.lut
            and q.resources.bram <= p.resources.bram
            and (q.step_cycles * margin, q.resources.lut, q.resources.bram)
            != (p.step_cycles, p.resources.lut, p.resources.bram)
            for q in points
        )

    return sorted((p for p in points if not beaten(p)), key=lambda p: p.step_cycles)


def _format(point):
    return point.config and point.config.format
