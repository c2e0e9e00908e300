"""What every layer is, and the checks of its arguments."""

from dataclasses import MISSING, field, fields
from math import isfinite

__all__ = ["Module", "count", "extent", "fraction", "pair", "quiet"]


def pair(owner, name, value, least, most=None):
    """`value`, an integer or two of them, as (vertical, horizontal)."""
    values = (value, value) if isinstance(value, int) else value
    if not (
        isinstance(values, tuple | list)
        and len(values) == 2
        and all(isinstance(v, int) and not isinstance(v, bool) for v in values)
    ):
        raise TypeError(f"{owner}.{name} must be an integer or a pair of them, not {value!r}")
    if any(v < least or (most is not None and v > most) for v in values):
        limit = f"at least {least}" if most is None else f"{least} to {most}"
        raise ValueError(f"{owner}.{name} must be {limit}, not {value!r}")
    return tuple(values)


def count(owner, name, value, most=65535):
    """`value`, an integer of 1 to `most`."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{owner}.{name} must be an integer, not {value!r}")
    if not 1 <= value <= most:
        raise ValueError(f"{owner}.{name} must be 1 to {most}, not {value!r}")
    return value


def fraction(owner, name, value, *, below_one=True):
    """`value`, a number of 0 to 1; 1 itself only where not `below_one`."""
    number = isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
    if not number:
        raise TypeError(f"{owner}.{name} must be a number, not {value!r}")
    if not 0 <= value <= 1 or (below_one and value == 1):
        limit = "at least 0 and less than 1" if below_one else "0 to 1"
        raise ValueError(f"{owner}.{name} must be {limit}, not {value!r}")
    return value


def extent(size, kernel, stride, padding, dilation=1):
    """Outputs along one axis of a sliding window: less than 1 where the window does not fit."""
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


def quiet(default):
    """A keyword of a layer that its `repr` leaves out where it has its default.

    So descriptions (and the fingerprints of checkpoints) stay what they were when a layer learns
    something new.
    """
    return field(default=default, metadata={"quiet": True})


class Module:
    """A layer: what it makes of a shape, and the shapes of its parameters.

    Shapes exclude the batch: (channels, height, width), or (features,) after Flatten.

    Members
    -------
    INPUTS : int
        How many tensors it takes.
    """

    INPUTS = 1

    def output_shape(self, *shapes):
        """The output's shape for the inputs' shapes; ValueError where they don't fit."""
        raise NotImplementedError

    def parameters(self):
        """PyTorch's parameter names and shapes."""
        return {}

    def buffers(self):
        """PyTorch's names and shapes of what is kept but not trained: running statistics."""
        return {}

    def trained(self):
        """Names of the parameters that training changes (`requires_grad`)."""
        wanted = getattr(self, "requires_grad", False)
        names = tuple(self.parameters())
        return names if wanted is True else tuple(n for n in names if wanted and n in wanted)

    def expand(self, name, inputs):
        """[(name, primitive layer, names of its inputs), ...], the last one gives the output."""
        return [(name, self, tuple(inputs))]

    def _check_requires_grad(self):
        owner, value = type(self).__name__, self.requires_grad
        if isinstance(value, bool):
            return
        names = tuple(self.parameters())
        if not isinstance(value, tuple | list) or not all(isinstance(n, str) for n in value):
            raise TypeError(
                f"{owner}.requires_grad must be True, False or the names of the trained"
                f" parameters, not {value!r}"
            )
        for name in value:
            if name not in names:
                raise ValueError(f"{owner}.requires_grad must name some of {names}, not {name!r}")
        object.__setattr__(self, "requires_grad", tuple(value))

    def __repr__(self):
        shown = []
        for item in fields(self):
            value = getattr(self, item.name)
            quiet_default = item.metadata.get("quiet") and item.default is not MISSING
            if not (quiet_default and self._is_default(item)):
                shown.append(f"{item.name}={value!r}")
        return f"{type(self).__name__}({', '.join(shown)})"

    def _is_default(self, item):
        value = getattr(self, item.name)
        if isinstance(value, tuple) and isinstance(item.default, int):
            return value == (item.default, item.default)
        return value == item.default
