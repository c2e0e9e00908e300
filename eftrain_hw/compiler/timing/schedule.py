"""When each command of a tiled descriptor starts and ends: load, compute and drain together."""

from dataclasses import dataclass, field

from ...array.commands import COMPUTE
from ...dma.commands import LOAD
from ...sequencer.program_format import HEADER_WORDS, REQUEST_BEATS
from ...vector.commands import DRAIN
from .bus import Bus
from .constants import compute_latency, drain_latency
from .engines import compute_cost, drain_cost, load_cost
from .expand import decode, expand

__all__ = ["CAUSES", "Memory", "Timing", "simulate"]

CAUSES = ("memory", "latency", "drain", "issue", "stretch")
"""Why the array does not work: data come too slowly, or too late although the bus has room; no free
accumulators; no command; sweeps too short."""

_READ = 11  # cycles from a request to the first word, without the memory's own
_WRITE = 17  # from the last item to the end of its write, likewise without moving it
_BURSTS = 32  # read bursts in flight
_WRITES = 32  # write bursts in flight
_TRIP = 10  # from a write to its answer, without the memory's latency
_RUNS, _MASK_TRIP = 8, 14  # runs of a drain ahead of its items; more of a mask's way
_MASK_REQUEST = 8  # beats of a request for a mask
_LATE = 30  # cycles by which what is drained comes to the bus later
_ITEMS = 33  # blocks between the load walker and the fill side


@dataclass(frozen=True)
class Memory:
    """What the model assumes of the memory: cycles to the first data, and to a response."""

    latency: int = 40


@dataclass
class Timing:
    """What a descriptor takes.

    Members
    -------
    cycles : float
        From its first command in the sequencer until its last write is answered.
    issued : float
        Until the sequencer is done with it.
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
    issued: float = 0
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
        names = ("cycles", "issued", "read_beats", "write_beats", "mac_busy", "commands")
        return Timing(
            *(getattr(self, name) + scale * getattr(other, name) for name in names),
            head=self.head,
            tail=self.tail,
            lost={cause: self.lost[cause] + scale * other.lost[cause] for cause in CAUSES},
            tile_bytes=self.tile_bytes,
        )


class _Receiver:
    """A command in work, one held, one being collected."""

    def __init__(self):
        self.free = 0  # the collector
        self.taken = -10  # the command before

    def collect(self, sent):
        """The last word comes at `sent`; returns when the engine sees the command."""
        held = max(sent + 2, self.taken + 1)
        self.free = held
        return held


class _Schedule:
    def __init__(self, config, memory, start):
        self.config, self.memory = config, memory
        self.bus = Bus()
        self.result = Timing()
        self.now = start  # the sequencer
        self.sent = [0, 0]  # ends of the two commands before
        self.receivers = {name: _Receiver() for name in ("load", "compute", "drain")}
        # load
        self.walker = self.data_end = self.fill_end = 0
        self.requests_end = 0
        self.acquired = {"moving": 0, "stationary": 0}
        self.published = {"moving": [], "stationary": []}
        self.released = {"moving": [], "stationary": []}
        self.from_bus = {"moving": [], "stationary": []}  # whether the bus made the slot late
        # compute
        self.last_start, self.stride, self.before_last = 0, 0, 0
        self.banks, self.full, self.given = 0, [], []
        self.first_position = None
        # drain
        self.waiting = []
        self.drain_free = 0
        self.done = 0

    def issue(self, name, issue):
        """Send a command; returns when its engine sees it."""
        words = issue.layout.words
        self.now += issue.skipped + 2
        self.now = max(self.now, self.sent[0]) + words + issue.patching
        receiver = self.receivers[name]
        start = max(self.now + 2, self.sent[1] + 1, receiver.free)
        self.sent = [self.sent[1], start + words - 1]
        self.result.commands += 1
        return receiver.collect(self.sent[1])

    def load(self, cost, seen, waits):
        memory, config = self.memory, self.config
        take = max(seen + 1, self.walker)
        if waits:
            self.settle(0)
            take = max(take, self.done + 2)
        self.receivers["load"].taken = take
        asks = take + cost.setup
        slot = cost.destination
        if cost.acquire:
            number = self.acquired[slot]
            self.acquired[slot] += 1
            if number >= 2:
                asks = max(asks, self.released[slot][number - 2])
        self.walker = asks + 2 + cost.walk - 7
        request = max(asks + 3, self.requests_end)
        first = request + _READ + memory.latency
        start = max(first, self.data_end)
        # what a mask asks for waits behind the bursts that are in flight, then takes turns
        turns = max(0, cost.bursts - _BURSTS) / max(1, cost.bursts)
        mask = turns * _MASK_REQUEST / (_MASK_REQUEST + cost.beats / max(1, cost.requests))
        end = self.bus.transfer("load", start, cost.beats, cost.beats, mask_rate=mask)
        late = self.bus.delay("drain")
        if late:
            self.drain_free += late
            self.done += late
            if self.given:
                self.given[-1] += late
        slowest = max(
            cost.requests, cost.walk - 7, cost.bursts * (memory.latency + 15) / _BURSTS
        )
        limited = end > first + max(slowest, cost.span)
        self.data_end = end = max(end, first + slowest)
        self.requests_end = max(request + cost.requests, end - memory.latency - 64)
        # the last words of a port come late, but the next load's come meanwhile
        end = max(end, first + cost.span)
        filled = max(end + 4, max(self.fill_end, start + 4) + cost.fill)
        self.fill_end = filled
        if cost.items > _ITEMS:
            self.walker = max(self.walker, filled - cost.fill * _ITEMS / cost.items)
        if cost.publish:
            self.published[slot].append(filled + 1)
            self.from_bus[slot].append(limited)
        self.result.read_beats += cost.beats
        size = cost.fill * min(config.bus_bytes, config.vector_bytes)
        tiles = self.result.tile_bytes
        tiles[slot] = max(size, tiles.get(slot, 0))

    def compute(self, cost, seen):
        rows = self.config.rows
        take = max(seen, self.before_last + 1)
        reasons = {"issue": take + 2 + rows - 1}
        row = max(take + 2, self.last_start + 1)
        if cost.acquire_stationary:
            number = len(self.released["stationary"])
            there = self.published["stationary"][number]
            row = max(row, there)
            reasons[self._why("stationary", number)] = there + rows - 1
        ready = row + rows - 1
        if cost.acquire_moving:
            number = len(self.released["moving"])
            there = self.published["moving"][number]
            why = self._why("moving", number)
            reasons[why] = max(reasons.get(why, 0), there)
        if cost.acquire_accumulator:
            if self.banks >= 2:
                while len(self.given) < self.banks - 1:
                    self.settle(len(self.waiting) - 1)
                reasons["drain"] = self.given[self.banks - 2] + 1
            self.banks += 1
        due = self.last_start + self.stride
        start = max(ready, due, *reasons.values())
        if self.first_position is None:
            self.first_position = start
        elif start > due:
            cause = max(reasons, key=reasons.get)
            if reasons[cause] <= due:
                cause = "stretch"  # rows of the next sweep
            self.result.lost[cause] += start - due
        n, stride = cost.sweeps, cost.stride
        self.result.lost["stretch"] += n * (stride - cost.length)
        self.result.mac_busy += n * cost.length
        self.last_start = start + (n - 1) * stride
        self.before_last = start + (n - 2) * stride if n > 1 else start - stride
        self.stride = stride
        self.receivers["compute"].taken = max(take, self.last_start - 1)
        end = self.last_start + cost.length
        if cost.release_moving:
            self.released["moving"].append(end)
        if cost.release_stationary:
            self.released["stationary"].append(
                self.before_last + rows + 1 if n > 1 else ready + 1
            )
        if cost.release_accumulator:
            self.full.append(end + compute_latency(self.config) + 1)

    def _why(self, slot, number):
        return "memory" if self.from_bus[slot][number] else "latency"

    def drain(self, cost, seen):
        """Drains with a mask are settled late: what loads until then slows their masks down."""
        self.waiting.append((cost, seen))
        if len(self.waiting) == 1:
            self._take_drain()
        if not cost.mask:
            self.settle(0)
        elif len(self.waiting) > 2:
            self.settle(2)

    def _take_drain(self):
        cost, seen = self.waiting[0]
        take = max(seen, self.drain_free)
        if cost.acquire:
            take = max(take, self.full[len(self.given)])
        self.receivers["drain"].taken = take

    def settle(self, rest):
        """Work out when the first of the drains that wait end, all but `rest`."""
        while len(self.waiting) > rest:
            cost, _ = self.waiting[0]
            take = self.receivers["drain"].taken
            first = take + 3
            if cost.mask:
                first = max(first, take + 12 + _READ + self.memory.latency)
                first = self.bus.behind("load", first)
            beats = cost.write_beats + cost.mask_beats
            cycles = max(cost.steps * cost.interval, self._run_cycles(cost))
            late = 0 if cost.mask else _LATE
            end = self.bus.transfer(
                "drain", first + late, beats, cycles, mask_beats=cost.mask_beats
            )
            end -= late
            self.drain_free = end + 2
            if cost.release:
                self.given.append(end + 2)
            words = cost.last_words
            tail = drain_latency(self.config, cost.raw) + words + self.config.ports * words
            self.done = end + tail + _WRITE + self.memory.latency
            self.result.write_beats += cost.write_beats
            self.result.read_beats += cost.mask_beats
            del self.waiting[0]
            if self.waiting:
                self._take_drain()

    def _run_cycles(self, cost):
        """Cycles that the runs of a drain take because of answers that are outstanding.

        Runs are announced a few ahead of their items, and a mask is asked for with its run.
        """
        trip = self.memory.latency + _TRIP
        cycles = cost.bursts * trip / _WRITES
        if cost.mask:
            cycles = max(cycles, cost.runs * (trip + _MASK_TRIP) / _RUNS)
        return cycles


def fetch_cycles(config, words, memory):
    """Cycles to fetch a descriptor while nothing else is read: its first line, then the rest."""
    beats = -(-words * 4 // config.bus_bytes)
    line = 64 // config.bus_bytes
    trip = memory.latency + _READ + 4
    cycles = trip + config.ports * line
    if beats > line:
        cycles += trip + beats - line + (config.ports - 1) * REQUEST_BEATS
    return cycles


def simulate(config, descriptor, memory=Memory(), counts=None, start=None):
    """`Timing` of a descriptor of load, compute and drain commands, alone.

    Parameters
    ----------
    config : AcceleratorConfig
    descriptor : Descriptor
    memory : Memory
    counts : sequence of int or None
        Loop counts to use instead.
    start : int or None
        When the sequencer has the descriptor; None: after fetching it.
    """
    if start is None:
        start = fetch_cycles(config, len(descriptor.words()), memory) - 38 + HEADER_WORDS
    schedule = _Schedule(config, memory, start)
    for issue in expand(descriptor, counts):
        layout = issue.layout
        if layout is LOAD:
            fields = decode(layout, issue.words)
            waits = fields.get("wait_drain", 0)
            seen = schedule.issue("load", issue)
            schedule.load(load_cost(config, fields), seen, waits)
        elif layout is COMPUTE:
            seen = schedule.issue("compute", issue)
            schedule.compute(compute_cost(config, decode(layout, issue.words)), seen)
        elif layout is DRAIN:
            seen = schedule.issue("drain", issue)
            schedule.drain(drain_cost(config, decode(layout, issue.words)), seen)
    schedule.settle(0)
    result = schedule.result
    result.issued = schedule.now
    result.head = schedule.first_position - start
    result.tail = schedule.done + 12 - schedule.last_start - schedule.stride
    result.cycles = schedule.done + 12
    return result
