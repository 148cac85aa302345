"""exp and log of eight numbers at a time, to the last bit but one."""

from daskem.models.kernels.machine.compiling import part
from daskem.models.kernels.machine.vectors import exponent, fma, mantissa, splat, times_power

_LOG2_E = 1.4426950408889634
# log 2 as a sum: the first part has zeros enough at its end for any n times it to be exact.
_LOG_2 = 6.93147180369123816490e-01
_LOG_2_REST = 1.90821492927058770002e-10
# 1.5 * 2^52: what is added to it becomes a whole number, in its lowest bits.
_WHOLE = 6755399441055744.0

# exp(r) = 1 + r + r^2 q(r) for |r| <= log(2) / 2: the coefficients of q, by Chebyshev's nodes, with
# which the error is 2e-17.
_Q0 = 0.5000000000000001
_Q1 = 0.16666666666666669
_Q2 = 0.04166666666662413
_Q3 = 0.008333333333330062
_Q4 = 0.0013888888917213717
_Q5 = 0.00019841269863053618
_Q6 = 2.4801521295954376e-05
_Q7 = 2.7557268459997064e-06
_Q8 = 2.7620088445409746e-07
_Q9 = 2.510038549551032e-08


@part
def exp(x):
    """``exp(x)`` for -700 < x < 700: 2^n exp(r), with n the whole number next to x / log 2."""
    t = fma(x, splat(_LOG2_E), splat(_WHOLE))
    n = t - splat(_WHOLE)
    r = fma(n, splat(-_LOG_2_REST), fma(n, splat(-_LOG_2), x))
    r2 = r * r
    r4 = r2 * r2
    q01 = fma(splat(_Q1), r, splat(_Q0))
    q23 = fma(splat(_Q3), r, splat(_Q2))
    q45 = fma(splat(_Q5), r, splat(_Q4))
    q67 = fma(splat(_Q7), r, splat(_Q6))
    q89 = fma(splat(_Q9), r, splat(_Q8))
    q = fma(r4, fma(r4, q89, fma(r2, q67, q45)), fma(r2, q23, q01))
    return times_power(splat(1.0) + fma(r2, q, r), t)


@part
def log(x):
    """``log(x)`` for x >= 1: n log 2 + log m, with log m = 2 (s + s^3 / 3 + s^5 / 5 + ...)."""
    n, m = exponent(x), mantissa(x)
    s = (m - splat(1.0)) / (m + splat(1.0))
    s2 = s * s
    q = splat(1 / 21)
    q = fma(q, s2, splat(1 / 19))
    q = fma(q, s2, splat(1 / 17))
    q = fma(q, s2, splat(1 / 15))
    q = fma(q, s2, splat(1 / 13))
    q = fma(q, s2, splat(1 / 11))
    q = fma(q, s2, splat(1 / 9))
    q = fma(q, s2, splat(1 / 7))
    q = fma(q, s2, splat(1 / 5))
    q = fma(q, s2, splat(1 / 3))
    log_m = fma(s2 * s, q + q, s + s)
    # x - x is zero, and NaN for what is not finite.
    return fma(n, splat(_LOG_2), fma(n, splat(_LOG_2_REST), log_m)) + (x - x)
