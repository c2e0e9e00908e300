"""Cycles and traffic of the vector unit's commands."""

from math import prod
from typing import NamedTuple

from ...vector.commands import LOSS, POOL_BACKWARD, POOL_FORWARD, PROCESS, UPDATE
from ...vector.program_format import SCALARS
from .process import process_cycles

__all__ = ["VECTOR_LAYOUTS", "VectorCost", "vector_cost"]

VECTOR_LAYOUTS = (POOL_FORWARD, POOL_BACKWARD, LOSS, UPDATE, PROCESS)

_UPDATE, _UPDATE_LANE = 32, 6  # from the command to the last answer, besides memory and work
_POOL_FORWARD, _POOL_BACKWARD = 115, 55
_POOL_BAND = 6  # from one row of windows to the next
_LOSS = 75
_PROCESS = 55
_LOSS_LATENCY = 31  # `LossDatapath.LATENCY`
_LOSS_GROUP = 64  # `loss_walk.GROUP`


class VectorCost(NamedTuple):
    """A command of the vector unit.

    Members
    -------
    steps : int
        Cycles that its datapath takes.
    read_beats, write_beats : int
        Bus beats.
    overhead : int
        Cycles in which neither moves: start, and the last write's answer.
    """

    steps: int
    read_beats: int
    write_beats: int
    overhead: int

    @property
    def beats(self):
        return self.read_beats + self.write_beats

    @property
    def cycles(self):
        """With the bus to itself."""
        return max(self.steps, self.beats) + self.overhead


def _up(size, bus):
    return -(-size // bus)


def vector_cost(config, layout, fields, memory):
    """`VectorCost` of a command; the fields of PROCESS go with its "work"."""
    cost = {
        POOL_FORWARD.opcode: _pool_forward,
        POOL_BACKWARD.opcode: _pool_backward,
        LOSS.opcode: _loss,
        UPDATE.opcode: _update,
        PROCESS.opcode: _process,
    }[layout.opcode]
    return cost(config, fields, memory)


def _pool_forward(config, c, memory):
    bus, planes = config.bus_bytes, c["planes"]
    used = c["out_height"] * c["kernel_height"] * c["width"]
    pooled = c["out_height"] * c["out_width"]
    exponents = config.has_exponents
    windows = c["out_height"] * c["out_width"] * c["kernel_height"] * c["kernel_width"]
    gaps = _POOL_BAND * c["out_height"]
    band = c["kernel_height"] * c["width"] * config.beats_per_vector
    digits = 1 + c["wide"]
    return VectorCost(
        planes * (max(used, windows) * config.beats_per_vector + gaps) + band,
        planes * (digits * _up(used * config.vector_bytes, bus) + exponents * _up(used, bus)),
        planes
        * (
            digits * _up(pooled * config.vector_bytes, bus)
            + _up(pooled * config.lanes, bus)
            + exponents * _up(pooled, bus)
        ),
        _POOL_FORWARD + 2 * memory.latency,
    )


def _pool_backward(config, c, memory):
    bus, planes = config.bus_bytes, c["planes"]
    large, pooled = c["height"] * c["width"], c["out_height"] * c["out_width"]
    exponents = config.has_exponents
    return VectorCost(
        planes * large * config.beats_per_vector,
        planes
        * (
            _up(pooled * config.vector_bytes, bus)
            + _up(pooled * config.lanes, bus)
            + exponents * _up(pooled, bus)
        ),
        planes * (_up(large * config.vector_bytes, bus) + exponents * _up(large, bus)),
        _POOL_BACKWARD + 2 * memory.latency,
    )


def _loss(config, c, memory):
    images, classes, bus = c["images"], c["classes"], config.bus_bytes
    padded = c["blocks"] * config.lanes
    group = max(1, min(config.loss_words // classes, _LOSS_GROUP))
    steps, left = 0, images
    while left > 0:
        n = min(left, group)
        image_pass = max(n, _LOSS_LATENCY)
        steps += (
            n * padded  # load
            + 9 * max(n * classes, _LOSS_LATENCY)
            + classes * image_pass
            + 13 * image_pass
            + n * _LOSS_LATENCY  # the batch's loss, a chain
            + n * padded
            + 3 * _LOSS_LATENCY
        )
        left -= n
    values = images * padded
    return VectorCost(
        steps + group,
        _up(4 * values, bus) + _up(4 * images, bus),
        _up(values * config.element_bytes, bus)
        + (config.has_exponents and not c["low"]) * _up(values // config.lanes, bus)
        + _up(4 * images, bus)
        + 1,
        _LOSS + 2 * memory.latency,
    )


def _update(config, c, memory):
    bus, values = config.bus_bytes, c["vectors"] * config.lanes
    one = _up(4 * values, bus)
    copy = 0
    if c["copy"]:
        copy = _up(values * config.element_bytes, bus)
        copy += (config.has_exponents and not c["low"]) * _up(c["vectors"], bus)
    overhead = _UPDATE + _UPDATE_LANE * config.lanes + 2 * memory.latency
    if c["low"]:
        return VectorCost(values, one, copy, overhead)
    return VectorCost(values, 3 * one, 2 * one + copy, overhead)


def _process(config, c, memory):
    words = c["program_words"] + SCALARS * c["use_scalars"]
    work = c["work"]
    # the program comes first, and its words go into the table one by one
    steps = process_cycles(work, memory.latency) + words + memory.latency
    read = work.read_beats + _up(4 * words, config.bus_bytes)
    return VectorCost(steps, read, work.write_beats, _PROCESS + memory.latency)


def macs_of(op, batch):
    """Multiplications of a pass of a convolution, those by zeros between groups not counted."""
    _, height, width = op.in_shape if op.transposed else op.out_shape
    return prod(op.weight_shape) * height * width * batch
