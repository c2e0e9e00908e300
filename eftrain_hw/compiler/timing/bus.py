"""The memory behind the ports: bursts of all channels share its bandwidth."""

from collections import deque
from functools import lru_cache
from math import inf

__all__ = ["Bus", "rates"]

_DONE = 1e-6  # beats


@lru_cache(maxsize=1024)
def rates(reads, writes, beats):
    """Beats a cycle of each read and of each write channel that is busy.

    A channel moves a beat a cycle at most, the memory `beats` in all. In every other cycle writes
    come first, and reads get what those leave, in the others it is the other way round: what the
    simulated memory does.

    Parameters
    ----------
    reads, writes : int
        Busy channels.
    beats : number

    Returns
    -------
    (float, float)
    """
    if reads + writes <= beats:
        return 1, 1
    first_writes, first_reads = min(writes, beats), min(reads, beats)
    all_reads = first_reads + min(reads, max(0, beats - writes))
    all_writes = first_writes + min(writes, max(0, beats - first_reads))
    return all_reads / 2 / max(1, reads), all_writes / 2 / max(1, writes)


class _Channel:
    """Bursts of one port in one direction, in order: (not before, beats, call at the end)."""

    __slots__ = ("bursts", "busy", "left", "start", "rate", "reads")

    def __init__(self, reads):
        self.bursts, self.busy = deque(), False
        self.left, self.start, self.rate, self.reads = 0, 0, 1, reads


class Bus:
    """Moves bursts over the channels of the ports.

    Parameters
    ----------
    kernel : Kernel
    ports : int
    beats : number
        Beats of one port that the memory moves in a cycle, reads and writes together.
    """

    def __init__(self, kernel, ports, beats):
        self._kernel, self._beats = kernel, beats
        self._reads = [_Channel(True) for _ in range(ports)]
        self._writes = [_Channel(False) for _ in range(ports)]
        self._channels = [*self._reads, *self._writes]
        self._last, self._following = 0, inf

    def read(self, port, due, beats, done):
        """Move a burst of reads from `due` on at the earliest; `done(start, end)` at its end."""
        self._add(self._reads[port], due, beats, done)

    def write(self, port, due, beats, done):
        """The same for writes."""
        self._add(self._writes[port], due, beats, done)

    def _add(self, channel, due, beats, done):
        channel.bursts.append((due, beats, done))
        if not channel.busy and len(channel.bursts) == 1 and due < self._following:
            self._following = due
            self._kernel.at(due, self._due)

    def _due(self):
        """What follows has come, unless something else was put before it."""
        if self._kernel.now >= self._following:
            self._update()

    def _update(self):
        kernel = self._kernel
        now, passed = kernel.now, kernel.now - self._last
        self._last = now
        finished, reads, writes = None, 0, 0
        for channel in self._channels:
            if channel.busy:
                channel.left -= passed * channel.rate
                if channel.left <= _DONE:
                    channel.busy = False
                    finished = finished or []
                    finished.append((channel.bursts.popleft()[2], channel.start))
            if not channel.busy and channel.bursts and channel.bursts[0][0] <= now:
                channel.busy, channel.start = True, now
                channel.left = channel.bursts[0][1]
            if channel.busy:
                if channel.reads:
                    reads += 1
                else:
                    writes += 1
        read, write = rates(reads, writes, self._beats)
        following = inf
        for channel in self._channels:
            if channel.busy:
                channel.rate = read if channel.reads else write
                time = now + channel.left / channel.rate
            elif channel.bursts:
                time = channel.bursts[0][0]
            else:
                continue
            if time < following:
                following = time
        self._following = following
        if following < inf:
            kernel.at(following, self._due)
        if finished:
            for done, start in finished:
                done(start, now)
