"""What a step's cycles went to, descriptor by descriptor: the step log, read and named."""

from dataclasses import dataclass, field

from ..csr.step_log_format import (
    AT_WORK,
    CAUSES,
    CAUSES_AT,
    LANES,
    STEP_END,
    VALUE_BITS,
)

__all__ = ["DescriptorProfile", "Profile", "Span", "read_profile"]

_RANGE = 1 << VALUE_BITS
_MARKS = 16
_CAUSES = tuple(CAUSES)


@dataclass(frozen=True)
class Span:
    """An engine's work on a descriptor.

    Members
    -------
    start, end : int
        Cycles from the start of the step: of its first command, and when it fell idle last or
        turned to the next descriptor. They come up to `LATE` cycles late.
    finished : bool
        False where the engine was at work when the step ended: after an error, or at its very end.
    """

    start: int
    end: int
    finished: bool = True

    @property
    def cycles(self):
        return self.end - self.start


@dataclass
class DescriptorProfile:
    """Where the time of a descriptor went.

    Engines work on several descriptors at once; the array works on one at a time. So the spans of
    descriptors overlap, and the causes do not: a descriptor's go from its first position to that of
    the next one that needs the array (the first one's from the start of the step, the last one's to
    its end), and those of all descriptors sum to the cycles of the step.

    Members
    -------
    index : int
        Its number in the program.
    name : str
        Such as "0.Conv2d forward".
    lanes : dict
        `Span` by engine: sequencer, load, compute, drain, vector; those that worked on it.
    causes : dict
        Cycles of the array by cause (`csr.step_log_format.CAUSES`); empty without compute commands.
    """

    index: int
    name: str
    lanes: dict = field(default_factory=dict)
    causes: dict = field(default_factory=dict)

    @property
    def start(self):
        """Cycle in which the first engine started, the sequencer apart."""
        return min((span.start for span in self._engines()), default=0)

    @property
    def end(self):
        """Cycle in which the last engine was done."""
        return max((span.end for span in self._engines()), default=0)

    @property
    def cycles(self):
        """From `start` to `end`; other descriptors run meanwhile."""
        return self.end - self.start

    @property
    def array_cycles(self):
        """Cycles that the array gave to it, stalls included: the sum of `causes`."""
        return sum(self.causes.values())

    @property
    def mac_busy(self):
        """Cycles in which the array worked on a position."""
        return self.causes.get("mac_busy", 0)

    @property
    def stalls(self):
        """The other causes."""
        return {name: value for name, value in self.causes.items() if name != "mac_busy"}

    @property
    def unfinished(self):
        """Engines that were at work on it when the step ended."""
        return tuple(lane for lane, span in self._spans() if not span.finished)

    def _spans(self):
        return self.lanes.items()

    def _engines(self):
        return [span for lane, span in self._spans() if lane != "sequencer"] or [
            span for _, span in self._spans()
        ]

    def to_dict(self):
        """Plain Python values, for JSON."""
        lanes = {lane: [span.start, span.end] for lane, span in self._spans()}
        values = {name: getattr(self, name) for name in ("index", "name", "start", "end", "cycles")}
        return values | {
            "array_cycles": self.array_cycles,
            "mac_busy": self.mac_busy,
            "stalls": self.stalls,
            "lanes": lanes,
            "unfinished": list(self.unfinished),
        }


@dataclass
class Profile:
    """Where the time of a step went.

    Members
    -------
    cycles : int
        From its start to its end.
    clock_hz : int
        Clock that the build aims at.
    descriptors : list of DescriptorProfile
        In the order of the program; those that the sequencer has reached.
    complete : bool
        False where the log was full, or a descriptor too short for it. The causes still sum to
        `cycles`: the last descriptor that is there has the rest.
    """

    cycles: int
    clock_hz: int
    descriptors: list
    complete: bool = True

    @property
    def causes(self):
        """Cycles of the array by cause, every cause; they sum to `cycles`."""
        return {
            name: sum(each.causes.get(name, 0) for each in self.descriptors) for name in _CAUSES
        }

    def to_dict(self):
        """Plain Python values, for JSON."""
        return {
            "cycles": self.cycles,
            "clock_hz": self.clock_hz,
            "complete": self.complete,
            "causes": self.causes,
            "descriptors": [each.to_dict() for each in self.descriptors],
        }


class _Reader:
    """Takes the words of a log apart."""

    def __init__(self, cycles):
        self.cycles = cycles
        self.now = 0
        self.sequencer = -1
        self.entries = []  # [lane, descriptor, start, last]
        self.spans = [{}]  # causes until the compute lane's first start, its second, ..
        self.over = False

    def time(self, value, since):
        """The cycle nearest to `since` that a 32-bit value may stand for."""
        return since + (value - since + _RANGE // 2) % _RANGE - _RANGE // 2

    def start(self, lane, value, mark, last):
        self.now = max(0, self.time(value, self.now))
        if lane == 0:
            self.sequencer += (mark - self.sequencer) % _MARKS
        descriptor = self.sequencer - (self.sequencer - mark) % _MARKS
        if descriptor < 0:
            raise ValueError(f"the step log names descriptor {mark} before the sequencer has it")
        end = None if last == AT_WORK else self.now + (last - self.now) % _RANGE
        self.entries.append([LANES[lane], descriptor, self.now, end])
        if LANES[lane] == "compute":
            self.spans.append({})

    def read(self, words):
        words = iter(words)
        for code, value in words:
            if code < len(LANES):
                mark, last = next(words, (0, AT_WORK))
                self.start(code, value, mark, last)
            elif code == STEP_END:
                self.over = True
            elif code - CAUSES_AT < len(_CAUSES):
                if len(self.spans) == 1 and not self.over:
                    raise ValueError("the step log has causes before the array's first command")
                span = self.spans[-1 if self.over else -2]
                span[_CAUSES[code - CAUSES_AT]] = value
            else:
                raise ValueError(f"the step log has a word with the unknown code {code}")
        total = sum(sum(span.values()) for span in self.spans)
        if total != self.cycles:
            raise ValueError(
                f"the causes in the step log sum to {total} cycles, not to the step's {self.cycles}"
            )


def read_profile(words, *, cycles, names, clock_hz, complete=True):
    """Make a `Profile` of the words of the step log.

    Parameters
    ----------
    words : list of (int, int)
        Code and value, see `csr.step_log_format`.
    cycles : int
        Of the step.
    names : list of str
        Of the program's descriptors.
    clock_hz : int
    complete : bool
        Neither overflow nor lost.

    Raises
    ------
    ValueError
        The words contradict each other or the cycles.
    """
    reader = _Reader(cycles)
    reader.read(words)
    known = {}

    def descriptor(index):
        if index not in known:
            name = names[index] if index < len(names) else f"descriptor {index}"
            known[index] = DescriptorProfile(index, name)
        return known[index]

    following = {}
    for lane, index, start, last in reversed(reader.entries):
        bound = following.get(lane, cycles)
        finished = last is not None or lane in following or not complete
        end = bound if last is None else min(last, bound)
        start = min(start, end)
        before = descriptor(index).lanes.get(lane)
        if before is not None:  # only where an entry was lost
            end, finished = before.end, before.finished
        descriptor(index).lanes[lane] = Span(start, end, finished)
        following[lane] = start
    owners = [index for lane, index, *_ in reader.entries if lane == "compute"]
    owners = [owners[0] if owners else 0, *owners]
    for index, span in zip(owners, reader.spans):
        causes = descriptor(index).causes
        for name, value in span.items():
            causes[name] = causes.get(name, 0) + value
    for each in known.values():
        each.lanes = {lane: each.lanes[lane] for lane in LANES if lane in each.lanes}
        each.causes = {name: each.causes[name] for name in _CAUSES if name in each.causes}
    return Profile(cycles, clock_hz, [known[index] for index in sorted(known)], complete)
