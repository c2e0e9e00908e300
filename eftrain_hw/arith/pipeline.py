"""Small building blocks that the pipelines of this folder share."""

from amaranth.hdl import C, Cat, Mux, Signal, Value
from amaranth.utils import ceil_log2

__all__ = [
    "delay",
    "largest",
    "largest_cycles",
    "leading_zeros",
    "shift_half_even",
    "shift_in",
    "shift_parts",
]


def delay(m, value, cycles, *, name):
    """`value` after `cycles` registers without reset, called `name_1`, `name_2`, ..."""
    for index in range(cycles):
        stage = Signal(value.shape(), name=f"{name}_{index + 1}", reset_less=True)
        m.d.sync += stage.eq(value)
        value = stage
    return value


def largest(m, values, *, name):
    """Largest of unsigned values, `largest_cycles` cycles later: two levels of a tree a cycle."""
    stage = 0
    while len(values) > 1:
        groups = [values[k : k + 4] for k in range(0, len(values), 4)]
        values = []
        for k, group in enumerate(groups):
            register = Signal(group[0].shape(), name=f"{name}_{stage}_{k}", reset_less=True)
            m.d.sync += register.eq(_maximum(group))
            values.append(register)
        stage += 1
    return values[0]


def largest_cycles(count):
    """Latency of `largest` of `count` values."""
    return ceil_log2(count) + 1 >> 1


def _maximum(values):
    while len(values) > 1:
        pairs = zip(values[::2], values[1::2])
        values = [Mux(x > y, x, y) for x, y in pairs] + values[len(values) & ~1 :]
    return values[0]


def leading_zeros(value):
    """Zeros above the highest one of an unsigned value, by halving.

    Parameters
    ----------
    value : Value
        Unsigned, at least 2 bits.

    Returns
    -------
    (count, zero) : (Value, Value)
        `count` is only meaningful where `zero`, "no bit is set", is false.
    """
    value = Value.cast(value)
    width = 1 << (len(value) - 1).bit_length()
    return _halve(Cat(C(0, width - len(value)), value))


def _halve(value):
    if len(value) == 1:
        return C(0, 0), ~value
    half = len(value) // 2
    low_count, low_zero = _halve(value[:half])
    high_count, high_zero = _halve(value[half:])
    return Cat(Mux(high_zero, low_count, high_count), high_zero), low_zero & high_zero


def shift_half_even(value, distance, *, drop=0):
    """Parts of `value / 2^(drop + distance)` rounded to nearest even.

    Returns
    -------
    (quotient, up) : (Value, Value)
        The rounded value is `quotient + up`. A signed value shifts arithmetically.
    """
    value = Value.cast(value)
    quotient = (value >> drop) >> distance
    guard = ((Cat(C(0, 1), value) >> drop) >> distance)[0]
    below = range(min(len(value), drop + (1 << len(distance)) - 2))
    sticky = Cat(value[k] & (distance > k + 1 - drop) for k in below).any()
    return quotient, guard & (sticky | quotient[0])


def shift_in(value, steps, size, fill):
    """`value` shifted to the left by `steps` (0 to 3) times `size` places, `fill` coming in.

    `size` is a power of two.
    """
    filled = Cat(fill.replicate(3 * size), value)
    return (filled << Cat(C(0, size.bit_length() - 1), steps))[3 * size : 3 * size + len(value)]


def shift_parts(value, distance, *, drop=0):
    """`value / 2^(drop + distance)` in parts, for long distances: cheaper than `shift_half_even`.

    Returns
    -------
    (quotient, guard, sticky) : (Value, Value, Value)
        Rounded down; the bit below; whether any bit below that is set.
    """
    value = Value.cast(value)
    signed_value = value.shape().signed
    value = Cat(C(0, 1), value)
    value = value.as_signed() if signed_value else value
    sticky = value[:drop].any()
    value = value >> drop
    for at in range(len(distance) & ~1, -1, -2):  # two bits of the distance, high ones first
        digit = distance[at : at + 2]
        if not len(digit):
            continue
        step = 1 << at
        dropped = [value[k * step : (k + 1) * step].any() & (digit > k) for k in range(3)]
        sticky = sticky | Cat(dropped).any()
        value = value >> (digit << at)
    return value[1:].as_signed() if signed_value else value[1:], value[0], sticky
