"""A network with other layers in the place of its tensor-train layers."""

from dataclasses import replace

from . import nn

__all__ = ["dense_twin", "with_ranks"]


def with_ranks(network, ranks):
    """A network with other ranks in its tensor-train layers.

    Parameters
    ----------
    network : nn.Sequential or nn.Network
    ranks : dict
        By the layer's name ("0").

    Raises
    ------
    ValueError
        A name is no tensor-train layer, or a rank does not fit.
    """
    known = [n.name for n in network.nodes if isinstance(n.layer, nn.TTLinear | nn.TTConv2d)]
    for name in ranks:
        if name not in known:
            raise ValueError(f"ranks must be of tensor-train layers {known}, not of {name!r}")

    def other(node):
        if node.name not in ranks:
            return node.layer
        try:
            return replace(node.layer, rank=ranks[node.name])
        except ValueError as error:
            raise ValueError(f"{node.title}: {error}") from None

    return _rebuilt(network, other)


def dense_twin(network):
    """The same network with dense layers in the place of tensor-train layers."""

    def dense(node):
        layer = node.layer
        if isinstance(layer, nn.TTLinear):
            return nn.Linear(layer.in_features, layer.out_features, layer.bias)
        if isinstance(layer, nn.TTConv2d):
            return nn.Conv2d(layer.in_channels, layer.out_channels, layer.kernel_size,
                             layer.stride, layer.padding, bias=layer.bias)  # fmt: skip
        return layer

    return _rebuilt(network, dense)


def _rebuilt(network, layer_of):
    layers = [(node.name, layer_of(node), node.inputs) for node in network.nodes]
    return nn.Network(layers, input_shape=network.input_shape, output=network.output_node.name)
