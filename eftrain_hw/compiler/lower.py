"""Network description to operations and tensors: fusion, shapes, names."""

from math import prod

from . import nn
from .fold import is_worth_folding
from .program import ConvOp, LossOp, PoolOp, TensorSpec
from .tile_strips import strip_split

__all__ = ["lower"]


class _Lowering:
    """Walks the layers once; holds the tensor that the next layer reads and what made it."""

    def __init__(self, network, config, batch_size):
        self.network, self.config, self.batch = network, config, batch_size
        self.ops, self.tensors = [], {}
        self.map_shape = None  # (channels, height, width) of the current tensor
        self.flat = None  # the map that Flatten hid
        self.tensor = "x"
        self.after_relu = False

    def blocks(self, channels):
        return -(-channels // self.config.lanes)

    def add_tensor(self, name, kind, storage, shape):
        self.tensors[name] = TensorSpec(name, kind, storage, tuple(shape), self.config.format)

    def add_map(self, name, kind, channels, height, width, storage="blocked"):
        shape = (self.batch, self.blocks(channels), height, width, self.config.lanes)
        self.add_tensor(name, kind, storage, shape)

    def run(self):
        shape = self.network.input_shape
        self.map_shape = shape if len(shape) == 3 else (shape[0], 1, 1)
        self.flat = None if len(shape) == 3 else (shape[0], 1, 1)
        first = self.network.layers[0]
        self.folded = isinstance(first, nn.Conv2d) and is_worth_folding(
            first.in_channels, first.kernel_size, self.config.lanes
        )
        if self.folded:
            channels = prod(first.parameters()["weight"][1:])
            self.add_map("x", "activation", channels, *first.output_shape(shape)[1:])
        else:
            self.add_map("x", "activation", *self.map_shape)
        for index, layer in enumerate(self.network):
            name = f"{index}.{type(layer).__name__}"
            {
                nn.Conv2d: self.conv,
                nn.Linear: self.linear,
                nn.ReLU: self.relu,
                nn.MaxPool2d: self.pool,
                nn.Flatten: self.flatten,
            }[type(layer)](index, name, layer)
        return self.finish()

    def last_op(self):
        return self.ops[-1] if self.ops else None

    def trained_below(self):
        """Whether a gradient is wanted below the present tensor."""
        return any(isinstance(op, ConvOp) for op in self.ops)

    def produce(self, index, channels, height, width):
        name = f"y{index}"
        self.add_map(name, "activation", channels, height, width)
        self.map_shape, self.tensor = (channels, height, width), name
        return name

    def parameters(self, index, layer, shape):
        key = str(index)
        for suffix, kind in (
            (".master", "master"),
            (".momentum", "momentum"),
            (".gradient", "weight_gradient"),
        ):
            self.add_tensor(f"{key}.weight{suffix}", kind, "fp32", shape)
            if layer.bias:
                bias = (shape[0], self.config.lanes)
                self.add_tensor(f"{key}.bias{suffix}", kind, "fp32", bias)
        self.add_tensor(f"{key}.weight", "weight", "blocked", shape)
        return key

    def conv(self, index, name, layer):
        channels, height, width = self.map_shape
        out = layer.output_shape(self.map_shape)
        if index == 0 and self.folded:
            in_shape = (self.blocks(prod(layer.parameters()["weight"][1:])), *out[1:])
            op = self._convolution(index, name, layer, in_shape, out, (1, 1), (1, 1), (0, 0))
            op.folded = {
                "kernel": layer.kernel_size,
                "stride": layer.stride,
                "padding": layer.padding,
            }
            return
        in_shape = (self.blocks(channels), height, width)
        shape = layer.kernel_size, layer.stride, layer.padding
        self._convolution(index, name, layer, in_shape, out, *shape)

    def linear(self, index, name, layer):
        channels, height, width = self.flat if self.flat else self.map_shape
        in_shape = (self.blocks(channels) * height * width, 1, 1)
        out = (layer.out_features, 1, 1)
        op = self._convolution(index, name, layer, in_shape, out, (1, 1), (1, 1), (0, 0))
        op.flattened = (channels, height, width)
        self.flat = (layer.out_features, 1, 1)

    def _convolution(self, index, name, layer, in_shape, out, kernel, stride, padding):
        lanes = self.config.lanes
        blocks = self.blocks(out[0])
        key = self.parameters(index, layer, (blocks, in_shape[0], *kernel, lanes, lanes))
        op = ConvOp(
            name=name,
            x=self.tensor,
            y=None,
            key=key,
            in_shape=in_shape,
            out_shape=(blocks, *out[1:]),
            kernel=kernel,
            stride=stride,
            padding=padding,
            bias=layer.bias,
            weight_shape=layer.parameters()["weight"],
            mask=self.after_relu,
            input_gradient=self.trained_below(),
        )
        op.split = strip_split(self.config, op, self.batch)
        op.y = self.produce(index, *out)
        self.ops.append(op)
        self.after_relu = False
        return op

    def relu(self, index, name, layer):
        last = self.last_op()
        if last is not None and last.y == self.tensor:
            last.relu = True  # max pooling and ReLU commute; a second ReLU changes nothing
            self.after_relu = isinstance(last, ConvOp)
            return
        self._pool(index, name, (1, 1), relu=True)  # a window of one pixel

    def pool(self, index, name, layer):
        # A ReLU just before stays fused in the convolution; its mask moves into the index,
        # because the pooled value is 0 exactly where the whole window is.
        self._pool(index, name, layer.kernel_size, relu=self.after_relu)

    def _pool(self, index, name, kernel, relu):
        channels, height, width = self.map_shape
        source = self.tensor
        out = (height // kernel[0], width // kernel[1])
        y = self.produce(index, channels, *out)
        self.add_map(f"{y}.index", "index", channels, *out, storage="bytes")
        blocks = self.blocks(channels)
        self.ops.append(
            PoolOp(
                name=name,
                x=source,
                y=y,
                index=f"{y}.index",
                in_shape=(blocks, height, width),
                out_shape=(blocks, *out),
                kernel=kernel,
                relu=relu,
                input_gradient=self.trained_below(),
            )
        )
        self.after_relu = False

    def flatten(self, index, name, layer):
        if self.flat is None:
            self.flat = self.map_shape

    def finish(self):
        last = self.last_op()
        if not isinstance(last, ConvOp) or last.out_shape[1:] != (1, 1) or last.relu:
            layer = self.network.layers[-1]
            raise ValueError(
                f"layer {len(self.network) - 1} ({type(layer).__name__}): the network must end in a"
                " Linear layer, or a Conv2d with a 1x1 output, without ReLU: its outputs are the"
                " logits"
            )
        last.raw = True
        self.tensors[last.y].storage = "fp32"
        self.tensors[last.y].kind = "logits"
        classes = last.weight_shape[0]
        # a gradient for every tensor that a layer above hands one to
        for op in self.ops:
            if isinstance(op, PoolOp) and not op.input_gradient:
                continue
            spec = self.tensors[op.y]
            self.add_tensor(f"d{op.y}", "gradient", "blocked", spec.shape)
        lines = -(-self.batch // 16) * 16
        self.add_tensor("labels", "labels", "words", (lines,))
        self.add_tensor("loss", "loss", "fp32", (lines + 16,))
        self.ops.append(LossOp("loss", last.y, f"d{last.y}", classes))
        return self.ops, self.tensors


def lower(network, config, batch_size):
    """Operations in forward order (the loss last) and the tensors by name.

    ReLU is fused into the convolution or pooling before it, Flatten costs nothing, and Linear
    becomes a 1x1 convolution over the blocks of the map that it sees flattened.
    """
    return _Lowering(network, config, batch_size).run()
