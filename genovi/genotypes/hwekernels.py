"""Loop of the exact test of Hardy-Weinberg equilibrium, compiled with numba; import this module inside functions only.

Of n samples with r copies of the rarer allele, h are heterozygous, r - h even. Given n and r, P(h) has one peak, and

    P(h + 2) / P(h) = 4 a b / ((h + 1) (h + 2)),    a = (r - h) / 2,  b = n - h - a   homozygotes of either allele.
"""

from __future__ import annotations

import math

import numpy as np

from genovi.genotypes.compiling import compiled

_LN2 = math.log(2.0)
_TIE = 1e-8  # of log-probabilities: above the rounding of lgamma for a million samples
_LEAST_TERM = 1e-18  # a term this small beside the sum ends it: those behind it fall faster than geometrically


@compiled
def _log_weight(h: int, r: int, n: int) -> float:
    """log P(h) but for what does not depend on h."""
    a = (r - h) // 2
    return h * _LN2 - math.lgamma(h + 1.0) - math.lgamma(a + 1.0) - math.lgamma(n - h - a + 1.0)


@compiled
def _up(h: float, r: float, n: float) -> float:
    """P(h + 2) / P(h)."""
    a = (r - h) / 2
    return 4 * a * (n - h - a) / ((h + 1) * (h + 2))


@compiled
def _tail(h: float, step: int, r: float, n: float) -> float:
    """P(h) + P(h + step) + P(h + 2 step) + ..., over P(h), away from the peak; ``step`` is 2 or -2."""
    term, total = 1.0, 1.0
    while term > _LEAST_TERM * total:
        if step > 0:
            term *= _up(h, r, n)
        else:
            term = term / _up(h - 2, r, n) if h > 1 else 0.0
        total += term
        h += step
    return total


@compiled
def _peak(r: int, n: int) -> int:
    """The likeliest number of heterozygotes."""
    odd = r % 2
    h = odd + max(0, (int(r * (2.0 * n - r) / (2.0 * n)) - odd) // 2) * 2  # near the mean
    while _up(h, r, n) > 1:
        h += 2
    while h > 1 and _up(h - 2, r, n) < 1:
        h -= 2
    return h


@compiled
def _crossing(weight: float, start: int, end: int, step: int, r: int, n: int) -> int:
    """The first number from ``start`` to ``end`` whose log-weight is at most ``weight``; one step beyond if none is."""
    low, high = 0, (end - start) // step + 1
    while low < high:
        middle = (low + high) // 2
        if _log_weight(start + middle * step, r, n) <= weight + _TIE:
            high = middle
        else:
            low = middle + 1
    return start + low * step


@compiled
def exact_test(het: np.ndarray, rare: np.ndarray, observed: np.ndarray, midp: bool, log_p: np.ndarray) -> None:
    """log P(outcomes at most as likely as the observed one), for each variant.

    Args:
        het: Heterozygous samples h, shape (n_variants,), int64.
        rare: Copies r of the rarer allele, same shape and dtype.
        observed: Samples n, same shape and dtype.
        midp: Count outcomes that are as likely as the observed one half.
        log_p: Receives natural logarithms, shape (n_variants,), float64.
    """
    for v in range(len(het)):
        h, r, n = het[v], rare[v], observed[v]
        peak = _peak(r, n)
        away = 2 if h >= peak else -2
        weight = _log_weight(h, r, n)
        total = _tail(h, away, r, n)
        ties = 1.0 + (away > 0 and _up(h, r, n) == 1)  # the peak may be two outcomes wide
        end = r % 2 if away > 0 else r
        other = _crossing(weight, peak if h != peak else h - away, end, -away, r, n)
        if 0 <= other <= r:
            relative = _log_weight(other, r, n) - weight
            total += math.exp(relative) * _tail(other, -away, r, n)
            ties += abs(relative) <= _TIE
        if midp:
            total -= 0.5 * ties
        # log P(h) = weight + the rest, which only n and r decide
        rest = math.lgamma(n + 1.0) + math.lgamma(r + 1.0) + math.lgamma(2.0 * n - r + 1) - math.lgamma(2.0 * n + 1)
        log_p[v] = min(0.0, weight + rest + math.log(total))
