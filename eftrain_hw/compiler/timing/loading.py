"""The loader: tiles are walked, asked for, and written to the buffers."""

from collections import deque

from .kernel import Event
from .memory import burst_words, bursts_of

__all__ = ["Loader", "Slots"]

_CHUNKS, _ROUTES = 33, 64  # chunks and requests whose data have not come
_AHEAD = 32  # bus words of elements that wait for the fill side
_PIECE = 4  # from a word to its write
_FIRST = 3  # from a slot to the first request


class Slots:
    """Two slots of a buffer, used in turn.

    Members
    -------
    published : list of (float, bool)
        When each tile was handed over, and whether the bus made it late.
    released : list of float
    changed : Event
    """

    def __init__(self, kernel):
        self.published, self.released, self._acquired = [], [], 0
        self.changed = Event(kernel)

    def publish(self, time, late):
        self.published.append((time, late))
        self.changed.fire()

    def release(self, time):
        self.released.append(time)
        self.changed.fire()

    def acquire(self):
        """Wait for a free slot."""
        self._acquired += 1
        number = self._acquired - 3
        while len(self.released) <= number:
            yield self.changed
        if number >= 0:
            yield self.released[number]


class Loader:
    """Carries out load commands (`engines.Load`).

    Parameters
    ----------
    side : ReadSide
    config : AcceleratorConfig

    Members
    -------
    slots : dict
        `Slots` of "moving" and "stationary".
    end : float
        When the last write to a buffer is made.
    """

    def __init__(self, side, config):
        kernel = self._kernel = side.kernel
        self._client = side.client(places=2)
        self._burst = burst_words(config)
        self.slots = {name: Slots(kernel) for name in ("moving", "stationary")}
        self._walked, self._given = deque(), Event(kernel)
        self._walking, self._walker_free = False, Event(kernel)
        self._chunks = self._routes = 0
        self._progress = Event(kernel)
        self.end = 0
        kernel.start(self._ask())

    def walk(self, cost, take):
        """Walk a command that is taken at `take`, until the walker is free."""
        kernel = self._kernel
        yield take + cost.setup
        if cost.acquire:
            yield from self.slots[cost.destination].acquire()
        start = kernel.now + _FIRST
        self._walking = True
        self._walked.append((cost, start))
        self._given.fire()
        while self._walking:
            yield self._walker_free
        yield max(kernel.now, start - 1 + cost.walk)

    def _ask(self):
        kernel, client = self._kernel, self._client
        while True:
            while not self._walked:
                yield self._given
            cost, start = self._walked.popleft()
            entry, before = None, -1
            for number, request in enumerate(cost.requests):
                if request.offset != before:  # a block more; the walker is one ahead at most
                    before = request.offset
                    due = start + before
                    if kernel.now > due:
                        start += kernel.now - due
                    yield due
                if number >= cost.last_item:
                    self._free_walker()
                if request.gather:
                    yield kernel.now + request.gather
                while (
                    self._chunks + request.elements > _CHUNKS
                    or self._routes >= _ROUTES
                    or not client.room
                ):
                    yield self._progress if client.room else client.taken
                self._chunks += request.elements
                self._routes += 1
                entry = [request, request.words, cost if number == len(cost.requests) - 1 else None]
                client.ask(
                    bursts_of(request.first, request.words, self._burst),
                    lambda first, last, words, e=entry: self._come(e, first, last, words),
                )
                yield kernel.now + 1
            if entry is None:  # all of it outside the map
                self.end = max(self.end, start + _PIECE) + cost.padding
                self._publish(cost, False)
            self._free_walker()

    def _free_walker(self):
        if self._walking:
            self._walking = False
            self._walker_free.fire()

    def _come(self, entry, start, end, words):
        """Words come; returns when the loader has taken them, which others have to wait for."""
        request, left, cost = entry
        entry[1] = left = left - words
        if request.elements:
            each = request.fill / request.words
            if left + words == request.words:
                self.end += request.padding
            late = start + _PIECE >= self.end
            self.end = max(max(self.end, start + _PIECE) + words * each, end + _PIECE)
            end = max(end, self.end - _PIECE - _AHEAD * each)
        if not left:
            time = self.end - _PIECE if request.elements else end
            self._kernel.at(time, lambda: self._free(request.elements))
            if cost is not None:
                self.end += cost.padding
                self._publish(cost, late)
        return end

    def _free(self, elements):
        self._routes -= 1
        self._chunks -= elements
        self._progress.fire()

    def _publish(self, cost, late):
        if cost.publish:
            self.slots[cost.destination].publish(self.end + 1, late)
