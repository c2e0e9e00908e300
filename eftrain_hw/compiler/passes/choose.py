"""The choice of a pass's tiles: a shortlist by estimates, the winner by the analytical model."""

from dataclasses import replace

from ..timing import descriptor_time

__all__ = ["LONG", "best_of", "choose", "cost_of", "time_of", "without_addresses"]

SHORTLIST = 20  # tilings that the model may look at,
LONG, FEW = 1_000_000, 3  # but of passes so long that first loads hardly count
LEAST, BEATS = 3, 120_000  # tilings that it looks at; more while they move so little together
# cycles that a beat on the bus is worth: in a step the vector unit and the passes around work
# meanwhile; measured on steps of the CIFAR network with 16 and 4 images
TRAFFIC, TRAFFIC_ALONE = 4.0, 0.25
BEST = 1.005  # times the least, in time and traffic: no need to look further
GOOD, LATE = 1.029, 6  # times the least; a cycle beyond that counts so much more

_KEPT = 4096
# (configuration, alone, words of the first tiling's descriptor): number of the best tiling
_chosen = {}
_times = {}  # (configuration, words of a descriptor): time and traffic


def choose(config, tilings, make, *, alone=False):
    """The tiling to use; passes that differ in their addresses only get the same one.

    Parameters
    ----------
    config : AcceleratorConfig
    tilings : list of Tiling
        The cheapest by their estimates first.
    make : callable
        Tiling -> the pass's Descriptor.
    alone : bool
        Nothing else is on the bus.

    Returns
    -------
    Tiling
    """
    if config.packed_programs:  # whose bytes count: each loop has patches
        fewest = min(map(_loops_of, tilings))
        tilings = [tiling for tiling in tilings if _loops_of(tiling) == fewest]
    if len(tilings) == 1:
        return tilings[0]

    def timed(tiling):
        return time_of(config, make(tiling))

    key = config, alone, tuple(without_addresses(make(tilings[0])).words())
    if key not in _chosen:
        _make_room(_chosen)
        best = best_of(config, tilings, timed, alone=alone)
        _chosen[key] = next(n for n, tiling in enumerate(tilings) if tiling is best)
    return tilings[_chosen[key]]


def _loops_of(tiling):
    return sum(count > 1 for count in tiling.counts.values())


def time_of(config, descriptor):
    """(cycles, beats) of a pass by the model, which looks at each only once."""
    descriptor = without_addresses(descriptor)
    key = config, tuple(descriptor.words())
    if key not in _times:
        _make_room(_times)
        time = descriptor_time(config, descriptor)
        _times[key] = time.cycles, time.dram_beats
    return _times[key]


def _make_room(kept):
    if len(kept) >= _KEPT:
        del kept[next(iter(kept))]


def without_addresses(descriptor):
    """The same with all tensors at address 0."""
    commands = []
    for command in descriptor.commands:
        lines = {name: 0 for name in command.values if command.layout.fields[name].line}
        commands.append(replace(command, values=command.values | lines))
    return replace(descriptor, tag=0, last=True, commands=commands)


def best_of(config, tilings, timed, *, alone=False):
    """The tiling that is least in time and weighted traffic.

    Time weighs more from some percent above that of an array that never waits: traffic is saved
    where there is time for it. Where the bus is the limit, traffic is time.

    Parameters
    ----------
    config : AcceleratorConfig
    tilings : list of Tiling
        The cheapest by their estimates first.
    timed : callable
        Tiling -> (cycles, beats) by the model.
    alone : bool
        Nothing else is on the bus.

    Returns
    -------
    Tiling
    """
    bound, leanest = tilings[0].bound, min(tiling.dram_bytes for tiling in tilings)

    def estimated(tiling, least=bound):
        beats = tiling.dram_bytes / config.bus_bytes
        return cost_of(bound, tiling.cycles, beats, least, alone=alone)

    few = FEW if bound > LONG else SHORTLIST // 2
    short = sorted(tilings, key=estimated)[:few]
    short += [tiling for tiling in tilings[:few] if tiling not in short]
    short.sort(key=lambda tiling: estimated(tiling, leanest / config.bus_bytes))
    found, moved = [], 0
    for tiling in short:
        cycles, beats = timed(tiling)
        found.append((cycles, beats, tiling))
        moved += beats
        if cycles <= BEST * bound and tiling.dram_bytes <= BEST * leanest:
            break
        if len(found) >= LEAST and moved + beats > BEATS:
            break
    least = min(beats for _, beats, _ in found)
    return min(found, key=lambda entry: cost_of(bound, *entry[:2], least, alone=alone))[2]


def cost_of(bound, cycles, beats, least, *, alone=False):
    """Time and weighted traffic, where the array works `bound` cycles and the bus at least
    `least`."""
    late = LATE if bound > least else 0
    traffic = TRAFFIC_ALONE if alone else TRAFFIC
    return cycles + traffic * beats + late * max(0, cycles - GOOD * bound)
