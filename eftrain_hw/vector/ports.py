"""Streams between the vector operations and the memory side, and what they share."""

from amaranth.hdl import Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = [
    "DividePort",
    "EncodePort",
    "MacPort",
    "ReadPort",
    "ResultPort",
    "RunPort",
    "WritePort",
    "bytes_of_lines",
    "item_run",
    "offer",
    "pool_item_bytes",
    "read_item_bytes",
    "write_item_bytes",
]


def item_run(config):
    """A run of consecutive items of one of the two sizes that its port offers.

    `wide` selects the larger size; where both sizes are equal it has no meaning.
    """
    return data.StructLayout({"address": config.address_bits, "items": 24, "wide": 1})


def pool_item_bytes(config):
    """Bytes of what pooling handles in one cycle: a vector, or a bus beat of a longer one."""
    return min(config.vector_bytes, config.bus_bytes)


def read_item_bytes(config):
    """(narrow, wide) item bytes of the three readers.

    ====== ================== ======================== ========== =======================
    reader update             pooling                  loss       processor
    ====== ================== ======================== ========== =======================
    0      gradient (4)       elements (beat)          logits (4) A (4)
    1      momentum (4)       indices, backward (beat) labels (4) B (4)
                              low digits, forward
    2      master weights (4) exponents (1)                       C, program (4), exp. (1)
    ====== ================== ======================== ========== =======================
    """
    beat = pool_item_bytes(config)
    indices = beat // config.element_bytes
    return tuple(_pair(sizes) for sizes in ((4, beat), (4, indices), (1, 4)))


def write_item_bytes(config):
    """(narrow, wide) item bytes of the four writers.

    ====== ===================== ======================= ================== =============
    writer update                pooling                 loss               processor
    ====== ===================== ======================= ================== =============
    0      momentum (4)          elements (beat)         losses (4)         W0 (4)
    1      master weights (4)    indices, forward (beat)                    W1 (4)
    2      copy (element)        low digits (beat)       gradient (element) E (element)
    3      exponents of copy (1) exponents (1)           exponents (1)      exponents (1)
    ====== ===================== ======================= ================== =============
    """
    beat, element = pool_item_bytes(config), config.element_bytes
    indices, lows = beat // element, (element, beat) if config.bfp16 else (element,)
    return tuple(_pair(sizes) for sizes in ((4, beat), (4, indices), lows, (1,)))


def _pair(sizes):
    return min(sizes), max(sizes)


class ReadPort(wiring.Signature):
    """A run reader, seen from its user; narrow items come in the low bits."""

    def __init__(self, config, item_bytes):
        super().__init__(
            {
                "run": Out(stream.Signature(item_run(config))),
                "items": In(stream.Signature(8 * max(item_bytes))),
            }
        )


class WritePort(wiring.Signature):
    """A run writer, seen from its user; narrow items go in the low bits."""

    def __init__(self, config, item_bytes):
        super().__init__(
            {
                "run": Out(stream.Signature(item_run(config))),
                "items": Out(stream.Signature(8 * max(item_bytes))),
            }
        )


class MacPort(wiring.Signature):
    """A multiply-add pipeline, seen from its user: o = a * b + c, `MultiplyAdd.latency` later."""

    def __init__(self):
        super().__init__({"a": Out(32), "b": Out(32), "c": Out(32), "o": In(32)})


class EncodePort(wiring.Signature):
    """The entrance of an `EncodeQueue`, seen from its user; `low` asks for bfp16's low digits, and
    does not change while anything is on its way."""

    def __init__(self):
        super().__init__(
            {"reserve": Out(1), "room": In(1), "i_valid": Out(1), "i": Out(32), "low": Out(1)}
        )


class DividePort(wiring.Signature):
    """The divider, seen from its user; see `arith.Fp32Divide`."""

    def __init__(self):
        super().__init__(
            {
                "start": Out(1),
                "a": Out(32),
                "b": Out(32),
                "busy": In(1),
                "done": In(1),
                "o": In(32),
            }
        )


class ResultPort(wiring.Signature):
    """The entrance of the queue before writer 0 or 1, seen from its user; see `CreditQueue`.

    There is room for two items more than `room` says: it may be looked at a cycle late, and
    `reserve` may come a cycle late.
    """

    def __init__(self):
        super().__init__(
            {"reserve": Out(1), "room": In(1), "i_valid": Out(1), "i": Out(32), "idle": In(1)}
        )


class RunPort(wiring.Signature):
    """The runs of a writer whose items come through a `ResultPort`."""

    def __init__(self, config):
        super().__init__({"run": Out(stream.Signature(item_run(config)))})


def bytes_of_lines(line):
    """The byte address of a line of 64 bytes."""
    return line << 6


def offer(m, stream, *, when, **fields):
    """Register a payload's fields and make the stream valid, in cycles with `when`.

    Whoever raises `when` has seen that the stream is free: not valid, or ready. Where a run in two
    cycles suffices, only `valid` is looked at: `ready` comes from far away.
    """
    payload = Signal(stream.payload.shape(), reset_less=True)
    m.d.comb += stream.payload.eq(payload)
    with m.If(stream.ready):
        m.d.sync += stream.valid.eq(0)
    with m.If(when):
        m.d.sync += stream.valid.eq(1)
        m.d.sync += [payload[name].eq(value) for name, value in fields.items()]
