"""Programs of several instructions on each element: as many vectors at a time as registers hold."""

from ....vector.program_format import REGISTER_WORDS

__all__ = ["block_vectors", "blockwise"]


def block_vectors(lanes):
    """Vectors whose elements fill a register R4 to R7."""
    return REGISTER_WORDS // lanes


def blockwise(vectors, lanes, make):
    """Jobs over vectors that follow each other: whole blocks, then the rest.

    Parameters
    ----------
    vectors, lanes : int
    make : callable
        make(first, size, count, part) -> Job over `count` blocks of `size` vectors from vector
        number `first` on; part 1 is the rest.
    """
    size = block_vectors(lanes)
    count, rest = divmod(vectors, size)
    jobs = [make(0, size, count, 0)] if count else []
    return jobs + ([make(count * size, rest, 1, 1)] if rest else [])
