"""ONNX models: the forward graph with its weights."""

import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .. import nn
from .common import Imported, ImportRefused, Values, unsupported
from .onnx_operators import OPERATORS
from .onnx_weights import Context

__all__ = ["OnnxImport", "from_onnx"]


@dataclass
class OnnxImport(Imported):
    """A network from an ONNX model.

    Members
    -------
    model : onnx.ModelProto
    sources : dict
        By the network's names: the initializer, and whether it holds the transpose.
    """

    model: Any = None
    sources: dict = field(default_factory=dict)

    def export(self, state, path=None):
        """A copy of the model with the given parameters and running statistics.

        Parameters
        ----------
        state : dict
            float32 arrays by the names of the network.
        path : path or None
            Where to write it too.
        """
        import onnx
        from onnx import numpy_helper

        model = copy.deepcopy(self.model)
        places = {item.name: item for item in model.graph.initializer}
        for name, value in self._checked(state).items():
            source, transposed = self.sources[name]
            old = numpy_helper.to_array(places[source])
            value = np.asarray(value, np.float32)
            new = (value.T if transposed else value).reshape(old.shape).astype(old.dtype)
            places[source].CopyFrom(numpy_helper.from_array(new, source))
        if path is not None:
            onnx.save(model, str(path))
        return model


def from_onnx(model, input_shape=None):
    """An ONNX model as a network, with its weights.

    Parameters
    ----------
    model : onnx.ModelProto or path
    input_shape : tuple or None
        Without the batch; None: as the model says.

    Returns
    -------
    OnnxImport
        `network`, `state` and `export(state, path)`.

    Raises
    ------
    ImportRefused
        (a ValueError) naming the node, and what is supported.
    """
    import onnx
    from onnx import numpy_helper

    if isinstance(model, str | Path):
        if not Path(model).is_file():
            raise ImportRefused(f"from_onnx: there must be a file {str(model)!r}")
        try:
            model = onnx.load(str(model))
        except Exception as error:  # of protobuf, of many kinds
            raise ImportRefused(f"from_onnx: {model} is not an ONNX model: {error}") from None
    if not isinstance(model, onnx.ModelProto):
        raise TypeError(f"from_onnx: model must be an onnx.ModelProto or a path, not {model!r}")
    graph = model.graph
    constants = {item.name: numpy_helper.to_array(item) for item in graph.initializer}
    inputs = [item for item in graph.input if item.name not in constants]
    if len(inputs) != 1 or len(graph.output) != 1:
        raise ImportRefused(
            "from_onnx: the model must have one input and one output, not"
            f" {[item.name for item in inputs]} and {[item.name for item in graph.output]}"
        )
    _check_order(graph)
    values = Values(_input_shape(inputs[0], input_shape))
    context = Context(values, constants, _uses(graph))
    context.of[inputs[0].name] = values.graph.input
    for node in graph.node:
        _visit(node, context)
    result = context.of.get(graph.output[0].name)
    if not isinstance(result, nn.Value):
        raise ImportRefused(f"from_onnx: no node makes the output {graph.output[0].name!r}")
    network = values.graph.output(result)
    return OnnxImport(network, values.state, model, context.sources)


def _title(node):
    return node.name or (node.output[0] if node.output else node.op_type)


def _check_order(graph):
    """Every node behind those that it reads from, as ONNX wants it: then there is no cycle."""
    makers = {name: node for node in graph.node for name in node.output if name}
    for node in graph.node:
        for name in node.input:
            if name in makers:  # not yet visited
                raise ImportRefused(
                    f"node {_title(node)!r} ({node.op_type}): its input {name!r} is made by node"
                    f" {_title(makers[name])!r}, which must come before it: there is a cycle, or"
                    " the nodes are out of order"
                )
        for name in node.output:
            makers.pop(name, None)


def _visit(node, context):
    import onnx
    from onnx import numpy_helper

    name = _title(node)
    if node.domain not in ("", "ai.onnx") or node.op_type not in OPERATORS:
        raise unsupported(name, node.op_type, sorted(OPERATORS))
    settings = {item.name: onnx.helper.get_attribute_value(item) for item in node.attribute}
    if node.op_type == "Constant":
        if "value" in settings:
            settings["value"] = numpy_helper.to_array(settings["value"])
    try:
        context.of[node.output[0]] = OPERATORS[node.op_type](context, node, name, settings)
    except ImportRefused:
        raise
    except (TypeError, ValueError) as error:
        raise ImportRefused(f"node {name!r} ({node.op_type}): {error}") from None


def _uses(graph):
    uses = {}
    for node in graph.node:
        for name in node.input:
            uses.setdefault(name, []).append(node)
    return uses


def _input_shape(item, given):
    if given is not None:
        return given
    dims = [dim.dim_value for dim in item.type.tensor_type.shape.dim][1:]
    if not dims or min(dims) < 1:
        raise ImportRefused(
            f"from_onnx: input {item.name!r} must have sizes but for the batch; give input_shape"
        )
    return tuple(dims)
