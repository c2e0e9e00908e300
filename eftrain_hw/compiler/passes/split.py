"""How the lanes share out the pixels of a weight gradient: chosen by the analytical model."""

from collections import defaultdict
from dataclasses import replace
from types import SimpleNamespace

from ..tile_strips import strip_split, strip_splits, weight_gradient_tilings
from .choose import LONG, cost_of, time_of
from .layer import weight_gradient_descriptor

__all__ = ["best_split"]

_NOWHERE = {"address": 0, "exponent_address": 0, "low_address": 0, "view": None}
_NOWHERE |= {"has_exponents": False, "digits": 2}
SHORT = 20_000  # cycles up to which the simpler choice does: it hangs less on the configuration
NEAR = 1.1  # times the least estimate: the model need not look at the others
_chosen = {}  # (configuration, what matters of the layer): split


def best_split(config, op, batch):
    """(images, row ranges, column ranges) over the lanes for a weight gradient.

    Of the splits with the fewest pixel groups, the one whose best tiles are least in time and
    weighted traffic. The model looks at one for each number of column ranges, the best by its
    estimate: ranges of rows and images hardly differ. Those whose estimates are far from the best
    it leaves out. Of gradients that are short, or so long that first loads and last stores hardly
    count, the estimates decide.

    Parameters
    ----------
    config : AcceleratorConfig
    op : ConvOp
    batch : int
    """
    config = config.replace(vector_programs=False)  # hangs on nothing that differs by it
    key = (
        config, batch, op.in_shape, op.out_shape, op.kernel, op.stride, op.padding, op.dilation,
        op.parts, op.bias and op.train_bias, op.alone, repr(op.wide),
    )  # fmt: skip
    if key not in _chosen:
        _chosen[key] = _best_split(config, op, batch)
    return _chosen[key]


def _best_split(config, op, batch):
    ranked = {}
    for split in strip_splits(config.lanes, batch, *op.out_shape[1:]):
        try:
            tilings = weight_gradient_tilings(config, replace(op, split=split), batch)
        except ValueError:  # not even one tile fits
            continue
        known = _estimate(config, tilings, op.alone), split
        # of equals the first one, with most images: it goes round fewer loops
        ranked[split[-1]] = min(ranked.get(split[-1], known), known, key=lambda entry: entry[0])
        bound = tilings[0].bound
    if len(ranked) < 2 or not SHORT < bound <= LONG:
        return strip_split(config, op, batch)
    most = NEAR * min(ranked.values())[0]
    near = [split for estimate, split in ranked.values() if estimate <= most]
    if len(near) == 1:
        return near[0]
    best = []
    for split in near:
        there = replace(op, split=split)
        tensors = defaultdict(lambda: SimpleNamespace(**_NOWHERE))
        for name, shape in ((op.x, op.in_shape), (f"d{op.y}", op.out_shape)):
            tensors[name].shape = (batch, *shape, config.lanes)
        descriptor, _ = weight_gradient_descriptor(config, there, batch, tensors, None, 0)
        best.append((*time_of(config, descriptor), split))
    least = min(beats for _, beats, _ in best)
    return min(best, key=lambda entry: cost_of(bound, *entry[:2], least, alone=op.alone))[2]


def _estimate(config, tilings, alone):
    beats = [tiling.dram_bytes / config.bus_bytes for tiling in tilings]
    return min(
        cost_of(tiling.bound, tiling.cycles, moved, min(beats), alone=alone)
        for tiling, moved in zip(tilings, beats)
    )
