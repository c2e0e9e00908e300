"""Random training states: the same tensors as a dict for the golden model and as a DRAM image."""

import numpy as np

from eftrain_hw.compiler.chain import FeatureBiasOp, TTStepOp
from eftrain_hw.compiler.operations import BatchNormOp
from eftrain_hw.compiler.parameters import (
    bias_to_device,
    channels_to_device,
    weight_mask,
    weight_to_device,
)
from eftrain_hw.compiler.program import ConvOp
from eftrain_hw.formats import Blocked, format_named

__all__ = [
    "FILL",
    "differences",
    "get_tensor",
    "initial_state",
    "memory_image",
    "put_tensor",
    "stray_writes",
]

FILL = 0xA5  # what memory holds outside the tensors


def initial_state(program, *, seed=0, valid=None):
    """Tensors of a fresh network, with a random batch of `valid` images (all if None)."""
    rng = np.random.default_rng(seed)
    lanes = program.config.lanes
    valid = program.batch_size if valid is None else valid
    state = {}
    for op in program.ops:
        if isinstance(op, BatchNormOp):
            state |= _batch_norm_state(op, rng, lanes)
        if isinstance(op, TTStepOp | FeatureBiasOp):
            state |= _chain_state(program, op, rng)
        if not isinstance(op, ConvOp):
            continue
        weight = rng.normal(0, 0.3, op.weight_shape).astype(np.float32)
        weight = weight_to_device(op, weight, lanes)
        state[f"{op.key}.weight.master"] = weight
        format = format_named(program.tensors[f"{op.key}.weight"].format)
        state[f"{op.key}.weight"] = Blocked.encode(format, weight)
        velocity = rng.normal(0, 0.1, weight.shape) * (weight != 0)
        state[f"{op.key}.weight.momentum"] = velocity.astype(np.float32)
        if f"{op.key}.weight.mask" in program.tensors:
            mask = program.tensors[f"{op.key}.weight.mask"]
            state[mask.name] = weight_mask(op, lanes).astype(mask.dtype)
        if op.bias:
            outputs = op.weight_shape[1] * op.groups if op.transposed else op.weight_shape[0]
            bias = rng.normal(0, 0.3, outputs).astype(np.float32)
            state[f"{op.key}.bias.master"] = bias_to_device(bias, lanes)
            state[f"{op.key}.bias.momentum"] = bias_to_device(bias[::-1], lanes)
    state |= _optimizer_state(program, rng)
    images = rng.normal(0, 1, (valid, *program.network.input_shape)).astype(np.float32)
    state = {name: value for name, value in state.items() if name in program.tensors}  # not frozen
    state["x"] = program.encode_input(images)
    if "targets" in program.tensors:
        shape = program.network.output_node.shape
        targets = rng.normal(0, 1, (valid, *shape)).astype(np.float32)
        state["targets"] = program.encode_targets(targets)
        return state
    labels = np.zeros(program.tensors["labels"].shape, np.uint32)
    labels[:valid] = rng.integers(0, program.classes, valid)
    state["labels"] = labels
    return state


def _optimizer_state(program, rng):
    """What optimizers keep besides the momentum: averages, gradients that are added up."""
    state = {}
    for name, spec in program.tensors.items():
        suffix = name.rpartition(".")[2]
        if suffix in ("exp_avg", "exp_avg_sq", "accumulated"):
            values = rng.normal(0, 0.1, spec.shape).astype(np.float32)
            state[name] = np.square(values) if suffix == "exp_avg_sq" else values
    return state


def _chain_state(program, op, rng):
    """A core, or the bias of features."""
    state, lanes = {}, program.config.lanes
    for own in op.owned:
        name, shape = f"{op.key}.{own}", getattr(op, "core_shape", None)
        shape = shape or (len(op.layout),)
        values = (rng.normal(0, scale, shape).astype(np.float32) for scale in (0.5, 0.1))
        master, velocity = (op.to_device(own, each, lanes) for each in values)
        state |= {f"{name}.master": master, f"{name}.momentum": velocity}
        if name in program.tensors:
            format = format_named(program.tensors[name].format)
            state[name] = Blocked.encode(format, master)
    return state


def _batch_norm_state(op, rng, lanes):
    """Parameters around (1, 0), their momentum, running statistics."""
    channels, state = op.channels, {}

    def put(name, values):
        values = values.astype(np.float32)
        state[f"{op.key}.{name}"] = channels_to_device(values, op.segments, lanes)

    for name, start in (("weight", 1), ("bias", 0)) if op.affine else ():
        put(f"{name}.master", rng.normal(start, 0.3, channels))
        put(f"{name}.momentum", rng.normal(0, 0.1, channels))
    if op.track:
        put("running_mean", rng.normal(0, 0.3, channels))
        put("running_var", rng.uniform(0.5, 1.5, channels))
    return state


def put_tensor(memory, spec, value):
    """Write a tensor into an image."""
    elements, exponents = spec.to_bytes(value)
    _put(memory, spec.spans(), elements)
    if exponents is not None:
        _put(memory, spec.exponent_spans(), exponents)


def _put(memory, spans, data):
    data, at = np.frombuffer(data, np.uint8), 0
    for start, count in spans:
        memory[start : start + count] = data[at : at + count]
        at += count


def _get(memory, spans):
    return b"".join(memory[start : start + count].tobytes() for start, count in spans)


def get_tensor(memory, spec):
    """Read a tensor out of an image."""
    elements, exponents = _get(memory, spec.spans()), None
    if spec.has_exponents:
        exponents = _get(memory, spec.exponent_spans())
    return spec.from_bytes(elements, exponents)


def memory_image(program, state, base=0):
    """The DRAM image before a step: tensors of `state`, programs, and `FILL` everywhere else."""
    memory = np.full(program.memory_bytes, FILL, np.uint8)
    for name, value in {**program.constants, **state}.items():
        view = program.tensors[name].view
        if view is None or view[0] not in state:
            put_tensor(memory, program.tensors[name], value)
    for name, address in program.addresses.items():
        words = program.words(name, base)
        memory[address : address + words.nbytes] = words.view(np.uint8)
    return memory


def differences(program, memory, expected, kinds=None):
    """Names of the tensors in `expected` whose bits in the image differ."""
    wrong = []
    for name, value in expected.items():
        spec = program.tensors[name]
        if spec.view is not None and spec.view[0] in expected:
            continue  # a view is compared with its whole
        if kinds is not None and spec.kind not in kinds:
            continue
        found = get_tensor(memory, spec)
        if spec.storage == "blocked":
            same = found.elements.tobytes() == np.ascontiguousarray(value.elements).tobytes()
            if spec.has_exponents:
                same &= np.array_equal(found.exponents, value.exponents)
        elif spec.kind == "loss" and "labels" in program.tensors:
            images = program.batch_size
            same = found[:images].tobytes() == value[:images].tobytes()
            same &= found[-16].tobytes() == value[-16].tobytes()
        else:
            same = found.tobytes() == np.ascontiguousarray(value, spec.dtype).tobytes()
        if not same:
            wrong.append(name)
    return wrong


def stray_writes(program, before, after):
    """How many bytes outside every tensor changed."""
    inside = np.zeros(len(before), bool)
    for spec in program.tensors.values():
        for start, count in spec.spans() + spec.exponent_spans():
            inside[start : start + count] = True
    return int(((before != after) & ~inside).sum())
