"""In which format the array carries out the passes of a layer, or of all of a network's."""

__all__ = ["PASSES", "pass_formats", "passes_in"]

PASSES = ("forward", "backward", "weight_gradient")
_FORMATS = ("bfp8", "bfp16")


def pass_formats(owner, value):
    """Check the formats of passes and bring them into one form.

    Parameters
    ----------
    owner : str
        What the errors name, such as "Conv2d.format".
    value : None, str, dict or tuple
        "bfp8" or "bfp16" for all passes; or a dict (its items, a tuple of pairs) from names of
        `PASSES` to these, other passes left open; None: all left open.

    Returns
    -------
    None, str or tuple of (str, str)
    """
    if value is None:
        return None
    if isinstance(value, str):
        _check_format(owner, value)
        return value
    try:
        pairs = dict(value)
    except (TypeError, ValueError):
        pairs = None
    if pairs is None or not all(isinstance(name, str) for name in pairs):
        raise TypeError(f"{owner} must be a format's name or a dict of passes to them, not"
                        f" {value!r}")  # fmt: skip
    for name, format in pairs.items():
        if name not in PASSES:
            raise ValueError(f"{owner} must name passes of {PASSES}, not {name!r}")
        _check_format(owner, format)
    return tuple((name, pairs[name]) for name in PASSES if name in pairs) or None


def _check_format(owner, value):
    if value not in _FORMATS:
        raise ValueError(f"{owner} must be one of {_FORMATS}, not {value!r}")


def passes_in(*values):
    """The format of every pass by name: what the first of `values` (as `pass_formats` returns them)
    says that leaves it not open; bfp8 where all do."""
    found = dict.fromkeys(PASSES, "bfp8")
    for value in reversed(values):
        if isinstance(value, str):
            found = dict.fromkeys(PASSES, value)
        elif value is not None:
            found |= dict(value)
    return found
