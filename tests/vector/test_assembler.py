"""The assembler: what it refuses, and that its words walk as its walks say."""

import subprocess
import sys

import numpy as np
import pytest

from eftrain_hw.vector import program_format as layout
from eftrain_hw.vector.assembler import (
    POSITION,
    T0,
    A,
    B,
    Bounds,
    C,
    Extent,
    Instruction,
    R,
    Scalar,
    VectorProgram,
    Walk,
)
from sim.models.vector_examples import EXAMPLES

KINDS = {"a": "raw", "b": "bytes", "c": "raw", "w0": "raw", "w1": "raw"}
ON = Walk(steps=(0, 0, 0, 1))
LINE = Extent((1, 1, 1, 4), a=ON, b=ON, c=ON, e=ON, w0=ON, w1=ON)


def assemble(*instructions, extents=(LINE,), kinds=KINDS, **others):
    return VectorProgram(instructions, extents, kinds, **others).words(8)


def table_of(words):
    """The table memory that a program fills."""
    table, at = [0] * 512, layout.HEADER_WORDS
    while at < len(words):
        address, count = words[at] >> 16, words[at] & 0xFFFF
        table[address : address + count] = words[at + 1 : at + 1 + count]
        at += 1 + count
    return table


@pytest.mark.parametrize(
    "instruction, message",
    [
        (dict(operation="add"), "instruction 0: operation must be one of"),
        (dict(post="tanh"), "instruction 0: post must be one of"),
        (dict(extent=1), "instruction 0: extent must be 0 to 0, not 1"),
        (dict(a0=C), "instruction 0: a0 must be a constant or one of .*, not 'c'"),
        (dict(c0=A), "instruction 0: c0 must be a constant or one of .*, not 'a'"),
        (dict(b0=T0), "instruction 0: b0 must be a constant or one of .*, not 't0'"),
        (dict(c1=POSITION), "instruction 0: c1 must be a constant or one of .*, not 'position'"),
        (dict(a0=R(1), b1=R(2)), "instruction 0: a0 and b1 must be one and the same register"),
        (dict(c0=R(1), c1=R(2)), "instruction 0: c0 and c1 must be one and the same register"),
        (dict(operation="random", a0=A), "instruction 0: the seed of random must be a constant"),
        (dict(across=True), "instruction 0: across must go with accumulate"),
        (dict(to=("e", "f")), "instruction 0: results must go to e, w0, w1 or a register, not 'f'"),
        (dict(to=(R(0), R(1))), "instruction 0: results must go to one register, not to several"),
        (dict(to=("w0",), emit="last"), "instruction 0: w0 must not step with i0 where emit is"),
        (dict(reduce="never", accumulate="sum"), "instruction 0: reduce must not be 'never'"),
        (dict(a0=R(0), to=(R(0),)), "register 0 must not be read where it is written before: 32 e"),
        (dict(a0=R(5, scalar=True), to=(R(5),)), "register 5 must not be read where it is written"),
        (dict(pad=1.0), "instruction 0: pad must be one of"),
    ],
)
def test_refuses_an_instruction(instruction, message):
    with pytest.raises(ValueError, match=message):
        assemble(Instruction(**{"to": ("w0",)} | instruction))


@pytest.mark.parametrize(
    "extent, message",
    [
        (Extent((1, 1, 4)), "extent 0: counts must be"),
        (Extent((1, 1, 1, 0)), "extent 0: count must be 1 to 65535, not 0"),
        (Extent((1, 1, 1, 1 << 16)), "extent 0: count must be 1 to 65535, not 65536"),
        (Extent((1, 1, 1, 1), a=Walk(1 << 31)), "extent 0: a must fit into 32 bits"),
        (Extent((1, 1, 1, 1), a=Walk(0, (1, 1))), "extent 0: steps of a must be"),
        (Extent((1, 1, 1, 1), bounds=Bounds(Walk(), 0, Walk(), 1)), "extent 0: height must be 1"),
        (Extent((1, 1, 1, 2)), "instruction 0: w0 must step with i0 where emit is 'every'"),
    ],
)
def test_refuses_an_extent(extent, message):
    with pytest.raises(ValueError, match=message):
        assemble(Instruction(to=("w0",)), extents=(extent,))


def test_refuses_programs():
    some = Instruction(to=("w0",))
    with pytest.raises(ValueError, match="instructions must be 1 to 32, not 33"):
        assemble(*[some] * 33)
    with pytest.raises(ValueError, match="extents must be 1 to 4, not 0"):
        assemble(some, extents=())
    with pytest.raises(ValueError, match="kind of stream 'c' must be one of"):
        assemble(some, kinds=KINDS | {"c": "bytes"})
    with pytest.raises(ValueError, match="stream 'w0' must have a kind, one of"):
        assemble(some, kinds={})
    with pytest.raises(ValueError, match="outer steps must be of streams"):
        assemble(some, outer={"row": 1})
    many = [Instruction(a0=float(k), to=("w0",)) for k in range(33)]
    with pytest.raises(ValueError, match="instructions must be"):
        assemble(*many)
    many = [Instruction("mac", a0=2.0 * k, b0=2.0 * k + 1, to=("w0",)) for k in range(17)]
    with pytest.raises(ValueError, match="at most 32 constants, not 35"):
        assemble(*many)
    with pytest.raises(TypeError, match="a0 must be a number or an Operand, not 'x'"):
        assemble(Instruction(a0="x", to=("w0",)))
    with pytest.raises(ValueError, match="Scalar must be 0 to 15, not 16"):
        Scalar(16)
    with pytest.raises(TypeError, match="R must be int, not 1.0"):
        R(1.0)


def test_header():
    words = assemble(Instruction(to=("w0",)), Instruction(to=("w1",)))
    assert words[0] == layout.MAGIC << 16 | layout.VERSION
    assert words[1] == len(words) | 2 << 16
    assert sum(words) & 0xFFFFFFFF == 0


@pytest.mark.parametrize("seed", range(20))
def test_steps_of_the_table_walk_as_the_formula(seed):
    rng = np.random.default_rng(seed)
    counts = tuple(int(n) for n in rng.integers(1, 5, 3)) + (int(rng.choice([1, 3, 40, 64, 97])),)
    walk = Walk(int(rng.integers(99)), (*(int(s) for s in rng.integers(-9, 10, 3)), seed % 3))
    extent = Extent(counts, a=walk)
    table = table_of(assemble(Instruction(a0=A, to=(R(0),)), extents=(extent,)))
    header = table[layout.START_BASE + len(layout.INDICES) :]
    chunk, last = header[4] >> 2 & 63, header[4] >> 8 & 63
    n3, n2, n1, chunks = (n + 1 for n in header[:4])
    got, at = [], table[layout.START_BASE]
    for _, i2, i1, i0 in np.ndindex(n3, n2, n1, chunks):
        ends = (i0 == chunks - 1, i1 == n1 - 1, i2 == n2 - 1)
        got += [(at + v) & 0xFFFFFFFF for v in range(last if ends[0] else chunk)]
        level = next((k for k, end in enumerate(ends) if not end), 3)
        at += table[layout.STEP_BASE + 16 * level]
    want = [
        (walk.start + int(np.dot(place, walk.steps))) & 0xFFFFFFFF for place in np.ndindex(*counts)
    ]
    assert got == want


def waits(*instructions, lanes=16, count=4):
    extent = Extent((1, 1, 1, count), a=ON, w0=ON)
    words = VectorProgram(instructions, (extent,), KINDS).words(lanes)
    table, (word, shift, _) = table_of(words), layout.field_places()["wait"]
    return [table[4 * k + word] >> shift & 1 for k in range(len(instructions))]


def test_only_dependent_instructions_wait():
    make = [Instruction(a0=A, to=(R(4),)), Instruction(a0=R(4), to=("w0",))]
    assert waits(*make) == [1, 0]  # 64 elements: each word is old enough
    assert waits(*make, count=2) == [1, 1]
    assert waits(*make, count=5) == [1, 1]  # the window wraps
    assert waits(make[0], Instruction(a0=R(4, scalar=True), to=("w0",))) == [1, 1]
    assert waits(Instruction(a0=A, to=(R(1),)), Instruction(a0=R(1), to=("w0",))) == [1, 1]
    total = Instruction(a0=A, accumulate="sum", emit="last", to=(R(1),))
    assert waits(total, total) == [1, 1]
    assert waits(total, Instruction(a0=B, to=(R(2),))) == [1, 0]


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.parametrize("lanes", [8, 16, 32])
def test_written_programs_assemble(name, lanes):
    assert len(EXAMPLES[name](lanes).words(lanes)) <= 300


def test_the_assembler_needs_no_amaranth():
    script = "import sys; sys.modules['amaranth'] = None; import eftrain_hw.vector.assembler"
    subprocess.run([sys.executable, "-c", script], check=True)
