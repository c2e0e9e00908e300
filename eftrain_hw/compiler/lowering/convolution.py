"""Conv2d, ConvTranspose2d and Linear."""

from dataclasses import replace
from math import gcd, prod

from .. import nn
from ..fold import is_worth_folding
from ..nn.formats import passes_in
from ..parameters import channel_positions
from ..passes.split import best_split
from ..program import ConvOp
from ..tile_strips import strip_split, strip_splits

__all__ = ["folds_input", "lower_convolution", "lower_linear", "splits"]


def folds_input(state):
    """The first node if the host folds the taps of its convolution into the lanes, else None."""
    users = state.network.users(nn.INPUT)
    if len(users) != 1 or not isinstance(users[0].layer, nn.Conv2d):
        return None
    layer = users[0].layer
    if layer.groups > 1:
        return None
    worth = is_worth_folding(layer.in_channels, layer.kernel_size, state.config.lanes)
    return users[0] if worth else None


def lower_convolution(state, node, name, value, folded):
    """A convolution in either direction; `folded`: its input is folded by the host."""
    layer = node.layer
    out = node.shape
    geometry = {"kernel": layer.kernel_size, "stride": layer.stride, "padding": layer.padding}
    settings = {"dilation": layer.dilation}
    if folded:
        in_shape = (state.blocks(prod(layer.parameters()["weight"][1:])), *out[1:])
        settings = {"folded": dict(geometry)}
        if layer.dilation != (1, 1):
            settings["folded"]["dilation"] = layer.dilation
        geometry = {"kernel": (1, 1), "stride": (1, 1), "padding": (0, 0)}
    else:
        in_shape = state.map_of(value)
        settings["transposed"] = isinstance(layer, nn.ConvTranspose2d)
        if len(value.segments) > 1:
            settings["segments"] = value.segments
    if layer.groups > 1:
        settings["groups"] = layer.groups
        settings["parts"] = _parts(state, layer, value.segments)
    return _convolution(state, node, name, value, in_shape, out, geometry, settings)


def lower_linear(state, node, name, value):
    """A 1x1 convolution over the blocks of the map that the layer sees flattened."""
    channels, height, width = value.shape
    in_shape = (state.blocks(value.segments) * height * width, 1, 1)
    out = (node.layer.out_features, 1, 1)
    settings = {"flattened": (channels, height, width), "channel_last": value.channel_last}
    if len(value.segments) > 1:
        settings["segments"] = value.segments
    geometry = {"kernel": (1, 1), "stride": (1, 1), "padding": (0, 0)}
    value = _convolution(state, node, name, value, in_shape, out, geometry, settings)
    return value.replace(flat=True, channel_last=False)


def _convolution(state, node, name, value, in_shape, out, geometry, settings):
    layer, lanes = node.layer, state.config.lanes
    blocks = state.blocks(out[0])
    op = ConvOp(
        name=name,
        x=value.tensor,
        y=f"y{node.name}",
        key=node.name,
        in_shape=in_shape,
        out_shape=(blocks, *out[1:]),
        bias=layer.bias,
        weight_shape=layer.parameters()["weight"],
        mask=value.relu,
        input_gradient=value.trained,
        train_weight="weight" in layer.trained(),
        train_bias="bias" in layer.trained(),
        **geometry,
        **settings,
    )
    outer, inner = (in_shape[0], blocks) if op.transposed else (blocks, in_shape[0])
    weight = (outer, inner // op.parts, *op.kernel, lanes, lanes)
    shapes = {"weight": weight}
    if layer.bias:
        shapes["bias"] = (blocks, lanes)
    state.add_parameters(node, shapes, copies=("weight",), together=False)
    if op.groups > 1 and op.train_weight:
        state.add_tensor(f"{op.key}.weight.mask", "mask", "elements", weight)
    if layer.format is not None and state.config.format != "bfp8":
        raise ValueError(
            f"{name}: format must be None with configuration format {state.config.format!r}, not"
            f" {layer.format!r}"
        )
    if state.config.format == "bfp8" and state.precision is None:
        op.formats = passes_in(layer.format, state.formats)
    op.split, op.bias_split = splits(state, op)
    return state.produce(node, op, out, (out[0],), inputs=[value])


def splits(state, op):
    """How the lanes share out the pixels in the gradients of the weights and of the biases."""
    if not op.transposed:
        split = (strip_split if state.quick else best_split)(state.config, op, state.batch)
        return split, split
    convolution = replace(op, in_shape=op.out_shape, out_shape=op.in_shape)
    split = strip_split(state.config, convolution, state.batch)
    return split, strip_splits(state.config.lanes, state.batch, *op.out_shape[1:])[0]


def _parts(state, layer, segments):
    """Into how many equal parts, in blocks, the channels fall so that no group crosses one."""
    lanes, groups = state.config.lanes, layer.groups
    inputs = channel_positions(segments, lanes).reshape(groups, -1) // lanes
    outputs = channel_positions((layer.out_channels,), lanes).reshape(groups, -1) // lanes
    in_blocks, out_blocks = state.blocks(segments), state.blocks(layer.out_channels)
    most = gcd(in_blocks, out_blocks)
    for parts in range(most, 1, -1):
        if most % parts:
            continue
        first = inputs // (in_blocks // parts)
        second = outputs // (out_blocks // parts)
        if (first == first[:, :1]).all() and (second == first[:, :1]).all():
            return parts
    return 1
