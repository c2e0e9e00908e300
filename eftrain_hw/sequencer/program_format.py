"""The layer program: descriptors of loop nests over commands, as 32-bit words in DRAM.

A descriptor is a header, then its commands. The sequencer runs its loops, outermost first, and in
the innermost body issues the commands in order, each patched for the current loop indices.

    header   w0  MAGIC << 16 | VERSION
             w1  words of the descriptor, header included
             w2  tag: what an error report and the counters name
             w3  flags: bit 0 last descriptor of the program
             w4  commands
             w5..w9  counts of the five loops, outermost first, at least 1
             w10 reserved, 0
             w11 checksum: all words of the descriptor sum to 0 modulo 2^32
    command  c0  opcode | template words << 8 | patches << 16 | flags << 24
                 flags: bit 0 fence: wait until every engine is idle and every write is answered;
                 bit 1 not last: not in the last iteration, that of all loops at their last index
             c1  when_first | when_last << 8: issue only while every loop of the mask is at its
                 first (last) index; bit d is loop d
             template words, then patches of two words:
    patch    p0  kind | target word << 8 | loops << 16
             p1  value
        ADD      word += value * index of the one loop in `loops`
        LAST     word = value    if every loop in `loops` is at its last index
        OR_FIRST word |= value   if every loop in `loops` is at its first index
        OR_LAST  word |= value   if every loop in `loops` is at its last index

Opcode 0 (`streams.command.NOP`, a template of one word) goes to no engine: it carries a fence.
Patches apply in order. A program starts on a line (64 bytes); each descriptor follows at the next
line after the one before.

A packed program (`AcceleratorConfig.packed_programs`) is a word, its own length in bus beats, and
then bytes: for each 16 words of the descriptors 4 bytes with the sizes of these words, two bits
each, the first one lowest (0: the word is 0; 1, 2, 3: it takes 1, 2, 4 bytes), then the words' low
bytes, lowest first. Descriptors take whole bus beats of words, and a line at least.
"""

from dataclasses import dataclass, field

__all__ = [
    "ADD",
    "Command",
    "Descriptor",
    "FENCE",
    "HEADER_WORDS",
    "LAST",
    "LOOPS",
    "MAGIC",
    "NOT_LAST",
    "OR_FIRST",
    "OR_LAST",
    "PACKED_GROUP",
    "PACKED_SIZES",
    "PATCH_KINDS",
    "REQUEST_BEATS",
    "Patch",
    "VERSION",
    "packed",
    "padded",
]

MAGIC = 0xEF7A
VERSION = 1
HEADER_WORDS = 12
LOOPS = 5
FENCE, NOT_LAST = 1, 2
ADD, LAST, OR_FIRST, OR_LAST = range(4)
PATCH_KINDS = {"add": ADD, "last": LAST, "or_first": OR_FIRST, "or_last": OR_LAST}
LINE_WORDS = 16
PACKED_GROUP, PACKED_SIZES = 16, (0, 1, 2, 4)  # words, bytes
REQUEST_BEATS = 8  # of a fetch: few, so that loads hardly wait, and the ports share the work


@dataclass
class Patch:
    """One change of a template word by the loop indices; `loops` is a bit mask."""

    kind: int
    word: int
    loops: int
    value: int

    def words(self):
        return [self.kind | self.word << 8 | self.loops << 16, self.value & 0xFFFFFFFF]


@dataclass
class Command:
    """A template command of a layout, with its conditions and patches.

    `work` is what the analytical model must know of it besides; it is not encoded.
    """

    layout: object
    values: dict
    when_first: int = 0
    when_last: int = 0
    fence: bool = False
    patches: list = field(default_factory=list)
    work: object = None
    not_last: bool = False

    def patch(self, kind, name, loops, value):
        """Add a patch of field `name`; returns the command."""
        word, _ = self.layout.place(name)
        if kind == ADD:
            value = int(value) & 0xFFFFFFFF
        else:
            value = self.layout.bits_of(name, value)
        self.patches.append(Patch(kind, word, loops, value))
        return self

    def settle(self, loops):
        """Leave out patches that loops of one iteration decide: they never or always apply."""
        left = []
        for patch in self.patches:
            counts = [count for bit, count in enumerate(loops) if patch.loops >> bit & 1]
            names = [n for n in self.layout.fields if self.layout.place(n)[0] == patch.word]
            if left and any(other.word == patch.word for other in left):
                left.append(patch)  # patches apply in order
            elif any(count > 1 for count in counts):
                left.append(patch)
            elif patch.kind in (OR_FIRST, OR_LAST):
                for name in names:
                    _, shift = self.layout.place(name)
                    bits = patch.value >> shift & (1 << self.layout.fields[name].bits) - 1
                    if bits:
                        self.values[name] = self.values.get(name, 0) | bits
            elif patch.kind == LAST:
                (name,) = names
                self.values[name] = patch.value
        self.patches = left

    def words(self, base_line=0):
        """The encoded command, its addresses moved by `base_line` lines."""
        values = dict(self.values)
        for name, field_ in self.layout.fields.items():
            if field_.line:
                values[name] = values.get(name, 0) + base_line
        template = self.layout.pack(**values)
        flags = (FENCE if self.fence else 0) | (NOT_LAST if self.not_last else 0)
        head = self.layout.opcode | len(template) << 8 | len(self.patches) << 16 | flags << 24
        patches = [word for patch in self.patches for word in patch.words()]
        return [head, self.when_first | self.when_last << 8, *template, *patches]


@dataclass
class Descriptor:
    """A loop nest over commands."""

    tag: int
    loops: list
    commands: list
    last: bool = False

    def words(self, base_line=0):
        """The encoded descriptor, its addresses moved by `base_line` lines."""
        loops = [1] * (LOOPS - len(self.loops)) + list(self.loops)
        if len(loops) != LOOPS or any(not 1 <= count <= 65535 for count in loops):
            raise ValueError(
                f"loop counts must be up to {LOOPS} numbers, 1 to 65535, not {self.loops}"
            )
        body = [word for command in self.commands for word in command.words(base_line)]
        words = [
            MAGIC << 16 | VERSION,
            HEADER_WORDS + len(body),
            self.tag,
            int(self.last),
            len(self.commands),
            *loops,
            0,
            0,
            *body,
        ]
        words[11] = -sum(words) & 0xFFFFFFFF
        return words


def padded(words):
    """Words padded with zeros to whole lines."""
    return words + [0] * (-len(words) % LINE_WORDS)


def packed(descriptors, bus_bytes):
    """A packed program of descriptors, each a list of words: a list of 32-bit words."""
    words, beat_words = [], bus_bytes // 4
    for descriptor in descriptors:
        size = max(LINE_WORDS, -(-len(descriptor) // beat_words) * beat_words)
        words += descriptor + [0] * (size - len(descriptor))
    words += [0] * (-len(words) % PACKED_GROUP)
    stream = bytearray(4)
    for start in range(0, len(words), PACKED_GROUP):
        group = words[start : start + PACKED_GROUP]
        kinds = [min(3, (word.bit_length() + 7) // 8) for word in group]
        stream += sum(kind << 2 * n for n, kind in enumerate(kinds)).to_bytes(4, "little")
        for word, kind in zip(group, kinds, strict=True):
            stream += word.to_bytes(4, "little")[: PACKED_SIZES[kind]]
    stream += bytes(-len(stream) % bus_bytes)
    stream[:4] = (len(stream) // bus_bytes).to_bytes(4, "little")
    return [int.from_bytes(stream[at : at + 4], "little") for at in range(0, len(stream), 4)]
