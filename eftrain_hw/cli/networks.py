"""Networks by their name or from a file."""

import runpy
from inspect import signature

__all__ = ["named_network"]

_OPTIONS = {"width": "--channels", "size": "--image-size", "classes": "--classes"}


def _load_network(path):
    from ..compiler import nn

    if not path.endswith(".py"):
        raise ValueError(f"--network must be a Python file, not {path!r}")
    try:
        names = runpy.run_path(path)
    except FileNotFoundError:
        raise ValueError(f"--network {path}: no such file") from None
    except SyntaxError as error:
        raise ValueError(f"--network {path}, line {error.lineno}: {error.msg}") from None
    network = names.get("network")
    if not isinstance(network, nn.Sequential | nn.Network):
        raise ValueError(
            f"--network {path} must define `network`, an nn.Sequential, not {network!r}"
        )
    return network


def named_network(name, **settings):
    """A network; of `settings` those that are not None go to the function that makes it."""
    from ..networks import NETWORKS

    settings = {option: value for option, value in settings.items() if value is not None}

    if name not in NETWORKS and not name.endswith(".py"):
        known = ", ".join(NETWORKS)
        raise ValueError(f"--network must be one of {known}, or a Python file, not {name!r}")
    if name in NETWORKS:
        known = signature(NETWORKS[name]).parameters
        for option in settings:
            if option not in known:
                raise ValueError(f"--network {name} has no {_OPTIONS[option]} to choose")
        return NETWORKS[name](**settings)
    if settings:
        raise ValueError(f"{_OPTIONS[next(iter(settings))]} must go with a network of ours")
    return _load_network(name)
