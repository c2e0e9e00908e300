"""amaranth-soc, where it is installed: what PyPI has under that name is empty."""

from importlib import import_module
from types import SimpleNamespace

__all__ = ["require_amaranth_soc"]


def require_amaranth_soc():
    """The modules `csr`, `memory` and `wishbone` of amaranth-soc; RuntimeError without them."""
    try:
        names = ("csr", "memory", "wishbone")
        return SimpleNamespace(**{name: import_module(f"amaranth_soc.{name}") for name in names})
    except ImportError as error:
        raise RuntimeError(
            "amaranth_soc=True needs amaranth-soc from its repository, https://github.com/"
            f"amaranth-lang/amaranth-soc (the package on PyPI is empty): {error}"
        ) from None
