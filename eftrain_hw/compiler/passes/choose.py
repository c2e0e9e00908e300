"""The choice of a pass's tiles: a shortlist by estimates, the winner by the analytical model."""

from ..timing import descriptor_time

__all__ = ["choose"]

SHORTLIST = 20  # tilings that the model looks at,
LONG, FEW = 2_000_000, 4  # but of passes so long that first loads hardly count
TRAFFIC = 0.25  # cycles that a beat on the bus is worth: the vector unit works meanwhile
GOOD = 1.028  # times the least: slower than this is traded for nothing


def choose(config, tilings, make):
    """The tiling to use.

    Of those that come near to the time of an array that never waits, or a bus, the one with the
    least sum of time and weighted traffic; if none does, of all of them.

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

    def cost(cycles, beats):
        return cycles + TRAFFIC * beats

    def estimated(tiling):
        return cost(tiling.cycles, tiling.dram_bytes / config.bus_bytes)

    few = FEW if tilings[0].bound > LONG else SHORTLIST // 2
    short = list(tilings[:few])
    short += [tiling for tiling in sorted(tilings, key=estimated)[:few] if tiling not in short]
    timed = []
    for tiling in short:
        time = descriptor_time(config, make(tiling))
        timed.append((time.cycles - time.fetch, time.dram_beats, tiling))
    least = max(tilings[0].bound, min(beats for _, beats, _ in timed))
    near = [entry for entry in timed if entry[0] <= GOOD * least]
    return min(near or timed, key=lambda entry: cost(*entry[:2]))[2]
