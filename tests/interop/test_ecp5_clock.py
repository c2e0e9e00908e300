import pytest

from eftrain_hw.interop.ecp5_clock import pll_dividers


@pytest.mark.parametrize(
    ("input_hz", "output_hz"),
    [(25_000_000, 50_000_000), (100_000_000, 50_000_000), (25_000_000, 62_500_000),
     (12_000_000, 60_000_000), (100_000_000, 75_000_000), (25_000_000, 25_000_000)],
)  # fmt: skip
def test_dividers_make_the_clock(input_hz, output_hz):
    """Within the limits of the data sheet."""
    divide, feedback, output = pll_dividers(input_hz, output_hz)
    assert input_hz * feedback == output_hz * divide
    assert 400e6 <= output_hz * output <= 800e6
    assert input_hz / divide >= 3.125e6
    assert 1 <= divide <= 128 and 1 <= feedback <= 80 and 1 <= output <= 128


@pytest.mark.parametrize(
    ("input_hz", "output_hz", "message"),
    [
        (25_000_000, 50_000_001,
         "PLL output_hz must be a small multiple of a fraction of 25000000, not 50000001"),
        (1_000_000, 50_000_000, "PLL input_hz must be 8000000 to 400000000, not 1000000"),
        (25_000_000, 500_000_000, "PLL output_hz must be 3125000 to 400000000, not 500000000"),
    ],
)  # fmt: skip
def test_refuses_clocks(input_hz, output_hz, message):
    with pytest.raises(ValueError) as caught:
        pll_dividers(input_hz, output_hz)
    assert str(caught.value) == message
