"""Events in the order of time: processes are generators that wait for a time or for a signal."""

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
            for process in waiting:
                self._kernel.at(self._kernel.now, process)


class Kernel:
    """Runs processes. A process yields the time (in cycles) at which it goes on, or an `Event`.

    Members
    -------
    now : float
        Cycles.
    """

    def __init__(self):
        self.now = 0
        self._heap, self._count = [], 0

    def at(self, time, process):
        """Let a process go on, or call a function, at a time that is not past."""
        self._count += 1
        heappush(self._heap, (max(time, self.now), self._count, process))

    def start(self, process):
        self.at(self.now, process)

    def run(self):
        """Go on until nothing happens any more."""
        heap = self._heap
        while heap:
            self.now, _, process = heappop(heap)
            if type(process) is not GeneratorType:
                process()
                continue
            for wanted in process:
                if type(wanted) is Event:
                    wanted.wait(process)
                    break
                if wanted > self.now:
                    self.at(wanted, process)
                    break
