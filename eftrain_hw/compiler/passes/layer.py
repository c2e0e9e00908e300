"""The passes of a layer: FP and BP, which a transposed convolution exchanges, and WU."""

from . import backward, forward
from .bias_gradient import bias_gradient_tiling_and_descriptor
from .roles import backward_pass, bias_pass, forward_pass, gradient_pass
from .weight_gradient import weight_gradient_tiling_and_descriptor

__all__ = [
    "backward_descriptor",
    "bias_gradient_descriptor",
    "forward_descriptor",
    "forward_tiling",
    "weight_gradient_descriptor",
]


def forward_tiling(config, op, batch, tensors):
    """The tiling of FP."""
    tiling = backward.scatter_tiling if op.transposed else forward.gather_tiling
    return tiling(config, forward_pass(op), batch * op.maps, tensors)


def forward_descriptor(config, op, tensors, tiling, producers, pool, tag):
    """FP of a layer.

    Parameters
    ----------
    config : AcceleratorConfig
    op : ArrayOp
    tensors : dict
    tiling : Tiling
    producers : collection of str
        The engines that make x: of "drain", "vector"; none for the host.
    pool : PoolOp or None
        The pooling that rides on the tiles.
    tag : int

    Returns
    -------
    Descriptor
    """
    make = backward.scatter_descriptor if op.transposed else forward.gather_descriptor
    return make(config, forward_pass(op), tensors, tiling, producers, pool, tag)


def backward_descriptor(config, op, batch, tensors, producers, tag):
    """BP of a layer: (descriptor, tiling). `producers` are the engines that make dy."""
    run = backward_pass(op)
    if op.transposed:
        tiling, make = forward.gather_tiling, forward.gather_descriptor
    else:
        tiling, make = backward.scatter_tiling, backward.scatter_descriptor
    tiling = tiling(config, run, batch * op.maps, tensors)
    return make(config, run, tensors, tiling, producers, None, tag), tiling


def weight_gradient_descriptor(config, op, batch, tensors, producers, tag):
    """WU of a layer's weights, and of its biases unless `bias_gradient_descriptor` makes those:
    (descriptor, tiling).

    `producers` are the engines that make dy; none where BP has waited for them.
    """
    return weight_gradient_tiling_and_descriptor(
        config, gradient_pass(op), batch * op.maps, tensors, producers, tag
    )


def bias_gradient_descriptor(config, op, batch, tensors, producers, tag):
    """WU of a layer's biases alone: (descriptor, tiling)."""
    return bias_gradient_tiling_and_descriptor(
        config, bias_pass(op), batch, tensors, producers, tag
    )
