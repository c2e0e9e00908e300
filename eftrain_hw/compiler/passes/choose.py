"""The choice of a pass's tiles: a shortlist by estimates, the winner by the analytical model."""

from ..timing import descriptor_time

__all__ = ["choose"]

SHORTLIST = 20  # tilings that the model looks at,
LONG, FEW = 1_000_000, 3  # but of passes so long that first loads hardly count
TRAFFIC = 0.25  # cycles that a beat on the bus is worth: the vector unit works meanwhile
BEST = 1.005  # times the least, in time and traffic: no need to look further
GOOD, LATE = 1.029, 6  # times the least; a cycle beyond that counts so much more


def choose(config, tilings, make):
    """The tiling to use: least in time and weighted traffic.

    Time weighs more from some percent above that of an array that never waits: traffic is saved
    where there is time for it. Where the bus is busy for half of the time, traffic is time.

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
    bound = tilings[0].bound
    late = LATE if bound > 2 * min(beats for _, beats, _ in timed) else 0

    def cost(entry):
        cycles, beats, _ = entry
        return cycles + TRAFFIC * beats + late * max(0, cycles - GOOD * bound)

    return min(timed, key=cost)[2]
