"""Networks as plain data (for checkpoints) and back, and with some parameters frozen."""

from dataclasses import fields, replace

from .containers import Residual, Sequential
from .module import Module
from .network import Network

__all__ = ["describe", "described", "freeze", "thaw", "train_only"]


def describe(module):
    """A module as lists, dicts, numbers and strings, from which `described` makes it again."""
    if isinstance(module, Network):
        layers = [[name, describe(layer), list(inputs)] for name, layer, inputs in module.layers]
        shape = list(module.input_shape)
        return ["Network", {"layers": layers, "input_shape": shape, "output": module.output}]
    values = {item.name: getattr(module, item.name) for item in fields(module)}
    if isinstance(module, Sequential):
        values["layers"] = [describe(layer) for layer in module.layers]
    elif isinstance(module, Residual):
        parts = {name: part and describe(part) for name, part in values.items()}
        values = parts
    return [type(module).__name__, values]


def described(data):
    """The inverse of `describe`; ValueError names a layer that there isn't."""
    from . import LAYERS

    name, values = data
    values = dict(values)
    if name == "Network":
        layers = [(known, described(layer), inputs) for known, layer, inputs in values["layers"]]
        return Network(layers, input_shape=values["input_shape"], output=values["output"])
    if name == "Sequential":
        layers = [described(layer) for layer in values["layers"]]
        return Sequential(*layers, input_shape=values["input_shape"])
    if name == "Residual":
        return Residual(**{part: module and described(module) for part, module in values.items()})
    if name not in LAYERS:
        raise ValueError(f"there is no layer {name!r}; there are {sorted(LAYERS)}")
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
    return LAYERS[name](**values)


def freeze(module, *names):
    """A copy of a layer or network whose parameters are not trained (`requires_grad=False`).

    Parameters
    ----------
    module : Module
    *names : str
        Layers ("0", "layer1"), or single parameters ("3.weight"), by the names of the state dict;
        none: all.

    Raises
    ------
    ValueError
        A name is none of them.
    """
    layers = [name for name, _, _ in _primitives(module)]
    known = [name for name, layer, _ in _primitives(module) for name in _names(name, layer)]
    for name in names:
        if not any(_covers(name, item) for item in layers + known):
            raise ValueError(
                f"freeze: names must be layers or parameters of the network, not {name!r}"
            )
    return _frozen(module, "", names or None)


def train_only(module, *names):
    """A copy of a layer or network in which nothing but these parameters is trained.

    Parameters
    ----------
    module : Module
    *names : str
        Layers or parameters as in `freeze`; parameters of all layers by their own name ("bias");
        layers by their kind ("BatchNorm2d").

    Raises
    ------
    ValueError
        A name is none of them.
    """
    used, frozen = set(), []
    for prefix, layer, _ in _primitives(module):
        for own in layer.parameters():
            full = f"{prefix}.{own}".lstrip(".")
            meant = [n for n in names if n in (own, type(layer).__name__) or _covers(n, full)]
            used.update(meant)
            if not meant:
                frozen.append(full)
    for name in names:
        if name not in used:
            raise ValueError(
                "train_only: names must be layers or parameters of the network, kinds of its"
                f" layers, or names such as 'bias', not {name!r}"
            )
    return freeze(module, *frozen) if frozen else module


def thaw(module):
    """A copy of a layer or network whose parameters are all trained."""

    def thawed(data):
        if isinstance(data, dict):
            data = {name: thawed(value) for name, value in data.items()}
            return {**data, "requires_grad": True} if "requires_grad" in data else data
        return [thawed(item) for item in data] if isinstance(data, list) else data

    return described(thawed(describe(module)))


def _primitives(module):
    if isinstance(module, Network):
        return module._primitives()
    return module.expand("", ["input"])


def _names(prefix, layer):
    return [f"{prefix}.{name}".lstrip(".") for name in layer.parameters()]


def _covers(name, parameter):
    return parameter == name or parameter.startswith(f"{name}.")


def _frozen(module, prefix, names):
    def inner(name, layer):
        return _frozen(layer, f"{prefix}.{name}".lstrip("."), names)

    if isinstance(module, Network):
        layers = [(name, inner(name, layer), inputs) for name, layer, inputs in module.layers]
        return Network(layers, input_shape=module.input_shape, output=module.output)
    if isinstance(module, Sequential):
        layers = [inner(str(index), layer) for index, layer in enumerate(module.layers)]
        return Sequential(*layers, input_shape=module.input_shape)
    if isinstance(module, Residual):
        shortcut = module.shortcut and inner("shortcut", module.shortcut)
        return Residual(inner("body", module.body), shortcut)
    if not isinstance(module, Module) or not module.parameters():
        return module
    left = tuple(
        name
        for name in module.trained()
        if names and not any(_covers(given, f"{prefix}.{name}".lstrip(".")) for given in names)
    )
    everything = len(left) == len(module.parameters())
    return module if everything else replace(module, requires_grad=left or False)
