import numpy as np
import pytest

from eftrain_hw.golden import fexp, flog


def ulps(actual, exact):
    """Distance in units of the last place of the exact value's binade."""
    unit = np.exp2(np.floor(np.log2(np.abs(exact))) - 23)
    return np.abs(actual.astype(np.float64) - exact) / unit


def every(low, high, step):
    """Every `step`-th binary32 number from `low` to `high`, both positive."""
    first, last = (int(np.float32(value).view(np.uint32)) for value in (low, high))
    return np.arange(first, last + 1, step, dtype=np.uint32).view(np.float32)


def test_exp_is_within_two_ulp_and_ordered():
    d = -every(2.0**-30, 87.0, 499)
    e = fexp(d)
    exact = np.exp(d.astype(np.float64))
    normal = exact >= 2.0**-126 * 1.0001
    assert ulps(e[normal], exact[normal]).max() <= 2
    assert (e[exact < 2.0**-126] <= np.float32(2.0**-126)).all()
    # never rises by more than an ulp while d falls (the polynomial isn't exactly monotone)
    steps = e[1:].view(np.int32) - e[:-1].view(np.int32)
    assert steps.max() <= 1
    assert e.max() <= 1


def test_exp_at_its_ends(same_bits):
    d = np.float32([0, -0.0, -(2.0**-149), -87.00001, -88, -1e30, "-inf", "nan"])
    e = fexp(d)
    same_bits(e[:-1], np.float32([1, 1, 1, 0, 0, 0, 0]))
    assert np.isnan(e[-1])
    assert fexp(np.float32([-87]))[0] == pytest.approx(np.exp(-87), rel=3e-7)
    with pytest.raises(ValueError, match="exponents must be <= 0"):
        fexp(np.float32([1]))


def test_log_is_within_two_ulp_and_ordered():
    s = np.concatenate([every(1 + 2.0**-23, 2.0, 37), every(2.0, 2.0**127, 4999)])
    result = flog(s)
    assert ulps(result, np.log(s.astype(np.float64))).max() <= 2
    assert (result[1:].view(np.int32) - result[:-1].view(np.int32)).min() >= -1


def test_log_at_its_ends(same_bits):
    same_bits(flog(np.float32([1])), np.float32([0]))
    for bad in (0.5, "inf", -1):
        with pytest.raises(ValueError, match="finite and >= 1"):
            flog(np.float32([bad]))
    assert np.isnan(flog(np.float32(["nan"])))[0]


def test_both_equal_the_scalar_model(scalar, same_bits):
    rng = np.random.default_rng(3)
    d = -np.float32(np.concatenate([rng.uniform(0, 88, 400), 2.0 ** -rng.uniform(0, 40, 100)]))
    same_bits(fexp(d), np.float32([scalar.exponential(value) for value in d.tolist()]))
    s = np.float32(np.concatenate([rng.uniform(1, 300, 400), 1 + 2.0 ** -rng.uniform(0, 23, 100)]))
    same_bits(flog(s), np.float32([scalar.logarithm(value) for value in s.tolist()]))
