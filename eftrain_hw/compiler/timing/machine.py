"""The whole machine: sequencer, loader, array, drain and vector unit on one memory."""

from .bus import Bus
from .constants import compute_latency
from .draining import Drain
from .engines import compute_cost, drain_cost, load_cost
from .kernel import Kernel
from .loading import Loader
from .memory import ReadSide, WriteSide
from .results import CAUSES, Memory, Timing
from .sequencing import Sequencer
from .vector_unit import VectorUnit

__all__ = ["CAUSES", "Machine", "Memory", "Timing"]

_END = 5  # from the last answer to the interrupt
_GATE = 2  # from a vector command that is seen to the vector unit


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
        self.timing = Timing()
        self._sequencer = Sequencer(kernel, config, self.reads.client(), self.timing)
        self._engines = self._sequencer.engines
        self.loader = Loader(self.reads, config)
        self.drain = Drain(self.reads, self.writes, config)
        self.vector = VectorUnit(self.reads, self.writes, config, memory)
        self._last_start, self._stride, self._before_last = 0, 0, 0
        self._begun_last, self._end = 0, 0
        self._first_position, self._banks = None, 0
        self._moving = self._stationary = 0

    def run(self, descriptors, counts=None, *, told=True):
        """`Timing` of a program of these descriptors.

        Parameters
        ----------
        descriptors : list of Descriptor
        counts : sequence of int or None
            Loop counts of the only descriptor to use instead.
        told : bool
            `program_address` says how long the first descriptor is, if it can.

        Raises
        ------
        RuntimeError
            The program never ends: an engine waits for what no command gives it.
        """
        kernel = self.kernel
        self._sequencer.start(descriptors, counts, told)
        kernel.start(self._load())
        kernel.start(self._compute())
        kernel.start(self._drain())
        kernel.start(self._vector())
        kernel.run()
        if stuck := self._sequencer.stuck:
            raise RuntimeError(
                f"the model stops at cycle {kernel.now:g} with commands left: {', '.join(stuck)}"
            )
        timing = self.timing
        if self._first_position is not None:
            timing.head = self._first_position - timing.fetch
            timing.tail = kernel.now + _END - self._last_start - self._stride
        timing.cycles = kernel.now + _END
        timing.read_beats, timing.write_beats = self.reads.words, self.writes.words
        return timing

    # -- engines

    def _load(self):
        engine = self._engines["load"]
        walker = 0
        while True:
            fields, _, tickets, seen = yield from self._sequencer.next("load")
            cost = load_cost(self.config, fields)
            take = max(seen + 1, walker)
            yield take
            if fields["wait_drain"]:
                yield from self._finished("drain", tickets[0])
            if fields["wait_vector"]:
                yield from self._finished("vector", tickets[1])
            take = self.kernel.now
            engine.take(take)
            size = cost.held * min(self.config.bus_bytes, self.config.vector_bytes)
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
            fields, _, _, seen = yield from self._sequencer.next("compute")
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
            timing.lost["stretch"] += n * stride - cost.busy
            timing.mac_busy += cost.busy
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
                self.drain.full.append(end + latency)
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
            fields, _, _, seen = yield from self._sequencer.next("drain")
            yield from self.drain.take(drain_cost(self.config, fields), seen)
            engine.take(self.kernel.now)

    def _vector(self):
        engine = self._engines["vector"]
        while True:
            fields, layout, tickets, seen = yield from self._sequencer.next("vector")
            yield max(self.kernel.now, seen + _GATE)
            yield from self._finished("drain", tickets[0])
            while self.vector.busy:
                yield self.vector.quiet
            engine.take(self.kernel.now)
            yield from self.vector.work(layout, fields)
