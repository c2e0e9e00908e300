"""The memory reader and writer: requests of clients in turn, bursts in order."""

from collections import deque

from .turns import IN_FLIGHT, Client, Side, burst_words, bursts_of

__all__ = ["Client", "ReadSide", "WriteSide", "burst_words", "bursts_of"]

_QUEUE = 512  # of a port of the writer
_AHEAD = 128  # `memory_reader.AHEAD_WORDS`
_TAKEN = 16  # requests that a port of the memory takes
_HAND_OVER = 4  # from the last beat of a word to the client
_TO_PORT = 5  # from a burst's last word to its first beat on the port
_ANSWER = 4  # from the memory's answer to the client


class ReadSide(Side):
    """Bursts go out in the order of the turns; words come back to the clients in that order.

    Two bursts a port of a long request are moved as one, over all ports at once.

    Parameters
    ----------
    kernel : Kernel
    config : AcceleratorConfig
    bus : Bus
    latency : int
        Of the memory.
    """

    def __init__(self, kernel, config, bus, latency):
        self._latency = latency
        self._order = deque()
        self._outstanding = [0] * config.ports
        self._delivered = 0
        super().__init__(kernel, config, bus, max(_AHEAD, 2 * burst_words(config)))

    def _units(self, bursts):
        """(words, bursts, over all ports) of what is moved at once."""
        ports, at, count = self._ports, 0, len(bursts)
        while at < count:
            whole = 2 * ports
            if count - at >= whole and all(part == self._size for part in bursts[at:at + whole]):
                yield self._size * whole, whole, True
                at += whole
            else:
                yield bursts[at], 1, ports == 1
                at += 1

    def _issue(self):
        kernel, free = self.kernel, 0
        while True:
            while not self._behind:
                yield self._moved
            due, bursts, done = self._behind[0]
            yield max(due, free)
            left = len(bursts)
            for words, count, spread in self._units(bursts):
                each = words // self._ports if spread else self._size
                while True:
                    port = self._best_port()
                    least = min(self._room) if spread and self._ports > 1 else self._room[port]
                    most = max(self._outstanding) if spread else self._outstanding[port]
                    if (
                        self._flight + count <= IN_FLIGHT
                        and least >= each
                        and most < _TAKEN
                    ):
                        break
                    yield self._moved
                    yield max(kernel.now, free)
                self._start(port, words, count, spread, done)
                free = kernel.now + count
                left -= count
                if not left:
                    self._behind.popleft()
                yield free
                self._left(words)

    def _start(self, port, words, count, spread, done):
        ports = range(self._ports) if spread else (port,)
        each = words // len(ports)
        self._flight += count
        self.words += words
        entry = [len(ports), None, 0, words, count, ports, done]
        self._order.append(entry)

        def come(port, start, end):
            self._outstanding[port] -= max(1, count // len(ports))
            entry[0] -= 1
            entry[1] = start if entry[1] is None else min(start, entry[1])
            entry[2] = end
            if not entry[0]:
                self._deliver()

        due = self.kernel.now + self._latency
        for p in ports:
            self._room[p] -= each
            self._outstanding[p] += max(1, count // len(ports))
            self.bus.read(
                p, due, each * self._ports, lambda start, end, p=p: come(p, start, end)
            )

    def _deliver(self):
        while self._order and not self._order[0][0]:
            _, first, last, words, count, ports, done = self._order.popleft()
            first += _HAND_OVER + (self._ports - 1 if len(ports) < self._ports else 0)
            start = max(self._delivered, first)
            end = max(start + words, last + _HAND_OVER)
            end = done(start, end, words) or end
            self._delivered = end
            if count > 1:  # the first half of them is through before
                words, count = words // 2, count // 2
                self.kernel.at(end - words, lambda w=words, c=count, p=ports: self._free(w, c, p))
            self.kernel.at(end, lambda w=words, c=count, p=ports: self._free(w, c, p))

    def _free(self, words, count, ports):
        self._flight -= count
        for p in ports:
            self._room[p] += words // len(ports)
        self._moved.fire()


class WriteSide(Side):
    """Words move to the ports' queues one burst after another; answers are taken in that order."""

    def __init__(self, kernel, config, bus, latency):
        self._latency = latency
        self._order = deque()
        self._unanswered = [0] * config.ports
        super().__init__(kernel, config, bus, max(_QUEUE, 4 * burst_words(config)))

    def _issue(self):
        kernel, free = self.kernel, 0
        while True:
            while not self._behind:
                yield self._moved
            due, bursts, (moved, done) = self._behind[0]
            yield max(due, free)
            for number, words in enumerate(bursts):
                while True:
                    port = self._best_port()
                    if self._flight < IN_FLIGHT and self._room[port] >= self._size:
                        break
                    yield self._moved
                    yield max(kernel.now, free)
                self._flight += 1
                self._room[port] -= words
                self.words += words
                free = kernel.now + words
                entry = [None, done if number == len(bursts) - 1 else None]
                self._order.append(entry)
                self._unanswered[port] += 1
                yield free
                moved(words)
                self.bus.write(
                    port,
                    free + _TO_PORT,
                    words * self._ports,
                    lambda start, end, e=entry, w=words, p=port: self._sent(e, w, p, end),
                )
            self._behind.popleft()
            self._left(sum(bursts))

    def _sent(self, entry, words, port, end):
        self._room[port] += words
        self._moved.fire()
        self.kernel.at(end + self._latency, lambda: self._answer(entry, port))

    def _answer(self, entry, port):
        entry[0] = self.kernel.now
        self._unanswered[port] -= 1
        while self._order and self._order[0][0] is not None:
            _, done = self._order.popleft()
            self._flight -= 1
            if done:
                self.kernel.at(self.kernel.now + _ANSWER, done)
        self._moved.fire()
