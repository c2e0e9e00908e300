"""What the parts of the loader hand to each other, and the sizes that they agree upon."""

from amaranth.lib import data
from amaranth.utils import ceil_log2, exact_log2

from .commands import LOAD

__all__ = ["LoadSizes", "chunk", "fill_item", "piece", "route", "run_item"]

_COUNT = LOAD.fields["columns"].bits


class LoadSizes:
    """Sizes of chunks and pieces of one configuration.

    A piece is what is written in a cycle: a bus beat, or a vector where several share a beat. A
    chunk is what is asked for at once: elements that take at most 256 beats, and before them their
    exponents, at most 9 beats.

    Members
    -------
    beats, shared : int
        Bus beats of a vector; vectors of a bus beat. One of them is 1.
    bias_beats, bias_shared : int
        The same for a vector of biases (binary32 in every format).
    chunk, bias_chunk : int
        Vectors of a chunk, powers of two.
    exponent_beats : int
        Exponent beats of the longest chunk.
    """

    def __init__(self, config):
        bus, bias = config.bus_bytes, 4 * config.lanes
        self.beats, self.shared = config.beats_per_vector, config.vectors_per_beat
        self.bias_beats, self.bias_shared = max(1, bias // bus), max(1, bus // bias)
        self.chunk = 256 // self.beats
        if config.has_exponents:
            self.chunk = min(self.chunk, 8 * bus)
        self.bias_chunk = 256 // self.bias_beats
        self.exponent_beats = self.chunk // bus + 1 if config.has_exponents else 0

    @property
    def chunk_bits(self):
        return exact_log2(max(self.chunk, self.bias_chunk)) + 1


def fill_item(config):
    """A channel block of one image as the fill side sees it: `rows` x `columns` vectors.

    Data come for rows `top` .. `bottom` - 1 and columns `left` .. `right` - 1 unless `zero`;
    `first_row`, `first_column` say whether that holds for row 0, column 0. `restart`: vectors count
    from 0. `last` ends the command, then `publish` counts. `empty` items have no vector at all.
    `wide`, `low`: of the command, with `config.bfp16`.
    """
    flags = ("publish", "last", "restart", "empty", "zero", "first_row", "first_column")
    flags += ("wide", "low") if config.bfp16 else ()
    counts = ("rows", "top", "bottom", "columns", "left", "right")
    return data.StructLayout(
        {"mode": 2, "destination": 2, "lane": ceil_log2(config.lanes)}
        | dict.fromkeys(flags, 1)
        | dict.fromkeys(counts, _COUNT)
    )


def run_item():
    """The part of a block that lies in DRAM: `rows` runs of `columns` vectors, the first at vector
    index `vector`, from start to start `stride` vectors."""
    return data.StructLayout(
        {
            "base": 32,
            "exponent_base": 32,
            "vector": 32,
            "rows": _COUNT,
            "columns": _COUNT,
            "stride": _COUNT,
            "bias": 1,
        }
    )


def route():
    """A request on its way: how many beats will come, and of what."""
    return data.StructLayout({"exponents": 1, "beats": 9})


def chunk(config):
    """How to cut a chunk's beats into vectors: where in the first beat it starts, how many."""
    sizes = LoadSizes(config)
    return data.StructLayout(
        {
            "bias": 1,
            "vectors": sizes.chunk_bits,
            "offset": exact_log2(max(sizes.shared, sizes.bias_shared)),
            "exponent_offset": exact_log2(config.bus_bytes) if config.has_exponents else 0,
        }
    )


def piece(config):
    """A bus beat of a vector (in the low bits, where several vectors share a beat) and the
    vector's exponent."""
    return data.StructLayout({"data": 8 * config.bus_bytes, "exponent": 8})
