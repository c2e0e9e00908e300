"""PyTorch's parameter shapes to the device's blocked ones and back."""

import numpy as np

__all__ = [
    "bias_from_device",
    "bias_to_device",
    "channel_positions",
    "channels_from_device",
    "channels_to_device",
    "parameter_from_device",
    "parameter_to_device",
    "weight_from_device",
    "weight_mask",
    "weight_to_device",
]


def channel_positions(segments, lanes):
    """Where channels lie among the lanes of all blocks: each segment starts on a block."""
    positions, start = [], 0
    for channels in segments:
        positions.append(start + np.arange(channels))
        start += -(-channels // lanes) * lanes
    return np.concatenate(positions)


class _Layout:
    """Where the elements of a weight tensor lie on the device.

    The dense tensor has all lanes of its blocks: (outputs, inputs, *kernel); groups are blocks on
    its diagonal. The device holds the `parts` of it that are not zero.
    """

    def __init__(self, op, lanes):
        self.op, self.lanes = op, lanes
        outputs = op.weight_shape[0]
        self.groups = op.groups
        self.torch_shape = (outputs, -1, *op.weight_shape[2:])
        if op.flattened:
            self.torch_shape = (outputs, *op.flattened)
        elif op.folded:
            self.torch_shape = (outputs, int(np.prod(op.weight_shape[1:])), 1, 1)
        inputs = self.torch_shape[1]
        if inputs == -1:
            inputs = op.weight_shape[1]
        self.torch_shape = (outputs, inputs, *self.torch_shape[2:])
        self.kernel = self.torch_shape[2:]
        outer, inner = (outputs,), (inputs * self.groups,)
        if op.segments:
            outer, inner = (op.segments, inner) if op.transposed else (outer, op.segments)
        self.outputs = channel_positions(outer, lanes)
        self.inputs = channel_positions(inner, lanes)
        self.out_blocks = sum(-(-channels // lanes) for channels in outer)
        self.in_blocks = sum(-(-channels // lanes) for channels in inner)

    def group(self, number):
        """Index of a group in the dense tensor."""
        outputs = self.outputs.reshape(self.groups, -1)[number]
        inputs = self.inputs.reshape(self.groups, -1)[number]
        return outputs[:, None], inputs

    def to_device(self, weight):
        lanes, parts = self.lanes, self.op.parts
        if self.op.channel_last:
            pixels = weight.reshape(len(weight), -1, self.torch_shape[1])
            weight = pixels.swapaxes(1, 2)
        weight = weight.reshape(self.groups, -1, *self.torch_shape[1:])
        shape = (self.out_blocks * lanes, self.in_blocks * lanes, *self.kernel)
        dense = np.zeros(shape, weight.dtype)
        for number in range(self.groups):
            dense[self.group(number)] = weight[number]
        dense = dense.reshape(parts, self.out_blocks // parts, lanes,
                              parts, self.in_blocks // parts, lanes, *self.kernel)  # fmt: skip
        if parts == 1:
            dense = dense[:, :, :, 0]
        else:
            dense = np.stack([dense[part, :, :, part] for part in range(parts)])
        # (part, Ob, o, Ib, i, kh, kw) -> (Ob of all parts, Ib, kh, kw, i, o)
        blocked = np.moveaxis(dense, (2, 4), (6, 5))
        blocked = blocked.reshape(self.out_blocks, -1, *self.kernel, lanes, lanes)
        if self.op.flattened:
            blocked = blocked.reshape(self.out_blocks, -1, 1, 1, lanes, lanes)
        return np.ascontiguousarray(blocked)

    def from_device(self, blocked):
        lanes, parts = self.lanes, self.op.parts
        blocked = blocked.reshape(parts, self.out_blocks // parts, -1, *self.kernel, lanes, lanes)
        ordered = np.moveaxis(blocked, (6, 5), (2, 4))
        shape = (self.out_blocks * lanes, self.in_blocks * lanes, *self.kernel)
        dense = np.zeros(shape, blocked.dtype).reshape(
            parts, self.out_blocks // parts, lanes, parts, self.in_blocks // parts, lanes,
            *self.kernel,
        )  # fmt: skip
        for part in range(parts):
            dense[part, :, :, part] = ordered[part]
        dense = dense.reshape(shape)
        weight = np.stack([dense[self.group(number)] for number in range(self.groups)])
        if self.op.channel_last:
            pixels = weight.reshape(self.op.weight_shape[0], self.torch_shape[1], -1)
            weight = pixels.swapaxes(1, 2)
        return np.ascontiguousarray(weight.reshape(self.op.weight_shape))


def weight_to_device(op, weight, lanes):
    """float32 of PyTorch's shape -> (Ob, Ib, kh, kw, lanes i, lanes o), padded with zeros.

    A transposed convolution's weights are those of the convolution whose passes it exchanges: o are
    its inputs. With parts, Ib are the blocks of one part.
    """
    return _Layout(op, lanes).to_device(np.asarray(weight, np.float32))


def weight_from_device(op, blocked):
    """The inverse of `weight_to_device`."""
    return _Layout(op, blocked.shape[-1]).from_device(blocked)


def weight_mask(op, lanes):
    """uint8, 1 where the device's weight tensor holds a weight, 0 between groups."""
    return _Layout(op, lanes).to_device(np.ones(op.weight_shape, np.uint8))


def channels_to_device(values, segments, lanes):
    """(C,) -> (blocks, lanes), padded with zeros."""
    positions = channel_positions(segments, lanes)
    padded = np.zeros(sum(-(-channels // lanes) for channels in segments) * lanes, np.float32)
    padded[positions] = values
    return padded.reshape(-1, lanes)


def channels_from_device(blocked, segments):
    """The inverse of `channels_to_device`."""
    return blocked.reshape(-1)[channel_positions(segments, blocked.shape[-1])]


def bias_to_device(bias, lanes):
    """(O,) -> (Ob, lanes), padded with zeros."""
    return channels_to_device(bias, (len(bias),), lanes)


def bias_from_device(op, blocked):
    """The inverse of `bias_to_device`."""
    outputs = op.weight_shape[1] * op.groups if op.transposed else op.weight_shape[0]
    return channels_from_device(blocked, (outputs,))


def parameter_to_device(op, name, values, lanes):
    """A parameter or buffer of an operation ("weight", "running_mean") in the device's layout."""
    if hasattr(op, "to_device"):
        return op.to_device(name, values, lanes)
    if not hasattr(op, "weight_shape"):
        return channels_to_device(values, op.segments, lanes)
    return (
        weight_to_device(op, values, lanes) if name == "weight" else bias_to_device(values, lanes)
    )


def parameter_from_device(op, name, tensor):
    """The inverse of `parameter_to_device`, in PyTorch's shape."""
    if hasattr(op, "from_device"):
        return op.from_device(name, tensor)
    if not hasattr(op, "weight_shape"):
        return channels_from_device(tensor, op.segments)
    return weight_from_device(op, tensor) if name == "weight" else bias_from_device(op, tensor)
