"""DRAM for a vector program: random streams where its walks go, and the command that runs it."""

import numpy as np

from eftrain_hw.formats import format_named

__all__ = ["place"]

STREAMS = ("a", "b", "c", "e", "w0", "w1")


def reach(program, name, count):
    """(lowest, highest) vector that a stream of a program delivers or takes."""
    low = high = None
    for instruction in program.instructions:
        if not instruction.uses(name):
            continue
        walk = getattr(program.extents[instruction.extent], name)
        counts = program.extents[instruction.extent].counts
        moves = [(n - 1) * s for n, s in zip(counts, walk.steps)]
        moves.append((count - 1) * program.outer.get(name, 0))
        least = walk.start + sum(m for m in moves if m < 0)
        most = walk.start + sum(m for m in moves if m > 0)
        if program.extents[instruction.extent].bounds is not None and name in ("a", "b"):
            least = max(least, 0)  # what lies outside the bounds is not read
        low = least if low is None else min(low, least)
        high = most if high is None else max(high, most)
    return low, high


def values(rng, shape):
    """fp32 of a few magnitudes, some of them special."""
    result = rng.standard_normal(shape).astype(np.float32)
    result *= np.exp2(rng.integers(-4, 5, shape)).astype(np.float32)
    result[rng.random(shape) < 0.05] = 0.0
    return result


def place(program, config, rng, *, count=1, special=False):
    """(memory, fields): DRAM with random streams, and the command's fields."""
    fields, at = {"count": count}, 1
    chunks = []

    def put(name, array):
        nonlocal at
        data = np.frombuffer(np.ascontiguousarray(array).tobytes(), np.uint8)
        fields[name] = at
        chunks.append((at * 64, data))
        at += -(-len(data) // 64) + 1

    words = program.words(config.lanes)
    put("program", np.array(words, np.uint32))
    fields["program_words"] = len(words)
    put("scalars", values(rng, 16))
    fields["use_scalars"] = 1
    codec = format_named(config.format)
    for name in STREAMS:
        low, high = reach(program, name, count)
        if low is None:
            continue
        assert low >= 0, f"stream {name} starts before its tensor"
        shape = (high + 1, config.lanes)
        kind = "elements" if name == "e" else program.kinds[name]
        if kind == "bytes":
            put(name, rng.integers(0, 9, shape).astype(np.uint8))
        elif kind == "raw":
            array = values(rng, shape)
            if special:
                odd = np.array([np.inf, -np.inf, np.nan, 1e-39, -0.0, 3e38], np.float32)
                array = np.where(rng.random(shape) < 0.05, rng.choice(odd, shape), array)
            put(name, array.astype(np.float32))
        else:
            elements, exponents = codec.encode(values(rng, shape))
            put(name, elements)
            if exponents is not None:
                put(f"{name}_exponents", exponents)
    memory = np.zeros(1 << (at * 64 - 1).bit_length(), np.uint8)
    for address, data in chunks:
        memory[address : address + len(data)] = data
    return memory, fields
