"""NoiseSchedule: the fixed noising process r that the reverse chain undoes.

    r(y_t | y_{t-1}) = N(sqrt(1 - b_t) y_{t-1}, b_t I),      r(y_t | z) = N(sqrt(a_t) z, (1 - a_t) I),
    a_t = prod_{s <= t} (1 - b_s),      y_0 = z,      t = 1..T

Cosine in t, scaled to T: a_t = cos(END pi t / (2 T))^2, so that a_T does not depend on T. Since the bound compares
q(y_T | x) with r(y_T | z) (not with N(0, I)), any schedule gives a valid bound.
Source: Piriyakulkij, Wang, Kuleshov (AAAI 2025), section 3; cosine form after Nichol and Dhariwal (ICML 2021).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

END = 0.9


@dataclass(frozen=True)
class NoiseSchedule:
    """Constants of r and of its posterior r(y_{t-1} | y_t, z).

    Each tuple has T entries; entry t - 1 belongs to step t.

    Attributes:
        keep: sqrt(1 - b_t).
        log_std: log sqrt(b_t).
        signal: sqrt(a_t).
        spread: sqrt(1 - a_t).
        mean_z: Factor of z in the mean of r(y_{t-1} | y_t, z).
        mean_y: Factor of y_t in that mean.
        posterior_log_std: Logarithm of its standard deviation; -inf at t = 1, where y_0 = z is known.
    """

    keep: tuple[float, ...]
    log_std: tuple[float, ...]
    signal: tuple[float, ...]
    spread: tuple[float, ...]
    mean_z: tuple[float, ...]
    mean_y: tuple[float, ...]
    posterior_log_std: tuple[float, ...]

    @property
    def steps(self) -> int:
        return len(self.keep)

    @staticmethod
    def cosine(steps: int) -> NoiseSchedule:
        """The schedule with ``steps`` = T steps."""
        a = [math.cos(END * math.pi / 2 * t / steps) ** 2 for t in range(steps + 1)]
        b = [1 - a[t] / a[t - 1] for t in range(1, steps + 1)]
        variance = [b[t - 1] * (1 - a[t - 1]) / (1 - a[t]) for t in range(1, steps + 1)]
        return NoiseSchedule(
            keep=tuple(math.sqrt(1 - x) for x in b),
            log_std=tuple(0.5 * math.log(x) for x in b),
            signal=tuple(math.sqrt(x) for x in a[1:]),
            spread=tuple(math.sqrt(1 - x) for x in a[1:]),
            mean_z=tuple(math.sqrt(a[t - 1]) * b[t - 1] / (1 - a[t]) for t in range(1, steps + 1)),
            mean_y=tuple(math.sqrt(1 - b[t - 1]) * (1 - a[t - 1]) / (1 - a[t]) for t in range(1, steps + 1)),
            posterior_log_std=tuple(0.5 * math.log(x) if x > 0 else -math.inf for x in variance),
        )
