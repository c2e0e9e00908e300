"""The vector unit: pooling, loss, update, each a stream from run readers to run writers."""

from math import ceil

from ...vector.commands import LOSS, POOL_BACKWARD, POOL_FORWARD, PROCESS, UPDATE
from .kernel import Event
from .pooling import Pooling
from .runs import RunReader, RunWriter
from .streams import Output, Stream
from .vector import vector_cost

__all__ = ["VectorUnit"]

_ANNOUNCE = 2  # from an update to its first runs
_MULTIPLY_ADD = 13  # a result of the update: the first of two, then the writer's queue
_ENCODE = 7  # of the copy, besides one cycle for each lane
_QUIET = 2  # from the last answer until the next command may start
_ALMOST = 1e-6


class VectorUnit:
    """Carries out the vector unit's commands, one at a time.

    Parameters
    ----------
    reads, writes : ReadSide, WriteSide
    config : AcceleratorConfig
    memory : Memory

    Members
    -------
    busy : bool
        A command is in work, or its writes are not answered.
    quiet : Event
        It may have become idle.
    """

    def __init__(self, reads, writes, config, memory):
        kernel = self._kernel = reads.kernel
        self._config, self._memory, self._sides = config, memory, (reads, writes)
        # as in `soc.accelerator`: whole beats come at full speed, and so from a deep queue
        beat = min(config.vector_bytes, config.bus_bytes)
        widest = (beat, max(4, beat // config.element_bytes), 4)
        self._readers = [
            RunReader(reads, config, depth=128 if size == config.bus_bytes else 32)
            for size in widest
        ]
        self._writers = [RunWriter(writes, config) for _ in range(4)]
        self._pooling = Pooling(kernel, config, self._readers, self._writers)
        self._working = False
        self.quiet = Event(kernel)
        for writer in self._writers:
            writer.changed = self.quiet.fire

    @property
    def busy(self):
        return self._working or any(writer.outstanding for writer in self._writers)

    def work(self, layout, fields):
        """Carry out a command, until the next may come."""
        self._working = True
        yield from {
            POOL_FORWARD.opcode: lambda _, fields: self._pooling.forward(fields),
            POOL_BACKWARD.opcode: lambda _, fields: self._pooling.backward(fields),
            UPDATE.opcode: self._update,
            LOSS.opcode: self._whole,
            PROCESS.opcode: self._whole,
        }[layout.opcode](layout, fields)
        self._working = False
        while self.busy:
            yield self.quiet
        yield self._kernel.now + _QUIET
        self.quiet.fire()

    def _whole(self, layout, c):
        """A loss is a dependent chain of short passes, a vector program an element a cycle: their
        little traffic hardly meets any other."""
        cost = vector_cost(self._config, layout, c, self._memory)
        reads, writes = self._sides
        reads.words += cost.read_beats
        writes.words += cost.write_beats
        yield self._kernel.now + cost.cycles

    def _update(self, _, c):
        config, kernel = self._config, self._kernel
        lanes, bus = config.lanes, config.bus_bytes
        values = c["vectors"] * lanes
        each = bus // 4  # values of a word
        reads = [
            Stream(unit, c[name], 4 * values)
            for unit, name in enumerate(("gradient", "momentum", "master"))
        ]
        writes = [
            (Stream(0, c["momentum"], 4 * values), _MULTIPLY_ADD),
            (Stream(1, c["master"], 4 * values), 2 * _MULTIPLY_ADD),
        ]
        if c["low"]:
            reads, writes = reads[2:], []
        if c["copy"]:
            late = 2 * _MULTIPLY_ADD + _ENCODE + lanes
            writes.append((Stream(2, c["result"], values * config.element_bytes), late))
            if config.has_exponents and not c["low"]:
                writes.append((Stream(3, c["result_exponents"], c["vectors"]), late))
        yield kernel.now + _ANNOUNCE
        runs = []
        for stream in reads:
            reader, (first, words, _) = self._readers[stream.unit], stream.run(0, bus)
            reader.run(first, words)
            runs.append((reader, first))
        outputs = [(Output(self._writers[s.unit], s, 0, bus), late) for s, late in writes]
        done, time = 0, kernel.now
        while done < words:
            complete = min(output.next_share for output, _ in outputs) * words
            part = min(
                words - done,
                max(1, ceil(complete - _ALMOST) - done),
                *(reader.size - (first + done) % reader.size for reader, first in runs),
            )
            start, end = time, 0
            for reader, _ in runs:  # their times may lie behind the kernel's
                first, last = yield from reader.come(part)
                start, end = max(start, first), max(end, last)
            time = max(start + part * each, end + each - 1)
            yield time
            done += part
            for reader, _ in runs:
                reader.use(part)
            for output, late in outputs:
                while output.next_share * words <= done + _ALMOST:
                    output.push(time + late)
                    while not output.writer.room(0):
                        yield output.writer.moved
                        time = max(time, kernel.now)
