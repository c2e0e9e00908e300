"""The choice of a pass's tiles: a shortlist by estimates, the winner by the analytical model."""

from ..timing import descriptor_time

__all__ = ["choose"]

SHORTLIST = 20  # tilings that the model looks at,
LONG, FEW = 1_000_000, 3  # but of passes so long that first loads hardly count
TRAFFIC = 0.25  # cycles that a beat on the bus is worth: the vector unit works meanwhile,
HASTE = 0.1  # and in passes that are late anyway
BEST = 1.005  # times the least, in time and traffic: no need to look further
GOOD = 1.0295  # times the least: slower than this is not traded for less traffic


def choose(config, tilings, make):
    """The tiling to use: least in time and weighted traffic.

    Traffic weighs little where nothing comes near to the time of an array, or a bus, that never
    waits; where something does, what is slower than that is out.

    Parameters
    ----------
    config : AcceleratorConfig
    tilings : list of Tiling
        The cheapest by their estimates first.
    make : callable
        Tiling -> the pass's Descriptor.

    Returns
    -------
    Tiling
    """
    if len(tilings) == 1:
        return tilings[0]

    def estimated(tiling):
        return tiling.cycles + TRAFFIC * tiling.dram_bytes / config.bus_bytes

    few = FEW if tilings[0].bound > LONG else SHORTLIST // 2
    short = sorted(tilings, key=estimated)[:few]
    short += [tiling for tiling in tilings[:few] if tiling not in short]
    leanest = min(tiling.dram_bytes for tiling in tilings)
    timed = []
    for tiling in short:
        time = descriptor_time(config, make(tiling))
        timed.append((time.cycles, time.dram_beats, tiling))
        if timed[-1][0] <= BEST * tiling.bound and tiling.dram_bytes <= BEST * leanest:
            break
    least = max(tilings[0].bound, min(beats for _, beats, _ in timed))
    near = [entry for entry in timed if entry[0] <= GOOD * least]
    weight = TRAFFIC if near else HASTE
    return min(near or timed, key=lambda entry: entry[0] + weight * entry[1])[2]
