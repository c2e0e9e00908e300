"""Whole programs from the times of their descriptors: the vector unit works beside the array."""

__all__ = ["program_cycles"]

_DONE = 6  # from the last answer to the program's end
_LEAST = 0.3  # of its speed that the vector unit keeps beside the array


class _VectorQueue:
    """The vector unit's commands: each has a time from which it may start, and work to do."""

    def __init__(self):
        self.now = 0
        self.work = []  # [may start, cycles alone, share of the bus alone]

    def add(self, start, cycles, share):
        self.work.append([start, cycles, share])

    def run(self, until, array_share=0):
        """Go on until a time; returns the cycles by which the array is slowed down meanwhile."""
        slower = 0
        while self.work and self.now < until:
            start, cycles, share = self.work[0]
            if start > self.now:
                self.now = min(start, until)
                continue
            speed = min(1, max(_LEAST, (1 - array_share) / share))
            step = min(until - self.now, cycles / speed)
            slower += step * max(0, array_share + speed * share - 1)
            self.work[0][1] -= step * speed
            self.now += step
            if self.work[0][1] <= 1e-6:
                del self.work[0]
        self.now = max(self.now, until)
        return slower

    def finish(self, now):
        """When all of it is done, with nothing beside it."""
        self.run(now)
        for start, cycles, _ in self.work:
            now = max(now, start) + cycles
        self.work.clear()
        self.now = now
        return now


def program_cycles(times):
    """Cycles of a whole program: `DescriptorTime` of each descriptor, in the order of issue.

    The array's descriptors come one after another, and so do the vector unit's. Each waits for what
    it reads; where both work, the array takes what it needs of the bus and the vector unit what is
    left, but a share of its speed in any case.
    """
    if not times:
        return 0
    vector = _VectorQueue()
    last = drained = times[0].fetch  # last position, last answer
    for time in times:
        body = (time.array_cycles or time.cycles) - time.fetch
        beats = time.dram_beats - sum(count * cost.beats for count, cost in time.riding)
        share = min(1, max(0, beats) / body)
        if not time.array:
            vector.add(drained, body, share)
            continue
        begin = last
        if time.waits_drain:
            begin = max(begin, drained + time.head)
        if time.waits_vector and vector.work:
            begin = max(begin, vector.finish(vector.now) + time.head)
        vector.run(begin)
        end = begin
        parts = max((count for count, _ in time.riding), default=1)
        for part in range(parts):
            left = (body - time.head - time.tail) / parts
            while left > 1:
                end += left
                left = vector.run(end, share)
            for count, cost in time.riding:
                if part * count % parts < count:
                    vector.add(end + time.tail, cost.cycles, min(1, cost.beats / cost.cycles))
        last, drained = end, end + time.tail
    return max(drained, vector.finish(vector.now)) + _DONE
