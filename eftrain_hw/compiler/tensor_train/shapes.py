"""Factors and ranks of TT-matrices."""

from math import prod

__all__ = ["checked_factors", "checked_ranks", "core_shapes", "exact_ranks"]


def exact_ranks(out_shape, in_shape, kernel=1):
    """The ranks from which on a TT-matrix of these factors holds every matrix.

    Parameters
    ----------
    out_shape, in_shape : tuple of int
        Factors m_k and n_k, as many of one as of the other.
    kernel : int
        Positions of a convolution kernel, which belong to the last core.

    Returns
    -------
    tuple of int
        r_1 .. r_(d-1).
    """
    sizes = [m * n for m, n in zip(out_shape, in_shape, strict=True)]
    sizes[-1] *= kernel
    return tuple(min(prod(sizes[:k]), prod(sizes[k:])) for k in range(1, len(sizes)))


def core_shapes(out_shape, in_shape, ranks):
    """Shapes (r_(k-1), m_k, n_k, r_k) of the cores."""
    bonds = (1, *ranks, 1)
    return [
        (bonds[k], m, n, bonds[k + 1])
        for k, (m, n) in enumerate(zip(out_shape, in_shape, strict=True))
    ]


def checked_factors(owner, name, value, total_name, total):
    """`value` as a tuple of factors of `total`; TypeError or ValueError with the numbers."""
    integers = isinstance(value, tuple | list) and all(
        isinstance(v, int) and not isinstance(v, bool) for v in value
    )
    if not integers:
        raise TypeError(f"{owner}.{name} must be integers, not {value!r}")
    value = tuple(value)
    if len(value) < 2 or min(value) < 1:
        raise ValueError(f"{owner}.{name} must be two factors or more, 1 or more each, not {value}")
    if prod(value) != total:
        raise ValueError(
            f"{owner}.{name} must be factors of {total_name} {total},"
            f" not {value}, whose product is {prod(value)}"
        )
    return value


def checked_ranks(owner, rank, out_shape, in_shape, kernel=1):
    """`rank`, one for all bonds or one each, as a tuple of r_1 .. r_(d-1).

    Raises
    ------
    TypeError, ValueError
        With what the shapes allow.
    """
    bonds = len(out_shape) - 1
    ranks = (rank,) * bonds if isinstance(rank, int) else rank
    integers = isinstance(ranks, tuple | list) and all(
        isinstance(r, int) and not isinstance(r, bool) for r in ranks
    )
    if isinstance(rank, bool) or not integers:
        raise TypeError(f"{owner}.rank must be an integer or {bonds} of them, not {rank!r}")
    ranks = tuple(ranks)
    if len(ranks) != bonds:
        raise ValueError(
            f"{owner}.rank must be one integer or {bonds}, one between each two of"
            f" {len(out_shape)} cores, not {rank!r}"
        )
    if min(ranks) < 1:
        where = ranks.index(min(ranks)) + 1
        raise ValueError(
            f"{owner}.rank must be at least 1 everywhere, not {min(ranks)} between cores"
            f" {where} and {where + 1} ({rank!r})"
        )
    exact = exact_ranks(out_shape, in_shape, kernel)
    if any(r > most for r, most in zip(ranks, exact, strict=True)):
        raise ValueError(
            f"{owner}.rank must be at most {exact}, the exact ranks of {tuple(in_shape)} to"
            f" {tuple(out_shape)}, not {rank!r}"
        )
    return ranks
