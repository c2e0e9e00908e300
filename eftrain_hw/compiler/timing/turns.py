"""The turns of clients: requests that read and write sides take one by one."""

from collections import deque

from .kernel import Event

__all__ = ["Client", "Side", "burst_words", "bursts_of"]

IN_FLIGHT = 32  # `memory_reader.BURSTS_IN_FLIGHT`, and the writer's
_CROWD = 32  # bus words behind the turns from which on only the urgent client has its turn
_BEHIND = 6  # requests that have had their turn: in registers, checked, being split
_TURN = 6  # from a request to its address on the port; one less for who was served last


def burst_words(config):
    """Bus words of the longest burst."""
    return max(1, config.max_burst_beats // config.ports)


def bursts_of(first, words, size):
    """Words of the bursts of a request that starts at word `first`: cut at multiples of `size`."""
    parts = []
    while words > 0:
        part = min(words, size - first % size)
        parts.append(part)
        first += part
        words -= part
    return tuple(parts)


class Client:
    """Requests of one client.

    Parameters
    ----------
    side : ReadSide or WriteSide
    places : int
        Requests that the client holds until they have had their turn.
    urgent : bool
        It is served before the others.

    Members
    -------
    taken : Event
        A request has had its turn.
    """

    def __init__(self, side, places=1, urgent=False):
        self._side, self._places, self.urgent = side, places, urgent
        self.waiting = deque()
        self.taken = Event(side.kernel)

    @property
    def room(self):
        return len(self.waiting) < self._places

    def ask(self, bursts, done):
        """Ask for bursts (words of each).

        `done(start, end, words)` is called for each part that has been handed over, words from
        `start` to `end`; of a write, `done(end)` once when all is answered.
        """
        self.waiting.append((bursts, done, sum(bursts)))
        self._side.asked.fire()


class Side:
    """What reader and writer have in common: the turns of the clients.

    Where one of them is urgent the others are served only while few words are between the clients
    and the ports (`dma.burst_source`).
    """

    def __init__(self, kernel, config, bus, queue):
        self.kernel, self.bus = kernel, bus
        self.asked, self._moved = Event(kernel), Event(kernel)
        self._ports, self._clients, self._urgent = config.ports, [], None
        self._size = burst_words(config)
        self._behind = deque()
        self._flight = self._inside = 0
        self._room = [queue] * config.ports
        self.words = 0
        kernel.start(self._turns())
        kernel.start(self._issue())

    def client(self, places=1, urgent=False):
        client = Client(self, places, urgent)
        self._clients.append(client)
        if urgent:
            self._urgent = client
        return client

    def _turns(self):
        clients, behind, turn = self._clients, self._behind, 0
        while True:
            found = self._next(turn) if len(behind) < _BEHIND else None
            if found is None:
                yield self.asked
                continue
            client = clients[found]
            bursts, done, words = client.waiting.popleft()
            behind.append((self.kernel.now + _TURN - (found == turn), bursts, done))
            turn = found
            self._inside += words
            client.taken.fire()
            self._moved.fire()
            yield self.kernel.now + 1

    def _next(self, turn):
        """Number of the client that is served after client `turn`, or None."""
        clients, urgent = self._clients, self._urgent
        if urgent is not None:
            if urgent.waiting:
                return clients.index(urgent)
            if self._inside >= _CROWD:
                return None
        for number in (*range(turn + 1, len(clients)), *range(turn + 1)):
            if clients[number].waiting:
                return number
        return None

    def _left(self, words):
        """So many words have gone to the ports."""
        self._inside -= words
        self.asked.fire()

    def _best_port(self):
        room = self._room
        return room.index(max(room))
