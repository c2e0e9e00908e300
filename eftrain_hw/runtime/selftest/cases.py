"""What the self-test runs: small programs, their operands, and the golden model's results."""

from dataclasses import dataclass, field

import numpy as np

from ...compiler import compile_network, nn, optim, passes
from ...compiler.compile import allocate, place
from ...compiler.parameters import bias_to_device, weight_to_device
from ...compiler.program import PoolOp, Program, TensorSpec
from ...formats import Blocked, format_named
from ...golden.conv import conv_backward_input, conv_forward
from ...golden.network import forward_pass, training_step
from ...golden.weight_gradient import conv_backward_weight
from ..benchmark.layer import PASSES, Layer, layer_program

__all__ = ["CASES", "Case", "make_cases"]

_MAC_ROWS = 64  # outputs: every row of any array
_LOOPBACK = (2, 2, 8, 8)  # images, blocks, rows, columns
_STEP = {"learning_rate": 0.05, "momentum": 0.9, "valid_images": 3}
_LAYER = Layer(
    in_channels=18, out_channels=19, height=7, width=6, kernel=3, stride=2, padding=1, batch=2
)


@dataclass
class Case:
    """One run of the self-test.

    Members
    -------
    name : str
    program : Program
    runs : str
        Which of its descriptor lists.
    results : tuple of str
        Tensors that are compared afterwards.
    parameters : dict
        Of `Device.run`.
    operands : callable
        operands(rng): tensors by name.
    golden : callable
        golden(tensors): the results by name, by the golden model.
    """

    name: str
    program: Program
    runs: str
    results: tuple
    operands: object
    golden: object
    parameters: dict = field(default_factory=dict)


def _loopback(config):
    """Pooling with windows of one pixel copies a tensor: through the DMA and the vector unit."""
    images, blocks, rows, columns = _LOOPBACK
    shape = (images, blocks, rows, columns, config.lanes)
    tensors = {
        "x": TensorSpec("x", "activation", "blocked", shape, config.format),
        "y": TensorSpec("y", "activation", "blocked", shape, config.format),
        "index": TensorSpec("index", "index", "bytes", shape, config.format),
    }
    size = (blocks, rows, columns)
    op = PoolOp("copy", "x", "y", "index", size, size, (1, 1), input_gradient=False)
    program = Program(config, None, None, None, images, [op], tensors, logits=None)
    end = allocate(tensors.values())
    descriptor = passes.pool_forward_descriptor(config, op, images, tensors, 0)
    descriptor.last = True
    program.tags[0], program.descriptors["infer"] = "copy", [descriptor]
    words = TensorSpec("program.infer", "program", "words", program.words("infer").shape,
                       config.format)  # fmt: skip
    program.memory_bytes = place(words, end)
    program.addresses["infer"] = words.address
    format = format_named(config.format)

    def operands(rng):
        # every exponent, and in fp32 numbers of any size
        values = rng.normal(0, 1, shape) * 2.0 ** rng.integers(-100, 100, shape[:-1])[..., None]
        return {"x": Blocked.encode(format, values.astype(np.float32))}

    def golden(tensors):
        x = tensors["x"]
        return {"y": x, "index": np.zeros(shape, np.uint8)}

    return Case("memory loopback", program, "infer", ("y", "index"), operands, golden)


def _integers(format, values):
    """Small whole numbers as they are, in any format."""
    if format.exponent_bits:
        elements = values.astype(np.int8)
        return Blocked(format, elements, np.full(values.shape[:-1], 133, np.uint8))
    return Blocked(format, values.astype(np.float32), None)


def _mac(config):
    """Products of whole numbers, which every format sums exactly: one output for each row."""
    inputs = 2 * config.lanes
    network = nn.Sequential(nn.Linear(inputs, _MAC_ROWS), input_shape=(inputs,))
    program = compile_network(network, config, batch_size=8, loss=nn.CrossEntropyLoss(),
                              optimizer=optim.SGD(lr=0.1))  # fmt: skip
    format, specs = format_named(config.format), program.tensors
    op = program.ops[0]

    def operands(rng):
        x = rng.integers(-127, 128, specs["x"].shape)
        weight = rng.integers(-127, 128, op.weight_shape).astype(np.float32)
        bias = rng.integers(-(1 << 20), 1 << 20, _MAC_ROWS).astype(np.float32)
        return {
            "x": _integers(format, x),
            "0.weight": _integers(format, weight_to_device(op, weight, config.lanes)),
            "0.bias.master": bias_to_device(bias, config.lanes),
        }

    def golden(tensors):
        tensors = dict(tensors)
        forward_pass(program, tensors)
        return {program.logits: tensors[program.logits]}

    return Case("MAC array", program, "infer", (program.logits,), operands, golden)


def _layer_operands(config, program):
    format, specs, lanes = format_named(config.format), program.tensors, config.lanes
    inputs, outputs = _LAYER.in_channels, _LAYER.out_channels

    def values(rng, name, count, scale, axes=(1, -1)):
        """Normal numbers; channels beyond the layer's are 0."""
        result = rng.normal(0, scale, specs[name].shape).astype(np.float32)
        shape = [1] * result.ndim
        shape[axes[0]], shape[axes[1]] = -1, lanes
        index = np.arange(result.shape[axes[0]] * lanes)
        return result * (index < count).reshape(shape)

    def operands(rng):
        weight = values(rng, "layer.weight", outputs, 0.1, (0, -1))
        weight *= np.arange(weight.shape[1] * lanes).reshape(1, -1, 1, 1, lanes, 1) < inputs
        return {
            "x": Blocked.encode(format, np.maximum(values(rng, "x", inputs, 1), 0)),
            "dy": Blocked.encode(format, values(rng, "dy", outputs, 0.01)),
            "layer.weight": Blocked.encode(format, weight),
            "layer.bias.master": values(rng, "layer.bias.master", outputs, 0.1, (0, -1)),
        }

    return operands


def _layer_golden(config, op, which):
    def golden(tensors):
        x, dy, weight = (tensors[name] for name in ("x", "dy", "layer.weight"))
        geometry = {"stride": op.stride, "padding": op.padding}
        if which == "fp":
            bias = tensors["layer.bias.master"].reshape(-1)
            return {"y": conv_forward(x, weight, bias, relu=op.relu, **geometry)}
        if which == "bp":
            mask = x if op.mask else None
            size = op.in_shape[1:]
            return {"dx": conv_backward_input(dy, weight, input_size=size, mask=mask, **geometry)}
        gradient, bias = conv_backward_weight(x, dy, kernel=op.kernel, split=op.split, **geometry)
        bias = bias.reshape(-1, config.lanes)
        return {"layer.weight.gradient": gradient, "layer.bias.gradient": bias}

    return golden


def _layer(config):
    program = layer_program(_LAYER, config)
    results = {
        "fp": ("y",),
        "bp": ("dx",),
        "wu": ("layer.weight.gradient", "layer.bias.gradient"),
    }
    return [
        Case(
            f"layer {PASSES[which]}",
            program,
            which,
            names,
            _layer_operands(config, program),
            _layer_golden(config, program.ops[0], which),
        )
        for which, names in results.items()
    ]


def _step(config):
    """A whole training step, with a partial batch; every tensor is compared."""
    network = nn.Sequential(
        nn.Conv2d(2, 5, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(5, 6, 3, stride=2, padding=1),
        nn.Flatten(),
        nn.Linear(24, 4),
        input_shape=(2, 8, 6),
    )
    program = compile_network(network, config, batch_size=4, loss=nn.CrossEntropyLoss(),
                              optimizer=optim.SGD(lr=0.05, momentum=0.9))  # fmt: skip
    format = format_named(config.format)
    results = tuple(n for n, spec in program.tensors.items() if spec.kind != "program")
    valid = _STEP["valid_images"]

    def operands(rng):
        tensors = {}
        for op in program.ops:
            if not hasattr(op, "weight_shape"):
                continue
            weight = rng.normal(0, 0.3, op.weight_shape).astype(np.float32)
            weight = weight_to_device(op, weight, config.lanes)
            velocity = (rng.normal(0, 0.1, weight.shape) * (weight != 0)).astype(np.float32)
            bias = rng.normal(0, 0.3, op.weight_shape[0]).astype(np.float32)
            tensors[f"{op.key}.weight.master"] = weight
            tensors[f"{op.key}.weight"] = Blocked.encode(format, weight)
            tensors[f"{op.key}.weight.momentum"] = velocity
            tensors[f"{op.key}.bias.master"] = bias_to_device(bias, config.lanes)
            tensors[f"{op.key}.bias.momentum"] = bias_to_device(bias[::-1], config.lanes)
        images = rng.normal(0, 1, (valid, *network.input_shape)).astype(np.float32)
        tensors["x"] = program.encode_input(images)
        labels = np.zeros(program.tensors["labels"].shape, np.uint32)
        labels[:valid] = rng.integers(0, program.classes, valid)
        tensors["labels"] = labels
        return tensors

    def golden(tensors):
        tensors = dict(tensors)
        training_step(program, tensors, **_STEP)
        return {name: tensors[name] for name in results}

    return Case("training step", program, "train", results, operands, golden, _STEP)


def make_cases(config):
    """The cases of a configuration, in the order in which they are run."""
    return [_loopback(config), _mac(config), *_layer(config), _step(config)]


CASES = (
    "memory loopback",
    "MAC array",
    "layer forward",
    "layer backward",
    "layer weight gradient",
    "training step",
)
