"""Wider and narrower variants of a network."""

__all__ = ["scaled"]


def scaled(name, channels, width, least=1):
    """`channels` times `width`, rounded, at least `least`; ValueError names the network."""
    if not isinstance(width, int | float) or not 0 < width <= 4:
        raise ValueError(f"{name}: width must be greater than 0, at most 4, not {width!r}")
    return max(least, round(channels * width))
