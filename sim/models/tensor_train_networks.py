"""Networks of tensor-train layers, odd in every size: either order, ranks of one block and more."""

from eftrain_hw import nn

__all__ = ["TENSOR_TRAIN_NETWORKS", "convolution", "full_lanes", "wide_ranks"]


def first_on():
    """Contracted from the first core on, then from the last; ranks within a block."""
    return nn.Sequential(
        nn.Flatten(),
        nn.TTLinear(60, 42, in_shape=(3, 5, 4), out_shape=(7, 3, 2), rank=3),
        nn.ReLU(),
        nn.TTLinear(42, 5, in_shape=(7, 3, 2), out_shape=(5, 1, 1), rank=(4, 2)),
        input_shape=(1, 6, 10),
    )


def wide_ranks(rank=16):
    """Ranks of two and four blocks of four or eight lanes; no bias in between."""
    return nn.Sequential(
        nn.Flatten(),
        nn.TTLinear(120, 60, in_shape=(6, 5, 4), out_shape=(5, 3, 4), rank=(rank, 16), bias=False),
        nn.ReLU(),
        nn.TTLinear(60, 6, in_shape=(5, 3, 4), out_shape=(1, 1, 6), rank=(5, 8)),
        input_shape=(1, 10, 12),
    )


def behind_a_map():
    """Behind convolutions, with a Linear layer behind it; a core that is frozen."""
    return nn.Sequential(
        nn.Conv2d(2, 8, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.TTLinear(8 * 12, 30, in_shape=(8, 3, 4), out_shape=(2, 3, 5), rank=4,
                    requires_grad=("cores.0", "cores.2", "bias")),
        nn.ReLU(),
        nn.Linear(30, 3),
        input_shape=(2, 3, 4),
    )  # fmt: skip


def full_lanes(lanes):
    """Features that lie as whole blocks of lanes between two layers."""
    return nn.Sequential(
        nn.Flatten(),
        nn.TTLinear(30, 5 * lanes, in_shape=(6, 5), out_shape=(5, lanes), rank=3),
        nn.ReLU(),
        nn.TTLinear(5 * lanes, 6, in_shape=(5, lanes), out_shape=(6, 1), rank=2),
        input_shape=(1, 6, 5),
    )


def convolution(lanes):
    """TTConv2d with a stride, its channels as lanes ask."""
    return nn.Sequential(
        nn.Conv2d(3, 2 * lanes, 1),
        nn.ReLU(),
        nn.TTConv2d(2 * lanes, 3 * lanes, 3, in_shape=(2, lanes), out_shape=(lanes, 3), rank=3,
                    stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(3 * lanes * 6, 4),
        input_shape=(3, 4, 5),
    )  # fmt: skip


TENSOR_TRAIN_NETWORKS = {make.__name__: make for make in (first_on, wide_ranks, behind_a_map)}
