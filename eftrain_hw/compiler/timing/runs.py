"""Run readers and writers: between the memory side and the engines that stream."""

from collections import deque

from .kernel import Event
from .memory import burst_words, bursts_of

__all__ = ["RunReader", "RunWriter"]

_RUN = 3  # from a run to its request
_ITEM = 3  # from a word to its first item
_PUSH = 3  # from the last item of a request to the request
_REQUESTS_AHEAD = 15


class RunReader:
    """Asks for the words of runs as its queue has room; counts what has come.

    Parameters
    ----------
    side : ReadSide
    config : AcceleratorConfig
    depth : int
        Bus words of its queue; requests are of a quarter of it, 16 at most.
    urgent : bool
        It is served before the other clients.

    Members
    -------
    size : int
        Words of the longest request; longer runs are cut at its multiples.
    """

    def __init__(self, side, config, depth=32, urgent=False):
        self._kernel, self._client = side.kernel, side.client(urgent=urgent)
        self._burst, self.size = burst_words(config), min(16, depth // 4)
        self._free = depth
        self._runs, self._news = deque(), Event(side.kernel)
        self._came, self._taken, self._latest = 0, 0, (0, 0, 0)
        self._arrived = Event(side.kernel)
        side.kernel.start(self._ask())

    def run(self, first, words):
        """A run of so many words, from word number `first` on."""
        self._runs.append((self._kernel.now + _RUN, first, words))
        self._news.fire()

    def use(self, words):
        """So many words have been used, at present."""
        self._free += words
        self._news.fire()

    def come(self, words):
        """Wait for so many words more; then (time, time) at which the first and last can be used.

        Known of the request that came last: what came before is there, at time 0. That request was
        noted when all of it had come: the times may be past.
        """
        self._taken += words
        while self._came < self._taken:
            yield self._arrived
        first, last, latest = self._latest
        left = self._came - self._taken
        if left >= latest:
            return 0, 0
        each = (last - first) / latest
        return max(first, last - each * (left + words)), last - each * left

    def _ask(self):
        while True:
            while not self._runs:
                yield self._news
            due, first, words = self._runs.popleft()
            yield due
            for part in bursts_of(first, words, self.size):
                while self._free < part or not self._client.room:
                    yield self._news if self._free < part else self._client.taken
                self._free -= part
                self._client.ask(bursts_of(first, part, self._burst), self._come)
                first += part
                yield self._kernel.now + 1

    def _come(self, start, end, words):
        def note():
            self._came += words
            self._latest = start + _ITEM, end + _ITEM, words
            self._arrived.fire()

        self._kernel.at(end + _ITEM, note)


class RunWriter:
    """Collects words, asks for requests to be written.

    Parameters
    ----------
    side : WriteSide
    config : AcceleratorConfig
    depth : int
        Bus words of its queue; requests are of half of it at most.

    Members
    -------
    size : int
        Words of the longest request; longer runs are cut at its multiples.
    level : int
        Words in its queue, or promised.
    outstanding : int
        Requests that are not answered.
    moved : Event
        Words have left the queue, or a request is answered.
    """

    def __init__(self, side, config, depth=32):
        self._kernel, self._client = side.kernel, side.client()
        self._burst, self._depth, self.size = burst_words(config), depth, min(256, depth // 2)
        self._requests, self._news = deque(), Event(side.kernel)
        self.level = self.outstanding = self.waiting = 0
        self.moved = Event(side.kernel)
        self.changed = None
        side.kernel.start(self._ask())

    def room(self, words):
        """Whether so many words fit, and their request."""
        return self.level + words <= self._depth and self.waiting < _REQUESTS_AHEAD

    def push(self, first, words, time):
        """A request's words: the last of them is complete at `time`."""
        self.level += words
        self.waiting += 1
        self.outstanding += 1
        self._requests.append((time + _PUSH, first, words))
        self._news.fire()

    def _ask(self):
        while True:
            while not self._requests:
                yield self._news
            due, first, words = self._requests.popleft()
            yield due
            while not self._client.room:
                yield self._client.taken
            self.waiting -= 1
            bursts = bursts_of(first, words, self._burst)
            self._client.ask(bursts, (self._left, self._answered))
            yield self._kernel.now + 1

    def _left(self, words):
        self.level -= words
        self.moved.fire()

    def _answered(self):
        self.outstanding -= 1
        self.moved.fire()
        if not self.outstanding and self.changed:
            self.changed()
