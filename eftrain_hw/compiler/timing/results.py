"""What the model assumes of the memory, and what it finds."""

from dataclasses import dataclass, field

__all__ = ["CAUSES", "Memory", "Timing"]

CAUSES = ("memory", "latency", "drain", "issue", "stretch")
"""Why the array does not work: data come too slowly, or too late although the bus has room; no free
accumulators; no command; sweeps too short."""


@dataclass(frozen=True)
class Memory:
    """What the model assumes of the memory.

    Members
    -------
    latency : int
        Cycles from a request to its first data, or to a response.
    bytes_per_cycle : int
        Of all ports together, reads and writes.
    """

    latency: int = 40
    bytes_per_cycle: int = 16


@dataclass
class Timing:
    """What descriptors take.

    Members
    -------
    cycles : float
        From the doorbell to the interrupt.
    fetch : float
        Of those, until the sequencer has the first descriptor.
    read_beats, write_beats : float
        Bus beats.
    mac_busy : float
        Cycles with a position.
    lost : dict
        Cycles in which the array waits, by cause.
    commands : float
    head, tail : float
        Cycles from its start to the first position, from the last one to its end.
    tile_bytes : dict
        Bytes of the largest tile in a slot of each buffer.
    """

    cycles: float = 0
    fetch: float = 0
    read_beats: float = 0
    write_beats: float = 0
    mac_busy: float = 0
    commands: float = 0
    head: float = 0
    tail: float = 0
    lost: dict = field(default_factory=lambda: dict.fromkeys(CAUSES, 0))
    tile_bytes: dict = field(default_factory=dict)

    def plus(self, other, scale):
        """self + scale * other."""
        names = ("cycles", "fetch", "read_beats", "write_beats", "mac_busy", "commands")
        return Timing(
            *(getattr(self, name) + scale * getattr(other, name) for name in names),
            head=self.head,
            tail=self.tail,
            lost={cause: self.lost[cause] + scale * other.lost[cause] for cause in CAUSES},
            tile_bytes=self.tile_bytes,
        )
