"""Layers that become vector programs, and max pooling over disjoint windows."""

from .. import nn
from ..operations import (
    ActivationOp,
    AddOp,
    AvgPoolOp,
    BatchNormOp,
    ConcatOp,
    DropoutOp,
    MaxPoolOp,
)
from ..program import PoolOp

__all__ = [
    "lower_activation",
    "lower_add",
    "lower_average",
    "lower_batch_norm",
    "lower_concat",
    "lower_dropout",
    "lower_max",
    "lower_relu_alone",
]


def _common(state, node, name, value, out):
    """Arguments of a VectorOp of one input."""
    return {
        "name": name,
        "x": value.tensor,
        "y": f"y{node.name}",
        "in_shape": state.map_of(value),
        "out_shape": (state.blocks(value.segments), *out[1:]),
        "segments": value.segments,
        "mask": value.relu,
        "input_gradient": value.trained,
    }


def _keeps_shape(state, node, op, value):
    result = state.produce(node, op, value.shape, value.segments, flat=value.flat, inputs=[value])
    return result


def lower_batch_norm(state, node, name, value):
    layer = node.layer
    if state.batch * value.shape[1] * value.shape[2] == 1:
        raise ValueError(
            f"{node.title}: there must be more than one value of each channel, not 1 image of 1x1"
        )
    op = BatchNormOp(
        **_common(state, node, name, value, value.shape),
        key=node.name,
        eps=layer.eps,
        momentum=layer.momentum,
        affine=layer.affine,
        track=layer.track_running_stats,
        train_weight="weight" in layer.trained(),
        train_bias="bias" in layer.trained(),
    )
    shape = (state.blocks(value.segments), state.config.lanes)
    state.add_parameters(node, {parameter: shape for parameter in layer.parameters()})
    for buffer in layer.buffers():
        state.add_tensor(f"{node.name}.{buffer}", "running", "fp32", shape)
    for statistic in ("mean", "rstd", "scale"):
        state.add_tensor(f"{node.name}.{statistic}", "statistic", "fp32", shape)
    return _keeps_shape(state, node, op, value)


def lower_activation(state, node, name, value):
    layer = node.layer
    kind, slope = "sigmoid", 0.0
    if isinstance(layer, nn.LeakyReLU):
        kind, slope = "leaky_relu", layer.negative_slope
    op = ActivationOp(**_common(state, node, name, value, value.shape), kind=kind, slope=slope)
    return _keeps_shape(state, node, op, value)


def lower_dropout(state, node, name, value):
    common = _common(state, node, name, value, value.shape)
    op = DropoutOp(**common, p=node.layer.p, index=state.dropouts)
    state.dropouts += 1
    return _keeps_shape(state, node, op, value)


def lower_relu_alone(state, node, name, value):
    """A ReLU that can't ride on another operation: a window of one pixel."""
    return _pool(state, node, name, value, value.shape, (1, 1), True).replace(flat=value.flat)


def lower_max(state, node, name, value):
    layer, out = node.layer, node.shape
    if layer.stride == layer.kernel_size and layer.padding == (0, 0):
        # A ReLU just before stays fused in the convolution; its mask moves into the index,
        # because the pooled value is 0 exactly where the whole window is.
        return _pool(state, node, name, value, out, layer.kernel_size, value.relu)
    op = MaxPoolOp(
        **_common(state, node, name, value, out),
        kernel=layer.kernel_size,
        stride=layer.stride,
        padding=layer.padding,
    )
    return _indexed(state, node, op, out, value)


def _pool(state, node, name, value, out, kernel, relu):
    op = PoolOp(
        name=name,
        x=value.tensor,
        y=f"y{node.name}",
        index=None,
        in_shape=state.map_of(value),
        out_shape=(state.blocks(value.segments), *out[1:]),
        kernel=kernel,
        relu=relu,
        input_gradient=value.trained,
    )
    return _indexed(state, node, op, out, value)


def _indexed(state, node, op, out, value):
    result = state.produce(node, op, out, value.segments, inputs=[value])
    op.index = f"{op.y}.index"
    state.add_map(op.index, "index", op.out_shape, storage="bytes")
    return result


def lower_average(state, node, name, value):
    layer, out = node.layer, node.shape
    if isinstance(layer, nn.AdaptiveAvgPool2d):
        windows = {"kernel": value.shape[1:], "stride": value.shape[1:]}
    else:
        windows = {
            "kernel": layer.kernel_size,
            "stride": layer.stride,
            "padding": layer.padding,
            "count_padding": layer.count_include_pad,
        }
    op = AvgPoolOp(**_common(state, node, name, value, out), **windows)
    return state.produce(node, op, out, value.segments, inputs=[value])


def lower_add(state, node, name, first, second):
    if (first.shape, first.segments) != (second.shape, second.segments):
        raise ValueError(
            f"{node.title}: inputs must lie in memory alike, not {_layout(first)} and"
            f" {_layout(second)}"
        )
    op = AddOp(
        name=name,
        inputs=(first.tensor, second.tensor),
        y=f"y{node.name}",
        in_shape=state.map_of(first),
        out_shape=state.map_of(first),
        segments=first.segments,
        masks=(first.relu, second.relu),
        wanted=(first.trained, second.trained),
        dx=[None, None],
    )
    return state.produce(
        node, op, first.shape, first.segments, flat=first.flat, inputs=[first, second]
    )


def _layout(value):
    text = f"a map of {value.shape[0]}x{value.shape[1]}x{value.shape[2]}"
    return text if len(value.segments) == 1 else f"{text} concatenated of {value.segments}"


def _merged(segments, lanes):
    """The same layout with as few segments as possible: one that fills its blocks has no seam."""
    merged = [segments[0]]
    for channels in segments[1:]:
        if merged[-1] % lanes:
            merged.append(channels)
        else:
            merged[-1] += channels
    return tuple(merged)


def lower_concat(state, node, name, *values):
    segments = _merged([c for value in values for c in value.segments], state.config.lanes)
    relu = all(value.relu for value in values)  # then the users' gradients take the mask
    copied, start = [], 0
    for value in values:
        spec = state.tensors[value.tensor]
        copied.append(value.op is None or spec.view is not None or spec.kind != "activation")
        if not copied[-1]:
            spec.view = (f"y{node.name}", start)
        start += state.blocks(value.segments)
    op = ConcatOp(
        name=name,
        inputs=tuple(value.tensor for value in values),
        y=f"y{node.name}",
        blocks=tuple(state.blocks(value.segments) for value in values),
        out_shape=(state.blocks(segments), *node.shape[1:]),
        segments=segments,
        copied=tuple(copied),
        masks=tuple(value.relu and not relu for value in values),
        wanted=tuple(value.trained for value in values),
        dx=[None] * len(values),
    )
    return state.produce(node, op, node.shape, segments, inputs=values).replace(relu=relu)
