"""What streams from run readers to run writers: runs of commands, requests that they complete."""

from typing import NamedTuple

from .memory import bursts_of

__all__ = ["Output", "Stream"]

_LINE = 64
_EVEN = 512  # bus words: more than any request, and a multiple of it


class Stream(NamedTuple):
    """A run of each plane of a command, one behind the other in memory.

    Members
    -------
    unit : int
        Number of its reader or writer.
    line : int
        Where the first one starts, in lines of 64 bytes.
    size : int
        Bytes of a run.
    step : int
        Bytes from one run to the next.
    """

    unit: int
    line: int
    size: int
    step: int = 0

    def run(self, plane, bus):
        """(first word modulo a multiple of all requests, words, bytes before it in that word)."""
        begin = self.line * _LINE + plane * self.step
        first = begin // bus
        return first % _EVEN, -(-(begin + self.size) // bus) - first, begin % bus


class Output:
    """A run that is written: which of its requests are complete.

    Parameters
    ----------
    writer : RunWriter
    stream : Stream
    plane : int
    bus : int
        Bytes of a bus word.
    """

    def __init__(self, writer, stream, plane, bus):
        first, words, before = stream.run(plane, bus)
        self.writer, self._requests = writer, []
        done = 0
        for part in bursts_of(first, words, writer.size):
            done += part
            share = min(1, (done * bus - before) / stream.size)
            self._requests.append((share, (first + done - part) % _EVEN, part))
        self._requests.reverse()

    @property
    def next_share(self):
        """Share of the run with which its next request is complete; beyond 1: there is none."""
        return self._requests[-1][0] if self._requests else 2

    def push(self, time):
        """Hand over the next request; its last word is complete at `time`."""
        _, first, words = self._requests.pop()
        self.writer.push(first, words, time)
