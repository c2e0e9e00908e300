"""Tensor-train matrices: shapes, ranks, conversion, and the order in which cores are contracted."""

from .convert import tt_round, tt_svd, tt_to_dense
from .layers import dense_weight, from_dense, rounded
from .shapes import core_shapes, exact_ranks

__all__ = [
    "core_shapes", "dense_weight", "exact_ranks", "from_dense", "rounded", "tt_round", "tt_svd",
    "tt_to_dense",
]  # fmt: skip
