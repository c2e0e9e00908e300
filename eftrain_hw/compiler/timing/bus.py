"""The memory bus: who takes how much of it, when."""

from collections import deque

__all__ = ["Bus"]

_FAIR = 0.5  # of the bus that each side gets where both want all of it
_KEPT = 16  # transfers of a side that are remembered
_DONE = 1e-9


class Bus:
    """Shares one bus beat a cycle between two sides: loads, and everything that drains.

    Each side's transfers come one after another. A transfer goes as fast as it can and as the
    other side's transfers, of which those that were asked for before are known, leave room, but for
    half of the bus, which it gets in any case. What that takes away from the other side delays the
    other side's next transfer.
    """

    def __init__(self):
        self._taken = {"load": deque(), "drain": deque()}
        self._owed = {"load": 0, "drain": 0}

    def delay(self, side):
        """Put off the end of a side's last transfer by what the other has taken away from it.

        Returns
        -------
        float
            Cycles by which it ends later than `transfer` had said.
        """
        owed, own = self._owed[side], self._taken[side]
        if owed and own:
            start, end, *rates = own[-1]
            own[-1] = (start, end + owed, *rates)
        self._owed[side] = 0
        return owed

    def behind(self, side, time):
        """When data come that are asked for so as to come at `time`, behind a side's transfers."""
        for begin, end, *_ in self._taken[side]:
            if begin <= time < end:
                time = end
        return time

    def transfer(self, side, start, beats, cycles, *, mask_beats=0, mask_rate=1):
        """Move `beats` from `start` on, in `cycles` at best; returns the end.

        Parameters
        ----------
        side : str
            "load" or "drain".
        start, beats, cycles : number
        mask_beats : number
            Of those, beats of a mask that a drain has to read before it can write.
        mask_rate : number
            Beats of a mask that come in a cycle while this load goes on.

        Returns
        -------
        float
        """
        if beats <= 0:
            return start + cycles
        cycles = max(cycles, beats)
        own = self._taken[side]
        other = "drain" if side == "load" else "load"
        if own:
            start = max(start, own[-1][1] + self._owed[side])
        self._owed[side] = 0
        fastest = beats / cycles
        # what a beat of a mask allows to be moved
        masked = beats / mask_beats if mask_beats else float("inf")
        now, left, owed = start, beats, 0
        for begin, end, rate, behind in self._taken[other]:
            if end <= now:
                continue
            now, left, owed = _alone(now, left, owed, begin - now, fastest)
            if left <= _DONE:
                break
            speed = min(fastest, max(_FAIR, 1 - rate))
            speed = min(speed, min(fastest, behind * masked) * rate + fastest * (1 - rate))
            step = min(end - now, left / max(speed, _DONE))
            left -= step * speed
            now += step
            owed += step * max(0, speed + rate - 1)
            if left <= _DONE:
                break
        if left > _DONE:
            now, left, _ = _alone(now, left, owed, float("inf"), fastest)
        self._owed[other] = owed
        rate = fastest if side == "drain" else beats / (now - start)
        own.append((start, now, rate, mask_rate))
        if len(own) > _KEPT:
            own.popleft()
        return now


def _alone(now, left, owed, room, fastest):
    """Go on for `room` cycles without a known transfer of the other side: (now, left, owed).

    What is owed to the other side is still moved; it slows down who wants more than half.
    """
    if room <= 0:
        return now, left, owed
    if owed > 0 and fastest > _FAIR:
        step = min(room, owed / _FAIR, left / _FAIR)
        now, left, owed, room = now + step, left - step * _FAIR, owed - step * _FAIR, room - step
        if left <= _DONE or room <= 0:
            return now, left, owed
    step = min(room, left / fastest)
    return now + step, left - step * fastest, owed
