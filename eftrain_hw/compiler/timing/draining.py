"""The drain: sums are read, masked, encoded and stored."""

from collections import deque

from .constants import drain_latency
from .kernel import Event
from .runs import RunReader, RunWriter

__all__ = ["Drain"]

_RUNS = 34  # that are announced and not stored: 32 in a queue, one in work, one offered
_ANNOUNCE = 2  # from taking a command to its first run
_STEP = 3  # from taking a command to its first step
_BANK = 3  # between two commands where the second one acquires a bank


class Drain:
    """Carries out drain commands (`engines.Drain`).

    Parameters
    ----------
    reads, writes : ReadSide, WriteSide
    config : AcceleratorConfig

    Members
    -------
    full : list of float
        When each bank of sums was handed over.
    given : list of float
        When each was given back.
    changed : Event
        Something was added to them.
    """

    def __init__(self, reads, writes, config):
        self._kernel, self._config = reads.kernel, config
        self._mask = RunReader(reads, config, depth=64, urgent=True)
        self._elements = RunWriter(writes, config, depth=64)
        self._exponents = RunWriter(writes, config)
        self.full, self.given, self.changed = [], [], Event(reads.kernel)
        self._announced, self._news = deque(), Event(reads.kernel)
        self._said, self._stored = 0, 0  # runs
        self._run_ends = Event(reads.kernel)
        self._walks, self._walk_given = deque(), Event(reads.kernel)
        self._walked = Event(reads.kernel)
        self._waiting = 0  # commands that are not walked to the end
        self._walk_end = 0
        self.quiet = Event(reads.kernel)
        self._elements.changed = self._exponents.changed = self.quiet.fire
        reads.kernel.start(self._announce())
        reads.kernel.start(self._walk())

    @property
    def busy(self):
        """Whether anything is left to do or to be answered."""
        return bool(
            self._waiting or self._elements.outstanding or self._exponents.outstanding
        )

    def take(self, cost, seen):
        """Wait until a command that is seen at `seen` can be taken."""
        kernel = self._kernel
        yield seen
        # one is walked, one more waits; the runs of the one before are announced
        while self._waiting > 1 or self._announced:
            yield self._walked
        if cost.acquire:
            while self._waiting:
                yield self._walked
            yield self._walk_end
            number = len(self.given)
            while len(self.full) <= number:
                yield self.changed
            yield self.full[number]
        self._waiting += 1
        self._announced.append((kernel.now + _ANNOUNCE, cost))
        self._walks.append((kernel.now + _STEP, cost))
        self._news.fire()
        self._walk_given.fire()

    def _announce(self):
        kernel = self._kernel
        while True:
            while not self._announced:
                yield self._news
            due, cost = self._announced[0]
            yield due
            for run in cost.runs:
                while self._said >= self._stored + _RUNS:
                    yield self._run_ends
                self._said += 1
                if run.mask:
                    self._mask.run(*run.mask)
                yield kernel.now + 1
            self._announced.popleft()
            self._walked.fire()

    def _walk(self):
        kernel = self._kernel
        while True:
            while not self._walks:
                yield self._walk_given
            due, cost = self._walks.popleft()
            latency = drain_latency(self._config, cost.raw)
            yield due
            for run in cost.runs:
                for part in run.parts:
                    end = kernel.now + part.steps * cost.interval
                    if part.mask_words:
                        start = kernel.now
                        first, last = yield from self._mask.come(part.mask_words)
                        if kernel.now > start:  # it came while the drain waited
                            start = max(start, first)
                            each = part.steps / part.mask_words
                            end = max(start + part.steps, last + each - 1)
                    yield end
                    if part.mask_words:
                        self._mask.use(part.mask_words)
                    if part.elements:
                        yield from self._push(self._elements, part.elements, latency)
                    if part.exponents:
                        yield from self._push(self._exponents, part.exponents, latency)
                kernel.at(kernel.now + latency, self._run_stored)
            self._waiting -= 1
            self._walk_end = kernel.now
            if cost.release:
                self.given.append(kernel.now + 2)
                self.changed.fire()
            self._walked.fire()

    def _run_stored(self):
        self._stored += 1
        self._run_ends.fire()

    def _push(self, writer, request, latency):
        """A request's words are on their way to the writer; waits until the next ones have room."""
        first, words = request
        writer.push(first, words, self._kernel.now + latency)
        while not writer.room(0):
            yield writer.moved
