"""Drains that leave the bus to loads: of all banks of a weight gradient but the last."""

from ...sequencer.program_format import ADD, LAST, Command
from .body import ALL_LOOPS

__all__ = ["paced"]

SLOWEST = 4  # pace
ROOM = 0.6  # share of the cycles until the next bank that a drain may take


def paced(config, body, drain, cycles):
    """Slow a drain down, but for the last bank, which nothing is computed behind.

    Parameters
    ----------
    config : AcceleratorConfig
    body : Body
    drain : Command
        Of every bank, with its patches; takes and gives back the bank. Gets its pace.
    cycles : float
        Of the array, from bank to bank.

    Returns
    -------
    list of Command
        That stores the last bank, where the other one does not.
    """
    pace = _pace(config, drain, cycles)
    if not pace:
        return []
    layout, last = drain.layout, dict(drain.values)
    for patch in drain.patches:
        name = next(n for n in layout.fields if layout.place(n) == (patch.word, 0))
        if patch.kind == ADD:
            count = body.loops[patch.loops.bit_length() - 1]
            last[name] = last.get(name, 0) + patch.value * (count - 1)
        else:
            assert patch.kind == LAST
            last[name] = patch.value
    drain.values["pace"], drain.not_last = pace, True
    return [Command(layout, last, when_last=ALL_LOOPS)]


def _pace(config, drain, cycles):
    """The slowest pace that takes not much more than half of so many cycles; 0: its own."""
    values = drain.values
    groups = values["blocks"] * values["images"] * values["run"]
    groups *= config.lanes // config.drain_lanes
    natural = max(1, 4 * config.drain_lanes // config.bus_bytes)
    pace = 0
    while pace < SLOWEST and groups << pace + 1 <= ROOM * cycles:
        pace += 1
    return pace if 1 << pace > natural else 0
