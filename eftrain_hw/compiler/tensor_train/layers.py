"""Dense layers to tensor-train layers and back, with their weights in PyTorch's shapes."""

from dataclasses import replace

import numpy as np

from .convert import tt_round, tt_svd, tt_to_dense
from .shapes import exact_ranks

__all__ = ["dense_weight", "from_dense", "rounded"]


def from_dense(layer, weight, *, rank=None, tolerance=None):
    """A tensor-train layer and its cores from the weight of the dense layer in its place.

    Parameters
    ----------
    layer : nn.TTLinear or nn.TTConv2d
        Its features, factors and geometry are kept; its ranks are replaced by those found.
    weight : array
        PyTorch's shape: (out, in), or (out, in, kh, kw).
    rank, tolerance
        As `tt_svd`; None for both keeps the ranks of `layer` as the limit.

    Returns
    -------
    (layer, dict)
        The layer with the ranks found, and "cores.0" .. as float32 arrays.
    """
    kernel = getattr(layer, "kernel_size", ())
    outputs, inputs = np.prod(layer.out_shape), np.prod(layer.in_shape)
    weight = np.asarray(weight, np.float64)
    expected = (outputs, inputs, *kernel)
    if weight.shape != expected:
        sizes = tuple(int(size) for size in expected)
        raise ValueError(f"weight must have shape {sizes}, not {weight.shape}")
    in_shape = list(layer.in_shape)
    if kernel:
        first = layer.out_shape[0]  # innermost in the outputs' numbers
        weight = weight.reshape(outputs // first, first, -1).swapaxes(0, 1)
        in_shape[-1] *= int(np.prod(kernel))
    if rank is None and tolerance is None:
        rank = layer.rank
    cores = tt_svd(weight.reshape(outputs, -1), layer.out_shape, tuple(in_shape),
                   rank=rank, tolerance=tolerance)  # fmt: skip
    return _described(layer, [_unfolded(layer, k, core) for k, core in enumerate(cores)])


def rounded(layer, state, *, rank=None, tolerance=None):
    """The same with smaller ranks: (layer, cores); `state` has "cores.0" .. as `from_dense`."""
    cores = tt_round(_folded(layer, state), rank=rank, tolerance=tolerance)
    return _described(layer, [_unfolded(layer, k, core) for k, core in enumerate(cores)])


def dense_weight(layer, state):
    """The weight of the dense layer in a tensor-train layer's place, in PyTorch's shape."""
    dense = tt_to_dense(_folded(layer, state))
    kernel = getattr(layer, "kernel_size", ())
    if not kernel:
        return dense
    ordered = dense.reshape(layer.out_shape[0], -1, dense.shape[1]).swapaxes(0, 1)
    return np.ascontiguousarray(ordered).reshape(len(dense), -1, *kernel)


def _folded(layer, state):
    """Cores of four axes: a kernel becomes a part of the last n."""
    cores = [np.asarray(state[f"cores.{k}"]) for k in range(len(layer.in_shape))]
    if cores[-1].ndim == 6:
        rank, m = cores[-1].shape[:2]
        cores[-1] = np.moveaxis(cores[-1], 3, 5).reshape(rank, m, -1, 1)
    return cores


def _unfolded(layer, k, core):
    """The inverse, for core number k."""
    kernel = getattr(layer, "kernel_size", ())
    if not kernel or k < len(layer.in_shape) - 1:
        return core
    rank, m = core.shape[:2]
    core = core.reshape(rank, m, layer.in_shape[-1], *kernel, 1)
    return np.ascontiguousarray(np.moveaxis(core, 5, 3))


def _described(layer, cores):
    ranks = [core.shape[3] for core in cores[:-1]]
    most = exact_ranks(layer.out_shape, layer.in_shape, int(np.prod(getattr(
        layer, "kernel_size", 1))))  # fmt: skip
    assert all(r <= limit for r, limit in zip(ranks, most, strict=True))
    layer = replace(layer, rank=tuple(ranks))
    return layer, {f"cores.{k}": core for k, core in enumerate(cores)}
