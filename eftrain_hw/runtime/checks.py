"""Checks of what users hand to a trainer; every error names the place."""

import numpy as np

__all__ = ["checked_images", "checked_labels", "checked_state", "checked_targets"]


def checked_images(name, x, expected):
    """Images as float32, of shape (N, *expected) and finite; ValueError names the first bad one."""
    x = np.asarray(x)
    if x.shape[1:] != expected or len(x) == 0:
        raise ValueError(f"{name} must have shape (N, *{expected}), N at least 1, not {x.shape}")
    if x.dtype.kind not in "fiub":
        raise ValueError(f"{name} must be numbers, not {x.dtype}")
    x = x.astype(np.float32, copy=False)
    bad = np.argwhere(~np.isfinite(x))
    if len(bad):
        index = ", ".join(str(i) for i in bad[0])
        raise ValueError(
            f"{name} must be finite: {name}[{index}] is {x[tuple(bad[0])]}"
            f" ({len(bad)} of {x.size} values are not)"
        )
    return x


def checked_labels(name, y, count, classes):
    """`count` labels as int64, 0 to classes - 1; ValueError names the first bad one."""
    y = np.asarray(y)
    if y.shape != (count,):
        raise ValueError(f"{name} must have shape ({count},), one label an image, not {y.shape}")
    if y.dtype.kind not in "iu":
        raise ValueError(f"{name} must be integers, not {y.dtype}")
    bad = np.flatnonzero((y < 0) | (y >= classes))
    if len(bad):
        raise ValueError(
            f"{name} must be 0 to {classes - 1} for a network with {classes} outputs:"
            f" {name}[{bad[0]}] is {y[bad[0]]}"
        )
    return y.astype(np.int64)


def checked_targets(name, y, count, expected):
    """`count` targets as finite float32 of shape (count, *expected)."""
    y = checked_images(name, y, expected)
    if len(y) != count:
        raise ValueError(f"{name} must be {count} targets, one an image, not {len(y)}")
    return y


def checked_state(what, state, shapes):
    """Finite float32 arrays with exactly the names and shapes of `shapes`."""
    missing, unknown = set(shapes) - set(state), set(state) - set(shapes)
    if missing or unknown:
        given = f"{sorted(missing)[0]!r} is missing" if missing else ""
        given = given or f"{sorted(unknown)[0]!r} is not among them"
        raise ValueError(f"{what} must have exactly the names {list(shapes)}: {given}")
    checked = {}
    for name, shape in shapes.items():
        value = np.asarray(state[name], dtype=np.float32)
        if value.shape != tuple(shape):
            raise ValueError(f"{what}[{name!r}] must have shape {tuple(shape)}, not {value.shape}")
        if not np.isfinite(value).all():
            raise ValueError(f"{what}[{name!r}] must be finite")
        checked[name] = value
    return checked
