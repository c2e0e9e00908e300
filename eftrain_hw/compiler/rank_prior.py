"""Ranks that training finds: the prior's parameters, where ranks meet, and smaller networks."""

from dataclasses import dataclass
from math import isfinite, prod

import numpy as np

from .chain import TTStepOp
from .rebuild import with_ranks
from .tensors import TensorSpec

__all__ = ["Bond", "RankPrior", "add_bonds", "compacted", "ranks_kept"]


@dataclass(frozen=True, kw_only=True)
class RankPrior:
    """Gaussian prior on rank slices, one variance for each rank index, trained by MAP.

    Parameters
    ----------
    strength : float
        What the prior's gradient is multiplied by: 1 / (number of training images) for the
        posterior itself, more to press harder. Greater than 0.
    shape, scale : float
        Of the variances' inverse gamma distribution: 0 or more; greater than 0.
    threshold : float
        A rank whose variance is below that share of its bond's largest is removed; less than 1.
    interval : int
        Updates from one new set of variances to the next.
    """

    strength: float
    shape: float = 0.0
    scale: float = 1e-4
    threshold: float = 0.02
    interval: int = 16

    def __post_init__(self):
        for name, least, open_end in (("strength", 0, True), ("shape", 0, False),
                                      ("scale", 0, True), ("threshold", 0, False)):  # fmt: skip
            value = getattr(self, name)
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not number or not isfinite(value) or value < least or (open_end and value == least):
                rule = "greater than 0" if open_end else "0 or more"
                raise ValueError(f"RankPrior.{name} must be {rule}, not {value!r}")
        if self.threshold >= 1:
            raise ValueError(f"RankPrior.threshold must be less than 1, not {self.threshold!r}")
        if not isinstance(self.interval, int) or self.interval < 1:
            raise ValueError(f"RankPrior.interval must be 1 or more, not {self.interval!r}")


@dataclass(frozen=True)
class Bond:
    """Where two cores of a layer meet.

    Members
    -------
    layer : str
        Name of the node.
    index : int
        Between core `index` and the next one.
    rank, blocks : int
    count : int
        Elements of both slices of a rank index.
    output, input : str
        Names of the cores (parameters) on whose lanes o and i the rank lies.
    variance, mask : str
        Names of their tensors (blocks, lanes).
    """

    layer: str
    index: int
    rank: int
    blocks: int
    count: int
    output: str
    input: str

    @property
    def variance(self):
        return f"{self.layer}.bond{self.index}.variance"

    @property
    def mask(self):
        return f"{self.layer}.bond{self.index}.mask"


def add_bonds(program):
    """Give a program its Bonds, and the tensors of their variances and masks."""
    lanes, format = program.config.lanes, program.config.format
    program.bonds = _bonds_of(program.ops, lanes)
    if not program.bonds:
        raise ValueError("prepare: prior must be None for a network without tensor-train layers")
    for bond in program.bonds:
        shape = (bond.blocks, lanes)
        for name, *kinds in ((bond.variance, "variance", "fp32"), (bond.mask, "mask", "bytes")):
            program.tensors[name] = TensorSpec(name, *kinds, shape, format)


def _bonds_of(ops, lanes):
    """The Bonds of a program's operations, in the order of the network and of the cores."""
    cores = {f"{op.key}.{op.core}": op for op in ops if isinstance(op, TTStepOp)}
    found = []
    for name, op in cores.items():
        layer, _, number = name.rpartition(".cores.")
        following = f"{layer}.cores.{int(number) + 1}"
        if following not in cores:
            continue
        left, right = op.core_shape, cores[following].core_shape
        rank = left[3]
        count = (prod(left) + prod(right)) // rank
        pair = (following, name) if op.reverse else (name, following)
        found.append(Bond(layer, int(number), rank, -(-rank // lanes), count, *pair))
    return sorted(found, key=lambda bond: (bond.layer, bond.index))


def ranks_kept(program, tensors):
    """Indices of the ranks that are left, by layer: {"0": [array, ..], ..}.

    Raises
    ------
    ValueError
        A bond has none left.
    """
    kept = {}
    for bond in program.bonds:
        indices = np.flatnonzero(tensors[bond.mask].reshape(-1)[: bond.rank])
        if not len(indices):
            raise ValueError(
                f"layer {bond.layer}: rank adaptation has removed all {bond.rank} ranks between"
                f" cores {bond.index + 1} and {bond.index + 2}; its strength or threshold is too"
                " large"
            )
        kept.setdefault(bond.layer, []).append(indices)
    return kept


def compacted(network, state, kept):
    """A network without the ranks that are gone, and its parameters.

    Parameters
    ----------
    network : nn.Sequential or nn.Network
    state : dict
        Parameters (or anything of their shapes) by PyTorch's names.
    kept : dict
        From `ranks_kept`.

    Returns
    -------
    (nn.Network, dict)
    """
    smaller = with_ranks(network, {
        name: tuple(len(indices) for indices in bonds) for name, bonds in kept.items()
    })  # fmt: skip
    state = dict(state)
    for name, bonds in kept.items():
        for k in range(len(bonds) + 1):
            core = f"{name}.cores.{k}"
            values = state[core]
            if k > 0:
                values = values[bonds[k - 1]]
            if k < len(bonds):
                values = values[:, :, :, bonds[k]]
            state[core] = np.ascontiguousarray(values)
    return smaller, state
