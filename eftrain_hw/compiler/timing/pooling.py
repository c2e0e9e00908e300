"""Pooling: rows of maps go through the two halves of the line buffer."""

from .kernel import Event
from .streams import Output, Stream

__all__ = ["Pooling"]

_ANNOUNCE = 3  # from a command to its first runs, besides its products
_PLANES = 34  # whose runs are announced before they are written: 32 wait, one is in work
_FORWARD_RESULT, _BACKWARD_RESULT = 9, 5  # from the last vector of a window to the writer's item
_WINDOW_ROW = 2  # from a full half to its first window, besides the scan of its exponents
_PIXEL_ROW = 0  # the same backward
_FILLED = 1  # from a half's last item until it may be read
_ALMOST = 1e-6


class _Halves:
    """The two halves of a line buffer: when each was filled, when given back."""

    def __init__(self, kernel):
        self.filled, self.free, self.changed = [], [], Event(kernel)

    def add(self, to, time):
        to.append(time)
        self.changed.fire()


class Pooling:
    """Carries out pooling commands, one at a time.

    Parameters
    ----------
    kernel : Kernel
    config : AcceleratorConfig
    readers : list of RunReader
    writers : list of RunWriter
    """

    def __init__(self, kernel, config, readers, writers):
        self._kernel, self._config = kernel, config
        self._readers, self._writers = readers, writers

    def forward(self, c):
        """A POOL_FORWARD command's fields; goes on until its last result is in a writer."""
        beats = self._config.beats_per_vector
        used, pooled = c["out_height"] * c["kernel_height"] * c["width"], _pooled(c)
        window = c["kernel_height"] * c["kernel_width"]
        steps = c["out_width"] * window * beats
        # windows begin on rows that fill them: the rest of a plane is not read
        sources = self._streams(c, "source", used, 0, None, 2, c["height"] * c["width"])
        results = self._streams(c, "result", pooled, 0, 1, 3)
        if c["wide"]:
            sources += self._low(c, "source", 1, used, c["height"] * c["width"])
            results += self._low(c, "result", 2, pooled, pooled)
        yield from self._run(
            c,
            sources,
            results,
            c["kernel_height"] * c["width"] * beats,
            [(steps, True)] * c["out_height"],
            _WINDOW_ROW + window if self._config.has_exponents else 0,
            _FORWARD_RESULT,
        )

    def backward(self, c):
        """The same for POOL_BACKWARD."""
        beats = self._config.beats_per_vector
        sources = self._streams(c, "source", _pooled(c), 0, 1, 2)
        results = self._streams(c, "result", c["height"] * c["width"], 0, None, 3)
        row = c["width"] * beats
        rows = [(c["kernel_height"] * row, True)] * c["out_height"]
        outside = c["height"] - c["out_height"] * c["kernel_height"]
        if outside:
            rows.append((outside * row, False))
        yield from self._run(
            c, sources, results, c["out_width"] * beats, rows, _PIXEL_ROW, _BACKWARD_RESULT
        )

    def _streams(self, c, name, vectors, elements, places, exponents, plane=None):
        """`Stream`s of a map with so many vectors a plane, and the vectors from plane to plane."""
        config, plane = self._config, plane or vectors
        found = [(elements, c[name], config.vector_bytes)]
        if places is not None:
            found.append((places, c["index"], config.lanes))
        if config.has_exponents:
            found.append((exponents, c[f"{name}_exponents"], 1))
        return [Stream(unit, line, vectors * each, plane * each) for unit, line, each in found]

    def _low(self, c, name, unit, vectors, plane):
        """The stream of a map's low digits."""
        each = self._config.vector_bytes
        return [Stream(unit, c[f"{name}_low"], vectors * each, plane * each)]

    def _run(self, c, sources, results, items, rows, gap, latency):
        kernel, halves = self._kernel, _Halves(self._kernel)
        self._written, self._news = 0, Event(kernel)
        numbers = (c["kernel_height"], c["out_height"], c["height"], c["out_height"])
        yield kernel.now + _ANNOUNCE + sum(number.bit_length() + 2 for number in numbers)
        kernel.start(self._announce(c["planes"], sources))
        kernel.start(self._fill(halves, c["planes"], sources, c["out_height"], items))
        yield from self._walk(halves, c["planes"], results, rows, gap, latency)

    def _announce(self, planes, sources):
        kernel, bus = self._kernel, self._config.bus_bytes
        for plane in range(planes):
            while plane >= self._written + _PLANES:
                yield self._news
            for stream in sources:
                first, words, _ = stream.run(plane, bus)
                self._readers[stream.unit].run(first, words)
            yield kernel.now + 2

    def _fill(self, halves, planes, sources, bands, items):
        """Fill halves, each of which takes `items` cycles at least.

        Words are known of when their request has come: times may lie behind the kernel's.
        """
        kernel, bus, number, end = self._kernel, self._config.bus_bytes, 0, 0
        for plane in range(planes):
            runs = [[self._readers[s.unit], *s.run(plane, bus), s.size, 0] for s in sources]
            for band in range(1, bands + 1):
                if number >= 2:
                    while len(halves.free) < number - 1:
                        yield halves.changed
                    yield halves.free[number - 2]
                    end = max(end, halves.free[number - 2])
                else:
                    end = kernel.now
                number += 1
                begin = end
                for run in runs:
                    reader, first, words, before, size, taken = run
                    until = min(words, -(-(before + size * band // bands) // bus))
                    run[5], at = until, begin
                    each = items / (until - taken) if until > taken else 0
                    while taken < until:
                        piece = min(until - taken, reader.size - (first + taken) % reader.size)
                        taken += piece
                        came, last = yield from reader.come(piece)
                        at += piece * each
                        if last > begin:
                            at = max(at, came + piece * each, last)
                        kernel.at(at, lambda reader=reader, piece=piece: reader.use(piece))
                    end = max(end, at)
                yield end
                halves.add(halves.filled, end + _FILLED)

    def _walk(self, halves, planes, results, rows, gap, latency):
        """Walk filled halves; `rows` are (cycles, whether they need a half) of a plane."""
        kernel, bus, number = self._kernel, self._config.bus_bytes, 0
        total, time = sum(steps for steps, _ in rows), kernel.now
        for plane in range(planes):
            outputs = [Output(self._writers[s.unit], s, plane, bus) for s in results]
            done = end = 0
            for steps, needs in rows:
                if needs:
                    while len(halves.filled) <= number:
                        yield halves.changed
                    # looked at before, where there is time
                    time = max(time, halves.filled[number] + gap)
                end += steps
                while True:
                    complete = min(output.next_share for output in outputs) * total
                    if complete > end + _ALMOST:
                        break
                    time += max(0, complete - done)
                    yield time
                    done = max(done, complete)
                    for output in outputs:
                        if output.next_share * total <= done + _ALMOST:
                            output.push(time + latency)
                            while not output.writer.room(0):
                                yield output.writer.moved
                                time = max(time, kernel.now)
                time += end - done
                yield time
                done = end
                if needs:
                    halves.add(halves.free, time)
                    number += 1
            self._written += 1
            self._news.fire()


def _pooled(c):
    return c["out_height"] * c["out_width"]
