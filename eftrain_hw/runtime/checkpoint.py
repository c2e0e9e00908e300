"""Checkpoint files: the safetensors format, read and written with NumPy alone (as on a board)."""

import dataclasses
import json
import os

import numpy as np

from ..compiler import nn, optim

__all__ = [
    "CheckpointError",
    "describe_network",
    "describe_training",
    "network_from_description",
    "read_safetensors",
    "training_from_description",
    "write_safetensors",
]

_DTYPES = {"F32": np.float32, "F64": np.float64, "I32": np.int32, "I64": np.int64, "U8": np.uint8}
_HEADER_LIMIT = 100_000_000  # the format's own


class CheckpointError(ValueError):
    """A file that isn't a checkpoint, or one of another network."""


def write_safetensors(path, tensors, metadata):
    """Write arrays by name, and a dict of strings, to a safetensors file.

    The file appears whole or not at all: it is written beside `path` and then renamed.
    """
    names = {np.dtype(dtype): name for name, dtype in _DTYPES.items()}
    header, offset = {"__metadata__": metadata}, 0
    for name, array in tensors.items():
        header[name] = {
            "dtype": names[array.dtype],
            "shape": list(array.shape),
            "data_offsets": [offset, offset + array.nbytes],
        }
        offset += array.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    temporary = f"{path}.{os.getpid()}.part"
    try:
        with open(temporary, "wb") as file:
            file.write(len(text).to_bytes(8, "little") + text)
            for array in tensors.values():
                file.write(np.ascontiguousarray(array).tobytes())
        os.replace(temporary, path)
    finally:
        if os.path.exists(temporary):
            os.remove(temporary)


def read_safetensors(path):
    """(arrays by name, metadata) of a safetensors file; CheckpointError if it isn't one."""
    with open(path, "rb") as file:
        content = file.read()
    length = int.from_bytes(content[:8], "little")
    if len(content) < 8 or length > min(_HEADER_LIMIT, len(content) - 8):
        raise CheckpointError(f"{path} is not a safetensors file: its header is cut off")
    try:
        header = json.loads(content[8 : 8 + length])
        metadata = header.pop("__metadata__", {})
        data, tensors = content[8 + length :], {}
        for name, entry in header.items():
            start, end = entry["data_offsets"]
            if not 0 <= start <= end <= len(data):
                raise ValueError(f"tensor {name} is cut off")
            array = np.frombuffer(data[start:end], _DTYPES[entry["dtype"]])
            tensors[name] = array.reshape(entry["shape"]).copy()
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{path} is not a safetensors file: {error}") from None
    return tensors, metadata


def describe_network(network):
    """A network as JSON text, from which `network_from_description` builds it again."""
    kind, values = nn.describe(network)
    return json.dumps(values if kind == "Sequential" else {"kind": kind, **values})


def network_from_description(text):
    """The network of `describe_network`'s text."""
    values = json.loads(text)
    try:
        return nn.described([values.pop("kind", "Sequential"), values])
    except (ValueError, TypeError) as error:
        raise CheckpointError(f"checkpoint's network can't be made: {error}") from None


def describe_training(program):
    """The rest that rebuilds a program: batch, loss and optimizer, as JSON text."""
    optimizer = dataclasses.asdict(program.optimizer)
    kind = type(program.optimizer).__name__
    description = {"batch_size": program.batch_size, "kind": kind, "optimizer": optimizer}
    description["loss"] = type(program.loss).__name__
    description["loss_settings"] = dataclasses.asdict(program.loss)
    return json.dumps(description)


def training_from_description(text):
    """(batch size, loss, optimizer) of `describe_training`'s text."""
    description = json.loads(text)
    losses = {"CrossEntropyLoss": nn.CrossEntropyLoss, "MSELoss": nn.MSELoss}
    loss = description.get("loss", "CrossEntropyLoss")
    if loss not in losses:
        raise CheckpointError(f"checkpoint's loss must be one of {list(losses)}, not {loss!r}")
    kinds = {"SGD": optim.SGD, "Adam": optim.Adam}
    kind = description.get("kind", "SGD")
    if kind not in kinds:
        raise CheckpointError(f"checkpoint's optimizer must be one of {list(kinds)}, not {kind!r}")
    loss = losses[loss](**description.get("loss_settings", {}))
    return description["batch_size"], loss, kinds[kind](**description["optimizer"])
