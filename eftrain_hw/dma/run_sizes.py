"""Item sizes of run readers and writers: one, or two of which each run chooses."""

from amaranth.hdl import Mux
from amaranth.lib import data

from ..streams.ports import run_request

__all__ = ["RunSizes", "check_power_of_two", "wide_run_request"]


def wide_run_request(config):
    """A `run_request` whose items are of the wider of two sizes where `wide` is 1."""
    return data.StructLayout({**run_request(config).members, "wide": 1})


def check_power_of_two(what, value, least):
    """Raise TypeError or ValueError unless `value` is an int power of two, at least `least`."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{what} must be int, not {value!r}")
    if value < least or value & (value - 1):
        raise ValueError(f"{what} must be a power of two, at least {least}, not {value!r}")


class RunSizes:
    """How items lie in bus beats.

    Parameters
    ----------
    config : AcceleratorConfig
    item_bytes : int or tuple of two int
        A size, or (narrow, wide): powers of two, narrow <= wide.
    owner : str
        Who asks, for the messages.

    Members
    -------
    request : data.StructLayout
        Payload of the run: `run_request`, with `wide` beside if there are two sizes.
    widest : int
        Bytes of the item stream's payload.
    unit, slots : int
        A beat consists of `slots` slots of `unit` bytes: of narrow items, or of one beat.
    spans, parts : list of int
        For each distinct size: slots that an item takes of a beat, beats that it takes.
    """

    def __init__(self, config, item_bytes, owner):
        sizes = item_bytes if isinstance(item_bytes, tuple) else (item_bytes,)
        if len(sizes) not in (1, 2):
            raise ValueError(f"{owner} item_bytes must be one size or two, not {item_bytes!r}")
        for size in sizes:
            check_power_of_two(f"{owner} item_bytes", size, 1)
        if sizes[0] > sizes[-1]:
            raise ValueError(f"{owner} item_bytes must be (narrow, wide), not {item_bytes!r}")
        bus = config.bus_bytes
        self.request = run_request(config) if len(sizes) == 1 else wide_run_request(config)
        self.widest = sizes[-1]
        self.unit = min(sizes[0], bus)
        self.slots = bus // self.unit
        distinct = sorted(set(sizes))
        self.two = len(distinct) == 2
        self.spans = [min(size, bus) // self.unit for size in distinct]
        self.parts = [max(1, size // bus) for size in distinct]

    def choose(self, wide, values):
        """`values[0]`, or `values[1]` where there are two sizes and `wide` is 1."""
        return Mux(wide, values[1], values[0]) if self.two else values[0]
