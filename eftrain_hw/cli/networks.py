"""Networks by their name or from a file."""

import runpy

__all__ = ["named_network"]


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


def named_network(name):
    from ..networks import NETWORKS

    if name not in NETWORKS and not name.endswith(".py"):
        known = ", ".join(NETWORKS)
        raise ValueError(f"--network must be one of {known}, or a Python file, not {name!r}")
    return NETWORKS[name]() if name in NETWORKS else _load_network(name)
