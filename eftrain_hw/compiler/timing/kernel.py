"""Events in the order of time: processes are generators that wait for a time or for a signal."""

from collections import deque
from heapq import heappop, heappush
from types import GeneratorType

__all__ = ["Event", "Kernel"]


class Event:
    """What processes wait for (`yield event`); `fire` lets all of them go on.

    A process that goes on looks again at what it waits for: an event carries no value.
    """

    __slots__ = ("_kernel", "_waiting")

    def __init__(self, kernel):
        self._kernel, self._waiting = kernel, []

    def wait(self, process):
        self._waiting.append(process)

    def fire(self):
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            self._kernel.ready.extend(waiting)


class Kernel:
    """Runs processes. A process yields the time (in cycles) at which it goes on, or an `Event`.

    Members
    -------
    now : float
        Cycles.
    ready : deque
        What goes on in this cycle, behind all that was meant for it before it came.
    """

    __slots__ = ("_count", "_heap", "now", "ready")

    def __init__(self):
        self.now = 0
        self.ready = deque()
        self._heap, self._count = [], 0

    def at(self, time, process):
        """Let a process go on, or call a function, at a time that is not past."""
        if time > self.now:
            self._count += 1
            heappush(self._heap, (time, self._count, process))
        else:
            self.ready.append(process)

    def start(self, process):
        self.at(self.now, process)

    def run(self):
        """Go on until nothing happens any more."""
        heap, ready, now = self._heap, self.ready, self.now
        while heap or ready:
            if ready and not (heap and heap[0][0] <= now):
                process = ready.popleft()
            else:
                now, _, process = heappop(heap)
                self.now = now
            if type(process) is not GeneratorType:
                process()
                continue
            for wanted in process:
                if type(wanted) is Event:
                    wanted._waiting.append(process)
                    break
                if wanted > now:
                    self._count += 1
                    heappush(heap, (wanted, self._count, process))
                    break
