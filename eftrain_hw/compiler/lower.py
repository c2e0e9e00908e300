"""Network description to operations and tensors: fusion, shapes, names."""

from math import prod

from . import nn
from .chain import FeatureBiasOp, TTStepOp
from .lowering.convolution import folds_input, lower_convolution, lower_linear, splits
from .lowering.formats import assign_formats
from .lowering.gradients import connect_gradients, separate_wholes
from .lowering.state import State, Value
from .lowering.tensor_train import (
    LayoutError,
    contraction_orders,
    input_layout,
    lower_tt_conv,
    lower_tt_linear,
)
from .lowering.vector import (
    lower_activation,
    lower_add,
    lower_average,
    lower_batch_norm,
    lower_concat,
    lower_dropout,
    lower_max,
    lower_relu_alone,
)
from .operations import ActivationOp, AddOp, AvgPoolOp, BatchNormOp, MaxPoolOp, SquaredErrorOp
from .optim import SGD
from .program import ConvOp, LossOp, PoolOp

__all__ = ["lower"]

_LOWER = {
    nn.AdaptiveAvgPool2d: lower_average,
    nn.Add: lower_add,
    nn.AvgPool2d: lower_average,
    nn.BatchNorm2d: lower_batch_norm,
    nn.Concat: lower_concat,
    nn.Dropout: lower_dropout,
    nn.LeakyReLU: lower_activation,
    nn.Linear: lower_linear,
    nn.MaxPool2d: lower_max,
    nn.Sigmoid: lower_activation,
    nn.TTConv2d: lower_tt_conv,
    nn.TTLinear: lower_tt_linear,
}
_TAKES_RELU = (
    ConvOp, PoolOp, BatchNormOp, AddOp, AvgPoolOp, MaxPoolOp, TTStepOp, FeatureBiasOp,
)  # fmt: skip
_TAKES_RAW = (
    ConvOp, BatchNormOp, AddOp, AvgPoolOp, ActivationOp, TTStepOp, FeatureBiasOp,
)  # fmt: skip


def _is_transparent(layer):
    """Whether a layer only renames its input."""
    return isinstance(layer, nn.Flatten | nn.Identity) or (
        isinstance(layer, nn.Dropout) and layer.p == 0
    )


class _Lowering:
    """Walks the nodes once; holds what each of them gives."""

    def __init__(
        self, network, config, batch_size, loss, optimizer, orders, precision, formats, quick
    ):
        self.network, self.loss = network, loss
        self.state = State(
            network, config, batch_size, optimizer, orders, precision, formats, quick
        )
        self.values = {}

    def run(self):
        state, shape = self.state, self.network.input_shape
        shape_of_map = shape if len(shape) == 3 else (shape[0], 1, 1)
        folded = folds_input(state)
        if folded:
            taps = prod(folded.layer.parameters()["weight"][1:])
            state.add_map("x", "activation", (state.blocks(taps), *folded.shape[1:]))
        elif layout := input_layout(self.network, state.orders):
            channels, pixels, _ = layout
            state.add_map("x", "activation", (state.blocks(channels), pixels, 1))
        else:
            channels, *size = shape_of_map
            state.add_map("x", "activation", (state.blocks(channels), *size))
        flat = len(shape) == 1
        self.values[nn.INPUT] = Value("x", shape_of_map, (shape_of_map[0],), flat)
        for node in self.network.nodes:
            values = [self.values[name] for name in node.inputs]
            self.values[node.name] = self.lower_node(node, values, node is folded)
        return self.finish()

    def lower_node(self, node, values, folded):
        layer = node.layer
        name = f"{node.name}.{type(layer).__name__}"
        if _is_transparent(layer):
            flat = values[0].flat or isinstance(layer, nn.Flatten)
            return values[0].replace(flat=flat)
        if any(value.channel_last for value in values) and not isinstance(
            layer, nn.Linear | nn.ReLU | nn.TTLinear
        ):
            raise LayoutError(
                f"{node.title}: its input lies with the last factor of the TTLinear before it"
                " on the lanes, which only Linear and TTLinear read"
            )
        if isinstance(layer, nn.ReLU):
            return self.relu(node, name, values[0])
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            return lower_convolution(self.state, node, name, values[0], folded)
        return _LOWER[type(layer)](self.state, node, name, *values)

    def relu(self, node, name, value):
        """Fuse a ReLU into what makes its input, unless somebody else sees that without it."""
        op = value.op
        if value.relu:
            return value
        alone = len(self.users(self.origin(node.inputs[0]))) == 1
        if isinstance(op, _TAKES_RELU) and op.y == value.tensor and (alone or op.relu):
            op.relu = True  # max pooling and ReLU commute; a second ReLU changes nothing
            return value.replace(relu=not isinstance(op, PoolOp))
        result = lower_relu_alone(self.state, node, name, value)
        return result.replace(channel_last=value.channel_last)

    def origin(self, name):
        """The node whose output a node's output is, under another shape perhaps."""
        node = next((node for node in self.network.nodes if node.name == name), None)
        while node is not None and _is_transparent(node.layer):
            name = node.inputs[0]
            node = next((node for node in self.network.nodes if node.name == name), None)
        return name

    def users(self, name):
        """Layers that read a node's output, Flatten and the like looked through."""
        found = []
        for node in self.network.users(name):
            found += self.users(node.name) if _is_transparent(node.layer) else [node]
        return found

    def finish(self):
        state = self.state
        value = self.values[self.network.output_node.name]
        last = value.op
        self.check_output(value, last)
        if not value.trained:
            raise ValueError("the network must have a parameter that is trained")
        last.raw = True
        logits = state.tensors[last.y]
        logits.storage, logits.kind = "fp32", "logits"
        loss = self.lower_loss(value, last)
        state.users[last.y] = [(loss, 0)]
        separate_wholes(state)
        connect_gradients(state)
        lines = -(-state.batch // 16) * 16
        if isinstance(loss, LossOp):
            state.add_tensor("labels", "labels", "words", (lines,))
            state.add_tensor("loss", "loss", "fp32", (lines + 16,))
        else:
            state.add_tensor("targets", "targets", "fp32", logits.shape)
            lanes = state.config.lanes  # a vector of each image's loss, a line at least of all's
            shape = (state.batch * lanes + max(16, lanes),)
            state.add_tensor("loss", "loss", "fp32", shape)
        state.ops.append(loss)
        self.choose_formats()
        return state.ops, state.tensors

    def choose_formats(self):
        """Formats of tensors; wide slots hold half as much, which counts in the splits."""
        convolutions = [op for op in self.state.ops if getattr(op, "formats", None)]
        if any("bfp16" in op.formats.values() for op in convolutions):
            assign_formats(self.state)
        for op in convolutions:
            if op.wide and any(op.wide["weight_gradient"]):
                op.split, op.bias_split = splits(self.state, op)

    def check_output(self, value, last):
        node = self.network.output_node
        if isinstance(node.layer, nn.TTLinear) and value.shape[1:] != (1, 1):
            raise LayoutError(
                f"{node.title}: the first or the last factor of out_shape must be all"
                f" {node.layer.out_features} outputs of the network, not {node.layer.out_shape}"
            )
        if isinstance(self.loss, nn.MSELoss):
            if not isinstance(last, _TAKES_RAW) or len(value.segments) > 1:
                raise ValueError(
                    f"{node.title}: with MSELoss the network must end in a convolution, Linear,"
                    " BatchNorm2d, Add, average pooling or an activation"
                )
            return
        if (
            not isinstance(last, _TAKES_RAW)
            or value.shape[1:] != (1, 1)
            or value.relu
            or len(value.segments) > 1
        ):
            raise ValueError(
                f"{node.title}: the network must end in a"
                " Linear layer, or a Conv2d with a 1x1 output, without ReLU: its outputs are the"
                " logits"
            )

    def lower_loss(self, value, last):
        gradient = f"d{last.y}"
        if isinstance(self.loss, nn.MSELoss):
            return SquaredErrorOp("loss", last.y, gradient, prod(value.shape), mask=value.relu)
        return LossOp("loss", last.y, gradient, value.shape[0], self.loss.label_smoothing)


def lower(
    network, config, batch_size, loss=None, optimizer=None, precision=None, formats=None,
    quick=False,
):
    """Operations in forward order (the loss last) and the tensors by name.

    ReLU is fused into what makes its input, Flatten costs nothing, and Linear becomes a 1x1
    convolution over the blocks of the map that it sees flattened. Gradients are made only where
    something below is trained.

    Parameters
    ----------
    network : nn.Sequential or nn.Network
    config : AcceleratorConfig
    batch_size : int
    loss : nn.CrossEntropyLoss, nn.MSELoss or None
        None: cross-entropy.
    optimizer : optim.Optimizer or None
        None: SGD; says which state each parameter has.
    precision : Precision or None
        Widths of tensor-train layers, and of activations and gradients; None: all as the format.
    formats : None, str or tuple
        As `nn.formats.pass_formats` returns them, for the passes that layers leave open.
    quick : bool
        Estimates choose how the lanes share out the pixels of a weight gradient, not the model.

    Raises
    ------
    ValueError
        Naming the layer.
    """
    loss = nn.CrossEntropyLoss() if loss is None else loss
    optimizer = SGD(lr=1.0) if optimizer is None else optimizer
    refusal = None
    for orders in contraction_orders(network, config, batch_size):
        try:
            return _Lowering(
                network, config, batch_size, loss, optimizer, orders, precision, formats, quick
            ).run()
        except LayoutError as error:
            refusal = refusal or error
    raise refusal
