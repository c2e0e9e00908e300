"""exp and log as the loss unit computes them: every line rounded to binary32 as written."""

import numpy as np

from .arithmetic import NAN, fadd, flush, fmul, fsub, greater, mac

__all__ = ["fexp", "flog"]

_ROUND = np.float32(12582912.0)  # 1.5 * 2^23: adding it rounds to an integer
_LOG2_E = np.float32(1.44269504088896341)
_LN2_HIGH = np.float32(0.693359375)
_LN2_LOW = np.float32(-2.12194440e-4)
_SQRT_HALF = np.float32(0.707106781186547524)
_EXP = np.array(
    [1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1,
     5.0000001201e-1], np.float32,
)  # fmt: skip
_LOG = np.array(
    [7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1,
     -1.6668057665e-1, 2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1], np.float32,
)  # fmt: skip


def _horner(coefficients, x):
    y = coefficients[0]
    for coefficient in coefficients[1:]:
        y = mac(y, x, coefficient)
    return y


def fexp(d):
    """exp(d) of float32 d <= 0, within 2 ulp; +0 where d < -87. NaN of NaN.

    Reference: Cephes expf (S. Moshier).
    """
    d = flush(d)
    if greater(d, np.float32(0)).any():
        raise ValueError(f"exponents must be <= 0, not {d.max()!r}")
    nan, small = np.isnan(d), greater(np.float32(-87), d)
    d = np.where(nan | small, np.float32(0), d)
    k = fsub(mac(d, _LOG2_E, _ROUND), _ROUND)
    r = mac(k, -_LN2_HIGH, d)
    r = mac(k, -_LN2_LOW, r)
    y = fadd(mac(_horner(_EXP, r), fmul(r, r), r), np.float32(1))
    bits = y.view(np.int32)
    k = k.astype(np.int32)
    field = (bits >> 23) + k
    bits = np.where(field < 1, np.int32(0), bits + (k << 23))
    result = np.where(small, np.float32(0), bits.view(np.float32))
    return np.where(nan, NAN, result)


def flog(s):
    """log(s) of finite float32 s >= 1, within 2 ulp. NaN of NaN.

    Reference: Cephes logf (S. Moshier).
    """
    s = flush(s)
    nan = np.isnan(s)
    s = np.where(nan, np.float32(1), s)
    if greater(np.float32(1), s).any() or np.isinf(s).any():
        raise ValueError("arguments of the logarithm must be finite and >= 1")
    bits = s.view(np.int32)
    k = ((bits >> 23) - 126).astype(np.float32)
    f = ((bits & 0x7FFFFF) | (126 << 23)).view(np.float32)
    low = greater(_SQRT_HALF, f)
    k = np.where(low, fsub(k, np.float32(1)), k)
    x = fsub(np.where(low, fadd(f, f), f), np.float32(1))
    z = fmul(x, x)
    y = fmul(fmul(_horner(_LOG, x), x), z)
    y = mac(k, _LN2_LOW, y)
    y = mac(z, np.float32(-0.5), y)
    result = mac(k, _LN2_HIGH, fadd(x, y))
    return np.where(nan, NAN, result)
