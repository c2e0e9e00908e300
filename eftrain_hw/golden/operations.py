"""Every operation of a program on a dict of tensors: forward and backward."""

from .run_chain import CHAIN
from .run_elements import ELEMENTS
from .run_layers import LAYERS

__all__ = ["run_backward", "run_forward"]

_OPERATIONS = {**CHAIN, **LAYERS, **ELEMENTS}


def run_forward(op, tensors, step):
    """Run an operation on a dict of tensors, in place.

    Parameters
    ----------
    op : object
        Of a Program's `ops`; a loss is none of them here.
    tensors : dict
    step : Step or None
        None: inference.
    """
    _OPERATIONS[type(op).__name__][0](op, tensors, step)


def run_backward(op, tensors, step):
    """Make the gradients of an operation's inputs and parameters, in place."""
    _OPERATIONS[type(op).__name__][1](op, tensors, step)
