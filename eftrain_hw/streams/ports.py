"""Payloads and signatures of the ports between the parts."""

from math import ceil, log2

from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = [
    "AccumulatorRead",
    "BiasRead",
    "BiasWrite",
    "LaneRead",
    "LaneWrite",
    "ReadClient",
    "WriteClient",
    "read_request",
    "run_request",
    "write_beat",
    "write_request",
]


def read_request(config):
    """A request for 1 to 256 bus beats from a bus-aligned byte address."""
    return data.StructLayout({"address": config.address_bits, "beats": 9})


write_request = read_request


def write_beat(config):
    """A bus beat with one strobe bit a byte."""
    return data.StructLayout({"data": 8 * config.bus_bytes, "strobe": config.bus_bytes})


def run_request(config):
    """A run of `items` consecutive items in DRAM, from an item-aligned byte address."""
    return data.StructLayout({"address": config.address_bits, "items": 24})


class ReadClient(wiring.Signature):
    """A reader's port on the memory side, seen from the reader.

    A client asks only for what it can take: it has room for every beat that it has requested.
    Beats come in the order of the requests.
    """

    def __init__(self, config):
        super().__init__(
            {
                "request": Out(stream.Signature(read_request(config))),
                "data": In(stream.Signature(8 * config.bus_bytes)),
            }
        )


class WriteClient(wiring.Signature):
    """A writer's port on the memory side, seen from the writer.

    A client raises a request only when all its beats are buffered: they follow without a gap that
    depends on anybody else. `done` pulses once for each request whose response has come.
    """

    def __init__(self, config):
        super().__init__(
            {
                "request": Out(stream.Signature(write_request(config))),
                "data": Out(stream.Signature(write_beat(config))),
                "done": In(1),
            }
        )


class LaneRead(wiring.Signature):
    """Read port of a lane buffer, seen from the reader: one element of every lane at one address.

    `address` counts elements within a slot; `serial` says how exponents lie: 0, one exponent for
    all lanes (scatter: vector `address`), 1, one for each lane (strip and rotate: vector
    `address // lanes` of every lane). The answer comes a fixed number of cycles later.

    With `config.bfp16`, a slot may be `wide`: it holds half as many elements of two digits, and
    `low` are the low ones, 0 of other slots.
    """

    def __init__(self, config, elements):
        bits = 8 * config.element_bytes
        ports = {
            "slot": Out(1),
            "address": Out(range(elements)),
            "serial": Out(1),
            "elements": In(data.ArrayLayout(bits, config.lanes)),
            "exponents": In(data.ArrayLayout(8, config.lanes)),
        }
        if config.bfp16:
            ports |= {"wide": Out(1), "low": In(data.ArrayLayout(bits, config.lanes))}
        super().__init__(ports)


class LaneWrite(wiring.Signature):
    """Write port of a lane buffer, seen from the writer: one bus word, into one lane or across all.

    Lane j keeps the element of address a at position a ^ (j % piece) of its word, where piece is
    the smaller of `lanes` and the elements of a word: so one and the same `data` goes to all lanes,
    and the element at position p of lane j is written where

        lanes[j] & groups[p // piece]                                  a word to one lane
        | parts[j // piece] & positions[p ^ (j % piece)]               an element to each lane

    Exponent `exponent` goes to the bytes `exponent_lanes` of word `exponent_word`. All enables are
    0 in a cycle without a write.

    With `config.bfp16`, a word of a wide slot holds both digits of half as many elements: a ^ (j %
    piece) is the position of the element whose number in the word is a, plus half a word for its
    low digit. Of a word to one lane, `halves[h]` enables the positions p with p ^ (j % piece) in
    half h of the piece.
    """

    def __init__(self, config, words):
        elements = words * config.elements_per_beat // 2
        ports = {
            "word": Out(range(words // 2)),
            "data": Out(8 * config.bus_bytes),
            "lanes": Out(config.lanes),
            "groups": Out(config.vectors_per_beat),
            "parts": Out(config.beats_per_vector),
            "positions": Out(config.elements_per_beat),
            "exponent_word": Out(range(elements // config.lanes)),
            "exponent": Out(8),
            "exponent_lanes": Out(config.lanes),
        }
        if config.bfp16:
            ports["halves"] = Out(2)
        super().__init__(ports)


class BiasWrite(wiring.Signature):
    """Write port of the bias bank, seen from the writer: a bus beat, or a vector of `lanes` words
    where that is shorter."""

    def __init__(self, config):
        size = min(config.bus_bytes, 4 * config.lanes)
        super().__init__(
            {
                "enable": Out(1),
                "word": Out(range(config.bias_depth * 4 // size)),
                "data": Out(8 * size),
            }
        )


class BiasRead(wiring.Signature):
    """Read port of the bias bank, seen from the reader: binary32 word `word` of a slot.

    The answer comes as many cycles later as a lane buffer's.
    """

    def __init__(self, config):
        super().__init__({"slot": Out(1), "word": Out(range(config.bias_depth)), "value": In(32)})


class AccumulatorRead(wiring.Signature):
    """Drain port of the accumulators, seen from the drain.

    Reads `drain_lanes` neighbouring rows, rows group * drain_lanes and up, at one position of one
    bank. The values come a fixed number of cycles later.
    """

    def __init__(self, config):
        super().__init__(
            {
                "bank": Out(1),
                "position": Out(range(config.accumulator_depth)),
                "group": Out(max(1, ceil(log2(config.rows // config.drain_lanes)))),
                "values": In(data.ArrayLayout(32, config.drain_lanes)),
            }
        )
