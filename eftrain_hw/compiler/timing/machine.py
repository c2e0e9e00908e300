"""The whole machine: sequencer, loader, array, drain and vector unit on one memory."""

from collections import deque
from dataclasses import dataclass, field

from ...array.commands import COMPUTE
from ...dma.commands import LOAD
from ...sequencer.program_format import REQUEST_BEATS
from ...streams.command import NOP
from ...vector.commands import DRAIN
from .bus import Bus
from .constants import compute_latency
from .draining import Drain
from .engines import compute_cost, drain_cost, load_cost
from .expand import decode, expand
from .kernel import Event, Kernel
from .loading import Loader
from .memory import ReadSide, WriteSide, burst_words, bursts_of
from .vector_unit import VectorUnit

__all__ = ["CAUSES", "Machine", "Memory", "Timing"]

CAUSES = ("memory", "latency", "drain", "issue", "stretch")
"""Why the array does not work: data come too slowly, or too late although the bus has room; no free
accumulators; no command; sweeps too short."""

_LINE = 64  # bytes of the first request of a descriptor
_CHECKED = 3  # from its answer to the next request
_NEXT = 2  # from one of the others to the next
_START = 9  # from the doorbell to the first request
_END = 9  # from the last answer to the interrupt
_HEADER = 4  # from a descriptor that is there to its first command


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


class _Engine:
    """Commands on their way to an engine: one in work, one held, one being collected."""

    def __init__(self, kernel):
        self.sent, self.taken = [], []
        self.changed = Event(kernel)
        self.issued = 0

    def take(self, time):
        self.taken.append(time)
        self.changed.fire()


class Machine:
    """Carries out descriptors, one after another, in time.

    Parameters
    ----------
    config : AcceleratorConfig
    memory : Memory
    """

    def __init__(self, config, memory):
        self.config, self.memory = config, memory
        self.kernel = kernel = Kernel()
        bus = Bus(kernel, config.ports, memory.bytes_per_cycle / config.port_bytes)
        self.reads = ReadSide(kernel, config, bus, memory.latency)
        self.writes = WriteSide(kernel, config, bus, memory.latency)
        self._fetcher = self.reads.client()
        self.loader = Loader(self.reads, config)
        self.drain = Drain(self.reads, self.writes, config)
        self.vector = VectorUnit(self.reads, self.writes, config, memory)
        self._engines = {name: _Engine(kernel) for name in ("load", "compute", "drain", "vector")}
        self._inbox = {name: deque() for name in self._engines}
        self._fetched, self._fetch_next = Event(kernel), Event(kernel)
        self._ready = deque()
        self.timing = Timing()
        self._last_start, self._stride, self._before_last = 0, 0, 0
        self._begun_last, self._end = 0, 0
        self._first_position, self._banks = None, 0
        self._moving = self._stationary = 0

    def run(self, descriptors, counts=None):
        """`Timing` of a program of these descriptors.

        Parameters
        ----------
        descriptors : list of Descriptor
        counts : sequence of int or None
            Loop counts of the only descriptor to use instead.
        """
        kernel = self.kernel
        kernel.start(self._fetch(descriptors))
        kernel.start(self._issue(descriptors, counts))
        kernel.start(self._load())
        kernel.start(self._compute())
        kernel.start(self._drain())
        kernel.start(self._vector())
        kernel.run()
        timing = self.timing
        if self._first_position is not None:
            timing.head = self._first_position - timing.fetch
            timing.tail = kernel.now + _END - self._last_start - self._stride
        timing.cycles = kernel.now + _END
        timing.read_beats, timing.write_beats = self.reads.words, self.writes.words
        return timing

    # -- sequencer

    def _fetch(self, descriptors):
        kernel, bus, size = self.kernel, self.config.bus_bytes, burst_words(self.config)
        yield _START
        for number, descriptor in enumerate(descriptors):
            words, line = -(-4 * len(descriptor.words()) // bus), _LINE // bus
            came, arrived = [], Event(kernel)

            def come(start, end, count, came=came, arrived=arrived):
                came.append((count, end))
                arrived.fire()

            self._fetcher.ask(bursts_of(0, line, size), come)
            if number or words > (_LINE - 1) * line:  # else `program_address` says how long it is
                while sum(count for count, _ in came) < line:
                    yield arrived
                yield came[-1][1] + _CHECKED
            else:
                yield kernel.now + _NEXT
            for first in range(line, words, REQUEST_BEATS):
                while not self._fetcher.room:
                    yield self._fetcher.taken
                part = min(REQUEST_BEATS, words - first)
                self._fetcher.ask(bursts_of(first, part, size), come)
                yield kernel.now + _NEXT
            while sum(count for count, _ in came) < max(line, words):
                yield arrived
            yield came[-1][1]
            self._ready.append(kernel.now)
            self._fetched.fire()
            while number >= self._begun:
                yield self._fetch_next

    _begun = 0

    def _issue(self, descriptors, counts):
        kernel = self.kernel
        sent = [0, 0]  # ends of the two commands before
        now = 0
        for number, descriptor in enumerate(descriptors):
            while len(self._ready) <= number:
                yield self._fetched
            yield max(now, self._ready[number])
            self._begun += 1
            self._fetch_next.fire()
            now = max(now, self._ready[number])
            if not number:
                self.timing.fetch = now
            now += _HEADER
            for issue in expand(descriptor, counts):
                layout, words = issue.layout, issue.layout.words
                now += issue.skipped + 2
                now = max(now, sent[0]) + words + issue.patching
                if layout is NOP:
                    continue
                name = _ENGINES.get(layout.opcode, "vector")
                engine = self._engines[name]
                start = max(now + 2, sent[1] + 1)
                if name == "vector":
                    start = max(start, kernel.now)
                elif engine.issued >= 2:
                    while len(engine.taken) < engine.issued - 1:
                        yield engine.changed
                    before = max(engine.sent[-1] + 2, engine.taken[engine.issued - 2] + 1)
                    start = max(start, before)
                elif engine.issued == 1:
                    start = max(start, engine.sent[-1] + 2)
                sent = [sent[1], start + words - 1]
                engine.issued += 1
                engine.sent.append(sent[1])
                self.timing.commands += 1
                if sent[1] > kernel.now:
                    yield sent[1]
                tickets = self._engines["drain"].issued, self._engines["vector"].issued
                self._inbox[name].append((decode(layout, issue.words), layout, tickets))
                engine.changed.fire()

    def _next(self, name):
        """Wait for an engine's next command; yields, then (fields, layout, tickets, seen)."""
        engine, inbox = self._engines[name], self._inbox[name]
        while not inbox:
            yield engine.changed
        number = len(engine.taken)
        before = engine.taken[-1] + 1 if engine.taken else 0
        self._command = (*inbox.popleft(), max(engine.sent[number] + 2, before))

    # -- engines

    def _load(self):
        engine = self._engines["load"]
        walker = 0
        while True:
            yield from self._next("load")
            fields, _, tickets, seen = self._command
            cost = load_cost(self.config, fields)
            take = max(seen + 1, walker)
            yield take
            if fields["wait_drain"]:
                yield from self._finished("drain", tickets[0])
            if fields["wait_vector"]:
                yield from self._finished("vector", tickets[1])
            take = self.kernel.now
            engine.take(take)
            size = cost.fill * min(self.config.bus_bytes, self.config.vector_bytes)
            tiles = self.timing.tile_bytes
            tiles[cost.destination] = max(size, tiles.get(cost.destination, 0))
            yield from self.loader.walk(cost, take)
            walker = self.kernel.now

    def _finished(self, name, ticket):
        """Wait until everything that an engine had been given is finished."""
        engine = self._engines[name]
        part = self.drain if name == "drain" else self.vector
        waited = False
        while len(engine.taken) < ticket or part.busy:
            if len(engine.taken) < ticket:
                yield engine.changed
            else:
                yield part.quiet
            waited = True
        if waited:
            yield self.kernel.now + 3

    def _compute(self):
        engine, rows, timing = self._engines["compute"], self.config.rows, self.timing
        latency = compute_latency(self.config)
        while True:
            yield from self._next("compute")
            fields, _, _, seen = self._command
            cost = compute_cost(self.config, fields)
            take = max(seen, self._before_last + 1)
            taken = max(take, self._begun_last + 1)
            engine.take(taken)
            reasons = {"issue": take + 2 + rows - 1}
            row = max(take + 2, self._last_start + 1)
            if cost.acquire_stationary:
                there, why = yield from self._published("stationary", self._stationary)
                row = max(row, there)
                reasons[why] = there + rows - 1
            ready = row + rows - 1
            if cost.acquire_moving:
                there, why = yield from self._published("moving", self._moving)
                reasons[why] = max(reasons.get(why, 0), there)
            if cost.acquire_accumulator:
                if self._banks >= 2:
                    while len(self.drain.given) < self._banks - 1:
                        yield self.drain.changed
                    reasons["drain"] = self.drain.given[self._banks - 2] + 1
                self._banks += 1
            due = self._last_start + self._stride
            start = max(ready, due, *reasons.values())
            if self._first_position is None:
                self._first_position = start
            elif start > due:
                cause = max(reasons, key=reasons.get)
                if reasons[cause] <= due:
                    cause = "stretch"  # rows of the next sweep
                timing.lost[cause] += start - due
            n, stride = cost.sweeps, cost.stride
            timing.lost["stretch"] += n * (stride - cost.length)
            timing.mac_busy += n * cost.length
            self._last_start = start + (n - 1) * stride
            self._before_last = start + (n - 2) * stride if n > 1 else start - stride
            self._stride = stride
            # its last sweep is described once the sweep before is through
            self._begun_last = max(taken + 1, self._end)
            if n > 1:
                self._begun_last = self._before_last + cost.length
            self._end = end = self._last_start + cost.length
            if cost.release_moving:
                self._moving += 1
                self.loader.slots["moving"].release(end)
            if cost.release_stationary:
                self._stationary += 1
                self.loader.slots["stationary"].release(
                    self._before_last + rows + 1 if n > 1 else ready + 1
                )
            if cost.release_accumulator:
                self.drain.full.append(end + latency + 1)
                self.drain.changed.fire()

    def _published(self, name, number):
        slots = self.loader.slots[name]
        while len(slots.published) <= number:
            yield slots.changed
        time, late = slots.published[number]
        return time, "memory" if late else "latency"

    def _drain(self):
        engine = self._engines["drain"]
        while True:
            yield from self._next("drain")
            fields, _, _, seen = self._command
            yield from self.drain.take(drain_cost(self.config, fields), seen)
            engine.take(self.kernel.now)

    def _vector(self):
        engine = self._engines["vector"]
        while True:
            yield from self._next("vector")
            fields, layout, tickets, seen = self._command
            yield max(self.kernel.now, seen + 5)
            yield from self._finished("drain", tickets[0])
            while self.vector.busy:
                yield self.vector.quiet
            engine.take(self.kernel.now)
            yield from self.vector.work(layout, fields)


_ENGINES = {LOAD.opcode: "load", COMPUTE.opcode: "compute", DRAIN.opcode: "drain"}
