"""Vector programs carried out in NumPy on a DRAM image, from docs/vector-processor.md.

It reads the words that the processor reads, one vector after the other; nothing here knows a cycle.
"""

import numpy as np

from eftrain_hw.formats import format_named
from eftrain_hw.golden.arithmetic import fadd, fdiv, flush, fmul, fsqrt, greater, mac
from eftrain_hw.vector import program_format as layout

__all__ = ["VectorMachine", "hash32"]

LINE = 64
_MASK = 0xFFFFFFFF
_ONE = np.float32(1)


def hash32(values):
    """Jenkins' integer hash of uint32 values."""
    a = np.asarray(values, np.uint64)

    def cut(x):
        return x & np.uint64(_MASK)

    def c(x):
        return np.uint64(x)

    a = cut((a + c(0x7ED55D16)) + cut(a << c(12)))
    a = (a ^ c(0xC761C23C)) ^ (a >> c(19))
    a = cut((a + c(0x165667B1)) + cut(a << c(5)))
    a = cut(a + c(0xD3A2646C)) ^ cut(a << c(9))
    a = cut((a + c(0xFD7046C5)) + cut(a << c(3)))
    a = (a ^ c(0xB55A4F09)) ^ (a >> c(16))
    return a.astype(np.uint32)


def _to_bytes(values):
    """Integers of fp32 values, without the fraction and the sign, at most 255."""
    magnitude = np.where(np.isnan(values), np.inf, np.abs(values))
    return np.minimum(np.floor(magnitude), 255).astype(np.uint8)


def _signed(word):
    return word - (1 << 32) if word >> 31 else word


class VectorMachine:
    """A DRAM image and the registers of a vector processor, which outlast a command.

    Parameters
    ----------
    config : AcceleratorConfig
    memory : numpy.ndarray
        uint8, changed in place.
    """

    def __init__(self, config, memory):
        self.config, self.memory = config, memory
        self.lanes, self.format = config.lanes, format_named(config.format)
        self.reads = self.writes = lambda where: None  # who looks at the accesses
        self.registers = np.zeros((8, layout.REGISTER_WORDS), np.float32)
        self.sums = np.zeros(self.lanes, np.float32)
        self.winners = np.zeros(self.lanes, np.float32)

    def run(self, *, inverse_images=0.0, learning_rate=0.0, momentum=0.0, valid_images=0, **fields):
        """Run one command, with the fields of PROCESS.

        Raises
        ------
        ValueError
            What the command points at is not a vector program.
        """
        self.fields, self.valid_images = fields, valid_images
        words = self._words(fields["program"], fields["program_words"])
        self._load(words)
        if fields.get("use_scalars"):
            scalars = self._words(fields["scalars"], layout.SCALARS)
            first = layout.K_BASE + layout.K_SCALARS
            self.table[first : first + layout.SCALARS] = scalars
        specials = (inverse_images, learning_rate, momentum, -np.float32(learning_rate))
        for k, value in enumerate(specials):
            bits = int(np.float32(value).view(np.uint32))
            self.table[layout.K_BASE + layout.K_SPECIAL + k] = bits
        self.drawn = 0
        for outer in range(fields["count"]):
            for number in range(self.instructions):
                self._instruction(number, outer)

    def _words(self, line, count):
        return [int(w) for w in self._fetch(line * LINE, 4 * count).view(np.uint32)]

    def _load(self, words):
        magic = layout.MAGIC << 16 | layout.VERSION
        self.instructions = words[1] >> 16
        good = words[0] == magic and words[1] & 0xFFFF == len(words)
        good &= 1 <= self.instructions <= layout.INSTRUCTIONS
        if not good or sum(words) & _MASK:
            raise ValueError("bad vector program")
        kinds = [layout.KINDS[words[2] >> 2 * k & 3] for k in range(5)]
        self.kinds = dict(zip(("a", "b", "c", "w0", "w1"), kinds), e="elements")
        self.table, at = [0] * 512, layout.HEADER_WORDS
        while at < len(words):
            address, count = words[at] >> 16, words[at] & 0xFFFF
            self.table[address : address + count] = words[at + 1 : at + 1 + count]
            at += 1 + count

    def _instruction(self, number, outer):
        fields = {
            name: self.table[4 * number + word] >> shift & (1 << bits) - 1
            for name, (word, shift, bits) in layout.field_places().items()
        }
        start = layout.START_BASE + 16 * fields["extent"]
        step = layout.STEP_BASE + 64 * fields["extent"]
        at = {}
        for j, name in enumerate(layout.INDICES):
            moved = _signed(self.table[4 * j + layout.OUTER_WORD]) * outer if j < 6 else 0
            at[name] = _signed(self.table[start + j]) + moved
        header = self.table[start + len(layout.INDICES) :][: len(layout.HEADER)]
        n3, n2, n1, chunks = (count + 1 for count in header[:4])
        flags, shift = {}, 0
        for name, bits in layout.FLAGS:
            flags[name] = header[4] >> shift & (1 << bits) - 1
            shift += bits
        height, width = header[5] & 0xFFFF, header[5] >> 16
        done = 0
        for i3, i2, i1, i0 in np.ndindex(n3, n2, n1, chunks):
            ends = [i0 == chunks - 1, i1 == n1 - 1, i2 == n2 - 1, i3 == n3 - 1]
            count = flags["last_chunk"] if ends[0] else flags["chunk"]
            outside = not (0 <= at["row"] < height and 0 <= at["column"] < width)
            for v in range(count):
                reduce = layout.REDUCE[fields["reduce"]]
                first = {"i0": not i0, "i1": not (i0 or i1), "never": False}.get(
                    reduce, not (i0 or i1 or i2 or i3)
                ) and v == 0  # fmt: skip
                last = {"i0": ends[0], "i1": ends[0] and ends[1]}.get(reduce, all(ends))
                self._vector(
                    fields, at, v, number=done, first=first, last=last and v == count - 1,
                    pad=flags["bounded"] and outside,
                    valid=not flags["images"] or i3 < self.valid_images,
                )  # fmt: skip
                done += 1
            level = next((k for k, end in enumerate(ends) if not end), 3)
            for j, name in enumerate(layout.INDICES):
                at[name] += _signed(self.table[step + 16 * level + j])

    # -- one vector

    def _vector(self, fields, at, v, *, number, first, last, pad, valid):
        streams = {}
        for name in "abc":
            if fields[f"use_{name}"]:
                if pad and name != "c":
                    value = -np.inf if fields["pad"] else 0.0
                    streams[name] = np.full(self.lanes, value, np.float32)
                else:
                    streams[name] = self._read(name, at[name] + v)
        lane = np.arange(self.lanes)
        counted = (number * self.lanes + lane) % layout.REGISTER_WORDS
        operand = {}
        ports = {"a0": 0, "b1": 0, "b0": 1, "c0": 2, "c1": 2}
        for name, kinds in layout.OPERANDS.items():
            if name == "a1":
                continue
            kind = kinds[fields[name]]
            if kind == "k":
                bits = self.table[layout.K_BASE + fields[f"k_{name}"]]
                operand[name] = np.full(self.lanes, bits, np.uint32).view(np.float32)
            elif kind == "r":
                port = ports[name]
                register = fields[f"p{port}"]
                index = lane if register < 4 else counted
                index = np.zeros_like(lane) if fields[f"scalar{port}"] else index
                operand[name] = self.registers[register][index]
            elif kind == "position":
                operand[name] = np.full(self.lanes, at["position"] % 256, np.float32)
            elif kind != "t0":
                operand[name] = streams[kind]
        t0, flag = self._first(fields, operand)
        if fields["valid0"] and not valid:
            t0 = np.zeros(self.lanes, np.float32)
        for name in ("b1", "c1"):
            if layout.OPERANDS[name][fields[name]] == "t0":
                operand[name] = t0
        c1 = np.negative(operand["c1"]) if fields["negate_c1"] else operand["c1"]
        a1 = (t0, operand["a0"], operand["b0"], operand["c0"])[fields["a1"]]
        kind = layout.ACCUMULATE[fields["accumulate"]]
        if kind == "no":
            t1 = mac(a1, operand["b1"], c1)
        else:
            t1, t0 = self._accumulate(kind, fmul(a1, operand["b1"]), t0, first, fields["across"])
        post = layout.POSTS[fields["post"]]
        result = t1
        if post == "relu":
            result = np.where(greater(t1, np.float32(0)), t1, np.float32(0))
        elif post == "select":
            result = np.where(flag, t1, t0)
        if fields["valid1"] and not valid:
            result = np.zeros(self.lanes, np.float32)
        if not fields["emit"] or last:
            self._write(fields, at, v, result.astype(np.float32), t0, lane, counted)

    def _first(self, fields, operand):
        a0, b0, c0 = (operand[name] for name in ("a0", "b0", "c0"))
        flag = flush(b0) == flush(c0) if fields["equal"] else greater(b0, c0)
        flag = np.logical_xor(flag, bool(fields["invert"]))
        operation = layout.OPERATIONS[fields["operation"]]
        if operation == "mac":
            return mac(a0, b0, np.negative(c0) if fields["negate_c0"] else c0), flag
        if operation == "multiply":
            return fmul(a0, b0), flag
        if operation == "divide":
            return fmul(fdiv(a0, b0), _ONE), flag
        if operation == "root":
            return fmul(fsqrt(a0), _ONE), flag
        if operation == "gate":
            return fmul(np.where(flag, a0, np.float32(0)), _ONE), flag
        if operation == "choose":
            return fmul(np.where(flag, b0, c0), _ONE), flag
        if operation == "ldexp":
            magnitude = _to_bytes(b0).astype(int)
            power = np.where(np.signbit(b0), -magnitude, magnitude)
            with np.errstate(over="ignore"):
                scale = np.exp2(power.astype(np.float64)).astype(np.float32)
            return fmul(a0, np.where(power < -126, np.float32(0), scale)), flag
        if operation == "random":
            seed = int(a0.view(np.uint32)[0])
            numbers = (seed + self.drawn + np.arange(self.lanes)) & _MASK
            self.drawn += self.lanes
            return (hash32(numbers) >> 8).astype(np.float32) * np.float32(2.0**-24), flag
        return fmul(a0, _ONE), flag

    def _accumulate(self, kind, product, t0, first, across):
        t1, winner = np.empty_like(product), np.empty_like(product)
        lanes = [slice(k, k + 1) for k in range(self.lanes)] if across else [slice(None)]
        for k in lanes:
            place = slice(0, 1) if across else k
            anew = first and (not across or k.start == 0)
            if kind == "sum":
                before = np.zeros_like(product[k]) if anew else self.sums[place]
                t1[k], winner[k] = fadd(before, product[k]), t0[k]
                self.winners[place] = winner[k]
            else:
                before = np.full_like(product[k], -np.inf) if anew else self.sums[place]
                held = np.zeros_like(product[k]) if anew else self.winners[place]
                wins = greater(product[k], before)
                t1[k] = np.where(wins, product[k], before)
                winner[k] = np.where(wins, t0[k], held)
                self.winners[place] = winner[k]
            self.sums[place] = t1[k]
        return t1, winner

    # -- memory

    def _fetch(self, address, size):
        assert 0 <= address <= len(self.memory) - size, "read outside the memory"
        self.reads(slice(address, address + size))
        return self.memory[address : address + size]

    def _read(self, name, vector):
        lanes, kind = self.lanes, self.kinds[name]
        base = self.fields[name] * LINE
        if kind == "raw":
            return self._fetch(base + vector * 4 * lanes, 4 * lanes).view(np.float32).copy()
        if kind == "bytes":
            return self._fetch(base + vector * lanes, lanes).astype(np.float32)
        size = self.config.vector_bytes
        elements = self._fetch(base + vector * size, size).view(self.format.element_dtype)
        if not self.config.has_exponents:
            return elements.copy()
        exponent = self._fetch(self.fields[f"{name}_exponents"] * LINE + vector, 1)
        return self.format.decode(elements[None], exponent)[0]

    def _store(self, address, array):
        data = np.ascontiguousarray(array).view(np.uint8).ravel()
        assert 0 <= address <= len(self.memory) - len(data), "write outside the memory"
        self.writes(slice(address, address + len(data)))
        self.memory[address : address + len(data)] = data

    def _write(self, fields, at, v, result, t0, lane, counted):
        if fields["to_r"]:
            register = fields["r"]
            if fields["across"]:
                lane = np.zeros_like(lane)
            for k, index in enumerate(lane if register < 4 else counted):
                self.registers[register][index] = result[k]
        v = 0 if fields["emit"] else v
        base = {name: self.fields.get(name, 0) * LINE for name in ("e", "e_exponents", "w0", "w1")}
        if fields["to_e"]:
            elements, exponents = self.format.encode(result[None])
            vector = at["e"] + v
            self._store(base["e"] + vector * self.config.vector_bytes, elements)
            if exponents is not None:
                self._store(base["e_exponents"] + vector, exponents)
        if fields["to_w0"]:
            self._store(base["w0"] + (at["w0"] + v) * 4 * self.lanes, result)
        if fields["to_w1"]:
            if self.kinds["w1"] == "bytes":
                self._store(base["w1"] + (at["w1"] + v) * self.lanes, _to_bytes(t0))
            else:
                self._store(base["w1"] + (at["w1"] + v) * 4 * self.lanes, t0)
