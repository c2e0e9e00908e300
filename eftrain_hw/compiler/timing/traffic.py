"""What a descriptor moves and computes, without time."""

from dataclasses import dataclass, fields

from ...array.commands import COMPUTE
from ...dma.commands import LOAD
from ...vector.commands import DRAIN
from .engines import compute_cost, drain_cost, load_cost
from .expand import decode, expand

__all__ = ["Traffic", "traffic"]


@dataclass
class Traffic:
    """Sums over the commands of the array.

    Members
    -------
    read_beats, write_beats : int
        Bus beats.
    mac_busy : int
        Positions.
    commands : int
    """

    read_beats: int = 0
    write_beats: int = 0
    mac_busy: int = 0
    commands: int = 0

    def plus(self, other, scale):
        """self + scale * other."""
        return Traffic(
            *(getattr(self, f.name) + scale * getattr(other, f.name) for f in fields(self))
        )


def traffic(config, descriptor, counts=None):
    """`Traffic` of a descriptor's loads, computes and drains.

    Parameters
    ----------
    config : AcceleratorConfig
    descriptor : Descriptor
    counts : sequence of int or None
        Loop counts to use instead of its own.
    """
    total = Traffic()
    for issue in expand(descriptor, counts):
        layout = issue.layout
        total.commands += 1
        if layout is LOAD:
            total.read_beats += load_cost(config, decode(layout, issue.words)).beats
        elif layout is COMPUTE:
            cost = compute_cost(config, decode(layout, issue.words))
            total.mac_busy += cost.busy
        elif layout is DRAIN:
            cost = drain_cost(config, decode(layout, issue.words))
            total.read_beats += cost.mask_beats
            total.write_beats += cost.write_beats
    return total
