"""The sequencer: descriptors are fetched, their commands patched and sent to the engines."""

from collections import deque

from ...array.commands import COMPUTE
from ...dma.commands import LOAD
from ...sequencer.program_format import REQUEST_BEATS
from ...streams.command import NOP
from ...vector.commands import DRAIN, PROCESS
from .expand import decode, expand
from .kernel import Event
from .turns import burst_words, bursts_of

__all__ = ["ENGINES", "Sequencer"]

ENGINES = "load", "compute", "drain", "vector"

_LINE = 64  # bytes of the first request of a descriptor
_CHECKED = 3  # from its answer to the next request
_NEXT = 2  # from one of the others to the next
_START = 1  # from the doorbell to the first request
_HANDED = 4  # from a descriptor's last word until the sequencer has it
_HEADER = 9  # from there to its first command
_WRAPPED = 7  # from a descriptor's last command until the next one may begin
_NAMES = {LOAD.opcode: "load", COMPUTE.opcode: "compute", DRAIN.opcode: "drain"}


class _Inbox:
    """Commands on their way to an engine: one in work, one held, one being collected."""

    def __init__(self, kernel):
        self.commands = deque()
        self.sent, self.taken = [], []
        self.changed = Event(kernel)
        self.issued = 0
        self.idle = True

    def take(self, time):
        self.taken.append(time)
        self.changed.fire()


class Sequencer:
    """Issues the commands of descriptors, one after another.

    Parameters
    ----------
    kernel : Kernel
    config : AcceleratorConfig
    client : Client
        Of the memory reader.
    timing : Timing
        Where `fetch` and `commands` are noted.

    Members
    -------
    engines : dict
        By name, what is on its way to an engine.
    """

    def __init__(self, kernel, config, client, timing):
        self._kernel, self._config, self._fetcher, self._timing = kernel, config, client, timing
        self.engines = {name: _Inbox(kernel) for name in ENGINES}
        self._fetched, self._fetch_next = Event(kernel), Event(kernel)
        self._ready, self._begun = deque(), 0
        self._issuing = True

    def start(self, descriptors, counts, told):
        """Begin; `counts` are loop counts of the only descriptor to use instead, or None."""
        self._kernel.start(self._fetch(descriptors, told))
        self._kernel.start(self._issue(descriptors, counts))

    @property
    def stuck(self):
        """Who waits for what never comes, once nothing happens any more: names of engines, and
        "sequencer" with commands left."""
        stuck = [name for name, engine in self.engines.items()
                 if not engine.idle or len(engine.taken) < engine.issued]  # fmt: skip
        return stuck + ["sequencer"] * self._issuing

    def next(self, name):
        """Wait for an engine's next command; then (fields, layout, tickets, when it is seen)."""
        engine = self.engines[name]
        engine.idle = True
        while not engine.commands:
            yield engine.changed
        engine.idle = False
        number = len(engine.taken)
        before = engine.taken[-1] + 1 if engine.taken else 0
        return (*engine.commands.popleft(), max(engine.sent[number] + 2, before))

    def _fetch(self, descriptors, told):
        kernel, bus, size = self._kernel, self._config.bus_bytes, burst_words(self._config)
        yield _START
        for number, descriptor in enumerate(descriptors):
            words, line = -(-4 * len(descriptor.words()) // bus), _LINE // bus
            came, arrived = [], Event(kernel)

            def come(start, end, count, came=came, arrived=arrived):
                came.append((count, end))
                arrived.fire()

            self._fetcher.ask(bursts_of(0, line, size), come)
            if number or not told or words > (_LINE - 1) * line:
                while sum(count for count, _ in came) < line:
                    yield arrived
                yield came[-1][1] + _CHECKED
            else:
                yield kernel.now + _NEXT
            for first in range(line, words, REQUEST_BEATS):
                while not self._fetcher.room:
                    yield self._fetcher.taken
                part = min(REQUEST_BEATS, words - first)
                self._fetcher.ask(bursts_of(first, part, size), come)
                yield kernel.now + _NEXT
            while sum(count for count, _ in came) < max(line, words):
                yield arrived
            yield came[-1][1]
            self._ready.append(kernel.now)
            self._fetched.fire()
            while number >= self._begun:
                yield self._fetch_next

    def _issue(self, descriptors, counts):
        kernel = self._kernel
        sent = [0, 0]  # ends of the two commands before
        now = 0
        for number, descriptor in enumerate(descriptors):
            while len(self._ready) <= number:
                yield self._fetched
            now = max(now + _WRAPPED if number else 0, self._ready[number] + _HANDED)
            yield now
            self._begun += 1
            self._fetch_next.fire()
            if not number:
                self._timing.fetch = now
            now += _HEADER
            for issue in expand(descriptor, counts):
                layout, words = issue.layout, issue.layout.words
                now += issue.skipped + 2
                now = max(now, sent[0]) + words + issue.patching
                if layout is NOP:
                    continue
                name = _NAMES.get(layout.opcode, "vector")
                engine = self.engines[name]
                start = max(now + 2, sent[1] + 1)
                if name == "vector":
                    start = max(start, kernel.now)
                elif engine.issued >= 2:
                    while len(engine.taken) < engine.issued - 1:
                        yield engine.changed
                    before = max(engine.sent[-1] + 2, engine.taken[engine.issued - 2] + 1)
                    start = max(start, before)
                elif engine.issued == 1:
                    start = max(start, engine.sent[-1] + 2)
                sent = [sent[1], start + words - 1]
                engine.issued += 1
                engine.sent.append(sent[1])
                self._timing.commands += 1
                if sent[1] > kernel.now:
                    yield sent[1]
                tickets = self.engines["drain"].issued, self.engines["vector"].issued
                fields = decode(layout, issue.words)
                if layout is PROCESS:
                    fields = {**fields, "work": descriptor.commands[issue.index].work}
                engine.commands.append((fields, layout, tickets))
                engine.changed.fire()
        self._issuing = False
