"""Small tables in LUTs."""

from amaranth.hdl import Signal

__all__ = ["rom"]


def rom(m, name, index, values):
    """Combinational table: the signal `name` is `values[index]`; 0 beyond the table."""
    values = [int(value) for value in values]
    assert min(values) >= 0
    result = Signal(max(1, max(values).bit_length()), name=name)
    with m.Switch(index):
        for number, value in enumerate(values):
            if value:
                with m.Case(number):
                    m.d.comb += result.eq(value)
    return result
