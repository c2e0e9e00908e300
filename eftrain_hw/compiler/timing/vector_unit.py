"""The vector unit: pooling, loss, update, each a stream from run readers to run writers."""

from collections import deque

from ...vector.commands import LOSS, POOL_BACKWARD, POOL_FORWARD, PROCESS, UPDATE
from .kernel import Event
from .runs import RunReader, RunWriter
from .vector import vector_cost

__all__ = ["VectorUnit"]

_ANNOUNCE = 3  # from a command to its first runs
_MULTIPLY_ADD = 13  # a result of the update: the first of two, then the writer's queue
_ENCODE = 7  # of the copy, besides one cycle for each lane
_QUIET = 3  # from the last answer until the next command may start
_PLANES = 10  # whose runs are announced before they are written: eight wait, one is written
_POOL_RESULT = 9  # from the last vector of a window to the writer's item
_WINDOW_ROW = 2  # from a full half of the line buffer to its first window
_PIXEL_ROW = 2  # the same backward


class _Output:
    """Words of a run as they are completed, pushed request by request."""

    def __init__(self, writer, words):
        self._writer, self._words = writer, words
        self._done = self._pushed = 0

    def add(self, words, time):
        """So many words more at `time`; waits until the writer has room again."""
        self._done += words
        size = self._writer.size
        while self._pushed < self._words:
            part = min(size, self._words - self._pushed)
            if self._done < self._pushed + part - 1e-6:
                break
            self._writer.push(0, part, time)
            self._pushed += part
            while not self._writer.room(0):
                yield self._writer.moved


class _Halves:
    """The two halves of a line buffer: when each was filled, when given back."""

    def __init__(self, kernel):
        self.filled, self.free, self.changed = [], [], Event(kernel)

    def add(self, to, time):
        to.append(time)
        self.changed.fire()


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
        self._used = [0] * 3
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
            POOL_FORWARD.opcode: self._pool_forward,
            POOL_BACKWARD.opcode: self._pool_backward,
            UPDATE.opcode: self._update,
            LOSS.opcode: self._whole,
            PROCESS.opcode: self._whole,
        }[layout.opcode](layout, fields)
        self._working = False
        while self.busy:
            yield self.quiet
        yield self._kernel.now + _QUIET
        self.quiet.fire()

    def _come(self, reader, words):
        """Wait for so many words more of a reader; then when they could be used, first and last."""
        unit = self._readers[reader]
        self._used[reader] += words
        while unit.came < self._used[reader]:
            yield unit.arrived
        last_request = unit.came - self._used[reader] < unit.size
        self._span = (unit.first, unit.last) if last_request else (0, 0)

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
        bus, lanes = config.bus_bytes, config.lanes
        values = c["vectors"] * lanes
        words = -(-4 * values // bus)
        each = bus // 4  # values of a word
        outputs = [(0, words, 1), (1, words, 1)]
        if c["copy"]:
            outputs.append((2, -(-values * config.element_bytes // bus), config.element_bytes / 4))
            if config.has_exponents:
                outputs.append((3, -(-c["vectors"] // bus), 1 / (4 * lanes)))
        outputs = [(_Output(self._writers[k], total), share, k) for k, total, share in outputs]
        yield kernel.now + _ANNOUNCE
        for reader in self._readers:
            reader.run(0, words)
        left = words
        latencies = (
            _MULTIPLY_ADD, 2 * _MULTIPLY_ADD, 2 * _MULTIPLY_ADD + _ENCODE + lanes,
            2 * _MULTIPLY_ADD + _ENCODE + lanes,
        )  # fmt: skip
        while left:
            part = min(8, left)
            left -= part
            steps = part * each
            start, last = kernel.now, 0
            for reader in range(3):
                yield from self._come(reader, part)
                start, last = max(start, self._span[0]), max(last, self._span[1])
            yield max(start + steps, last + each - 1)
            for reader in self._readers:
                reader.use(part)
            for output, share, k in outputs:
                yield from output.add(part * share, kernel.now + latencies[k])

    # -- pooling

    def _planes(self, c, reads, writes):
        """Announce the runs of the planes; `reads` and `writes`: (unit, words) of a plane."""
        kernel = self._kernel
        numbers = (c["kernel_height"], c["out_height"], c["height"], c["out_height"])
        yield kernel.now + _ANNOUNCE + sum(number.bit_length() + 2 for number in numbers)
        self._announced.append(kernel.now)
        self._news.fire()
        for plane in range(c["planes"]):
            while plane >= self._written + _PLANES:
                yield self._news
            for reader, words in reads:
                self._readers[reader].run(0, words)
            yield kernel.now + 2

    def _fill(self, halves, count, parts, items):
        """Fill halves from the readers: `parts` are (reader, words of a plane, bands of a plane).

        A band takes `items` cycles at least.
        """
        kernel = self._kernel
        taken = {reader: 0 for reader, _, _ in parts}
        bands = parts[0][2]
        for band in range(count):
            if band >= 2:
                while len(halves.free) < band - 1:
                    yield halves.changed
                yield halves.free[band - 2]
            end, begin = kernel.now, kernel.now
            for reader, words, _ in parts:
                unit, within = self._readers[reader], band % bands
                if not within:
                    taken[reader] = 0
                need = -(-words * (within + 1) // bands) - taken[reader]
                place = taken[reader]
                taken[reader] += need
                at, each = begin, items / need if need else 0
                while need:
                    piece = min(need, unit.size - place % unit.size)
                    need, place = need - piece, place + piece
                    yield from self._come(reader, piece)
                    at += piece * each
                    if self._span[1] > begin:
                        at = max(at, self._span[0] + piece * each, self._span[1])
                    kernel.at(at, lambda unit=unit, piece=piece: unit.use(piece))
                end = max(end, at)
            yield end
            halves.add(halves.filled, kernel.now + 1)

    def _walk(self, c, halves, rows, gap, steps, outputs):
        """Walk filled halves; `outputs` are (writer, words of a plane)."""
        kernel, band = self._kernel, 0
        for _ in range(c["planes"]):
            runs = [(_Output(self._writers[k], words), words / rows) for k, words in outputs]
            for row in range(rows):
                needs = row < c["out_height"]
                if needs:
                    while len(halves.filled) <= band:
                        yield halves.changed
                    late = halves.filled[band] + gap  # looked at before, where there is time
                    yield late
                yield kernel.now + steps
                if needs:
                    halves.add(halves.free, kernel.now)
                    band += 1
                for output, words in runs:
                    yield from output.add(words, kernel.now + _POOL_RESULT)
            self._written += 1
            self._news.fire()

    def _pool(self, c, reads, writes, bands, items, walk):
        kernel = self._kernel
        self._announced, self._news, self._written = deque(), Event(kernel), 0
        halves = _Halves(kernel)
        kernel.start(self._planes(c, reads, writes))
        while not self._announced:
            yield self._news
        parts = [(reader, words, bands) for reader, words in reads]
        kernel.start(self._fill(halves, c["planes"] * bands, parts, items))
        yield from self._walk(c, halves, *walk, writes)

    def _words(self, vectors):
        """Words of elements, of places and of exponents of so many vectors."""
        config = self._config
        sizes = [config.vector_bytes, config.lanes, int(config.has_exponents)]
        return [-(-vectors * size // config.bus_bytes) for size in sizes]

    def _pool_forward(self, _, c):
        beats = self._beats
        elements, _, exponents = self._words(c["out_height"] * c["kernel_height"] * c["width"])
        pooled = self._words(c["out_height"] * c["out_width"])
        window = c["kernel_height"] * c["kernel_width"]
        yield from self._pool(
            c,
            _some((0, elements), (2, exponents)),
            _some((0, pooled[0]), (1, pooled[1]), (3, pooled[2])),
            c["out_height"],
            c["kernel_height"] * c["width"] * beats,
            (c["out_height"], _WINDOW_ROW + window, c["out_width"] * window * beats),
        )

    def _pool_backward(self, _, c):
        beats = self._beats
        pooled = self._words(c["out_height"] * c["out_width"])
        elements, _, exponents = self._words(c["height"] * c["width"])
        # rows of the large map that lie in no window come last, and need nothing
        rows = -(-c["height"] // c["kernel_height"])
        yield from self._pool(
            c,
            _some((0, pooled[0]), (1, pooled[1]), (2, pooled[2])),
            _some((0, elements), (3, exponents)),
            c["out_height"],
            c["out_width"] * beats,
            (rows, _PIXEL_ROW, c["height"] * c["width"] * beats / rows),
        )

    @property
    def _beats(self):
        """Cycles of pooling for a vector."""
        return self._config.beats_per_vector


def _some(*pairs):
    return [(unit, words) for unit, words in pairs if words]
