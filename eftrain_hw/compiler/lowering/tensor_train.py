"""TTLinear and TTConv2d: one strided convolution a core."""

from itertools import product
from math import prod

import numpy as np

from .. import nn
from ..chain import FeatureBiasOp, StepView, TTStepOp
from ..tile_strips import strip_splits
from .state import Value

__all__ = ["LayoutError", "contraction_orders", "input_layout", "lower_tt_conv", "lower_tt_linear"]

_MOST_RANKED = 10  # layers: of more, the orders are not sorted


class LayoutError(ValueError):
    """A layer's input lies in memory so that it can't be contracted in the order tried."""


def contraction_orders(network, config, batch):
    """The orders in which to contract the cores of a network's TTLinear layers, cheapest first.

    Every layer can be contracted from its first core on or from its last: all other orders leave
    two ranks open at a time. The price is the array's multiplications, of equal ones that with less
    memory for activations comes first.

    Yields
    ------
    dict
        By the node's name: whether its cores are contracted from the last one on.
    """
    nodes = [node for node in network.nodes if isinstance(node.layer, nn.TTLinear)]
    prices = [
        {reverse: _price(node.layer, reverse, config.lanes, batch) for reverse in (False, True)}
        for node in nodes
    ]
    ranked = [sorted(price, key=price.get) for price in prices]
    orders = product(*ranked)
    if len(nodes) <= _MOST_RANKED:

        def total(order):
            return tuple(map(sum, zip(*(p[o] for p, o in zip(prices, order, strict=True)))))

        orders = sorted(orders, key=total)
    for order in orders:
        yield {node.name: reverse for node, reverse in zip(nodes, order, strict=True)}


def _price(layer, reverse, lanes, batch):
    """(multiplications of a forward pass, vectors of activations an image)."""
    steps = _steps(layer, reverse, lanes)
    macs = sum(step.macs(batch, lanes) for step in steps)
    return macs, sum(prod(step.out_shape) for step in steps)


def input_layout(network, orders):
    """How the host lays the network's input out for a TTLinear that alone reads it.

    Returns
    -------
    (int, int, bool) or None
        Channels, pixels, and whether a feature's number has the channel innermost; None where the
        input is an ordinary map.
    """
    users = _users(network, nn.INPUT)
    if len(users) != 1 or not isinstance(users[0].layer, nn.TTLinear):
        return None
    layer, reverse = users[0].layer, orders[users[0].name]
    channels = layer.in_shape[-1 if reverse else 0]
    return channels, layer.in_features // channels, reverse


def _users(network, name):
    found = []
    for node in network.users(name):
        renames = isinstance(node.layer, nn.Flatten | nn.Identity)
        found += _users(network, node.name) if renames else [node]
    return found


def lower_tt_linear(state, node, name, value):
    layer, reverse, lanes = node.layer, state.orders[node.name], state.config.lanes
    steps = _steps(layer, reverse, lanes)
    if value.op is None:
        steps[0].input_layout = input_layout(state.network, state.orders)
    if steps[0].input_layout is None:
        _check_input(node, value, reverse, lanes)
    channels = layer.out_shape[0 if reverse else -1]
    pixels = layer.out_features // channels
    last = steps[-1]
    shape, channel_last = (channels, *last.out_shape[1:]), not reverse
    if pixels == 1:
        channel_last = False
    elif channel_last and channels == lanes:  # pixel by pixel, as blocks of channels lie
        last.out_shape, shape, channel_last = (pixels, 1, 1), (layer.out_features, 1, 1), False
    p, c = np.arange(layer.out_features) % pixels, np.arange(layer.out_features) // pixels
    if not reverse:
        p, c = np.divmod(np.arange(layer.out_features), channels)
    blocks = state.blocks(channels)
    layout = ((c // lanes) * pixels + p) * lanes + c % lanes
    op = _connect(state, node, name, value, steps, (blocks, pixels, lanes), layout)
    trained = bool(layer.trained()) or value.trained
    return Value(op.y, shape, (shape[0],), True, False, op, trained, channel_last)


def lower_tt_conv(state, node, name, value):
    layer, lanes = node.layer, state.config.lanes
    n, m = layer.in_shape[-1], layer.out_shape[0]
    if n % lanes or m != lanes:
        raise ValueError(
            f"{node.title}: in_shape must end with a multiple of the {lanes} lanes and out_shape"
            f" begin with {lanes}, not {layer.in_shape} and {layer.out_shape}"
        )
    if len(value.segments) > 1 or value.flat or value.channel_last:
        raise ValueError(f"{node.title}: the input must be a map that is no concatenation")
    out = node.shape
    steps = _steps(layer, True, lanes, (value.shape[1:], out[1:]))
    steps[-1].out_shape = (state.blocks(out[0]), *out[1:])
    channels = np.arange(out[0])
    shape = (state.blocks(out[0]), 1, lanes)
    op = _connect(state, node, name, value, steps, shape, channels)
    return Value(op.y, out, (out[0],), False, False, op, bool(layer.trained()) or value.trained)


def _check_input(node, value, reverse, lanes):
    layer, (channels, *size) = node.layer, value.shape
    factor = layer.in_shape[-1 if reverse else 0]
    if len(value.segments) == 1:
        if value.channel_last == reverse and channels == factor:
            return
        if reverse and not value.channel_last and tuple(size) == (1, 1) and factor == lanes:
            return
    where = "end" if value.channel_last else "begin"
    raise LayoutError(
        f"{node.title}: in_shape must {where} with {channels}, the factor whose index lies on the"
        f" lanes of its input, not {layer.in_shape}"
    )


def _steps(layer, reverse, lanes, maps=None):
    """The TTStepOps of a layer in the order of contraction, not yet connected.

    Parameters
    ----------
    maps : ((int, int), (int, int)) or None
        Height and width of the input and the output of a TTConv2d.
    """
    m, n, cores = layer.out_shape, layer.in_shape, layer.core_shapes()
    d = len(m)
    done, rest = (n, m) if reverse else (m, n)
    size = prod(maps[1]) if maps else 1
    steps = []
    for k in range(d - 1, -1, -1) if reverse else range(d):
        first, last = (d - 1, 0) if reverse else (0, d - 1)
        lead, trail = prod(done[:k]), prod(rest[k + 1 :]) * size
        rank_in, rank_out = cores[k][3], cores[k][0]
        if not reverse:
            rank_in, rank_out = rank_out, rank_in
        outer, kernel, stride, padding = 1, (n[k], 1), (n[k], 1), (0, 0)
        conv_in = (-(-rank_in // lanes), lead * n[k], trail)
        if k == first:
            conv_in, kernel, stride = (-(-n[k] // lanes), lead, trail), (1, 1), (1, 1)
        modes, blocks = m[k], -(-rank_out // lanes)
        if k == last:
            modes, blocks = 1, -(-m[k] // lanes)
        if k == first and maps:
            conv_in = (-(-n[k] // lanes), *maps[0])
            kernel, stride, padding = layer.kernel_size, layer.stride, layer.padding
            outer, lead, trail = lead, 1, size
        view = StepView(outer, modes, blocks, lead, trail)
        steps.append(
            TTStepOp(
                name=None, x=None, y=None, key=None, core=str(k), in_shape=None,
                out_shape=(blocks, outer * lead * modes, trail), conv_in=conv_in, kernel=kernel,
                stride=stride, padding=padding, view=view, core_shape=cores[k], reverse=reverse,
                modes_in_lanes=k == first, modes_out_lanes=k == last,
            )
        )  # fmt: skip
    return steps


def _connect(state, node, name, value, steps, bias_shape, bias_layout):
    """Name the steps, add their tensors and the bias; returns the last operation."""
    layer, lanes = node.layer, state.config.lanes
    trained, wanted = layer.trained(), value.trained
    tensor, shape, key = value.tensor, state.map_of(value), f"{node.name}.cores"
    shapes = {}
    fan_in = prod(layer.in_shape) * prod(getattr(layer, "kernel_size", ()))
    # elements of the matrix are sums over the ranks: of the variance of a uniform 1 / sqrt(fan in)
    core_bound = 3**0.5 * (3 * fan_in * prod(layer.rank)) ** (-1 / (2 * len(steps)))
    for number, op in enumerate(steps):
        last = number == len(steps) - 1
        op.name, op.key = f"{name} step {number + 1}", key
        op.x, op.in_shape, op.input_gradient = tensor, shape, wanted
        op.y = f"y{node.name}" if last and not layer.bias else f"y{node.name}.{number}"
        op.mask, op.train_weight = number == 0 and value.relu, f"cores.{op.core}" in trained
        op.raw, op.bound = last and layer.bias, core_bound
        view = op.view
        pixels = (view.rows, view.inner)
        if op.kernel[1] > 1 or view.outer > 1:  # a map of pixels, of which the view makes a row
            pixels = node.shape[1:]
        op.split = strip_splits(lanes, state.batch * view.outer, *pixels)[0]
        shapes[f"cores.{op.core}"] = (
            view.modes * view.blocks, op.conv_in[0], *op.kernel, lanes, lanes,
        )  # fmt: skip
        if state.precision is not None:
            op.gradient_format = state.precision.format_of("gradients")
        _register(state, op)
        wanted = wanted or op.train_weight
        tensor, shape = op.y, op.out_shape
    for parameter, device in shapes.items():
        state.add_parameters(node, {parameter: device}, copies=(parameter,))
    if layer.bias:
        state.add_parameters(node, {"bias": bias_shape})
    _narrow(state, node)
    if not layer.bias:
        return op
    op = FeatureBiasOp(
        name=f"{name} bias", x=tensor, y=f"y{node.name}", key=node.name, in_shape=shape,
        out_shape=shape, shape=bias_shape, layout=bias_layout, format=state.format_of("activation"),
        bound=fan_in**-0.5,
        input_gradient=wanted, train_bias="bias" in trained,
    )  # fmt: skip
    _register(state, op)
    return op


def _narrow(state, node):
    """Widths of the parameters of a layer, and gradients of cores that are stored encoded."""
    precision = state.precision
    if precision is None:
        return
    for name in node.layer.parameters():
        full = f"{node.name}.{name}"
        state.tensors[f"{full}.master"].bits = precision.master
        if full in state.tensors:
            state.tensors[full].bits = precision.weights
            if f"{full}.gradient" in state.tensors:
                state.tensors[f"{full}.gradient"].storage = "blocked"


def _register(state, op):
    storage = "fp32" if op.raw else "blocked"
    state.add_map(op.y, "activation", op.out_shape, storage=storage)
    state.ops.append(op)
    state.makers[op.y] = op
    state.users.setdefault(op.x, []).append((op, 0))
