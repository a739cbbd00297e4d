"""NoiseFloor: where the spectrum of a PCA stops carrying structure, by the Marchenko-Pastur law.

Without structure, the eigenvalues of G / p_e (G = X X': samples x samples Gram matrix of n samples; p_e: effective
number of independent variants, fewer than there are where variants are linked) follow the Marchenko-Pastur law with

    mean     sigma^2,
    square   sigma^4 (1 + g),          g = n / p_e,
    edge     sigma^2 (1 + sqrt(g))^2.

Both moments are known without a full spectrum: trace(G) and ||G||_F^2, less the leading eigenvalues. So g (and with
it p_e) and the edge come from matching moments, with eigenvalues above the edge taken out until nothing changes.
Sources: Marchenko and Pastur (1967); effective number of markers as in Patterson, Price, Reich (2006), PLoS Genetics
2(12):e190; finite-sample margin of the edge after Johnstone (2001), Annals of Statistics 29(2):295.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

_TRACY_WIDOM_99 = 2.02


@dataclass(frozen=True)
class NoiseFloor:
    """Noise of a PCA, in the unit of score variance (S^2 / n).

    Attributes:
        variance: Noise variance of a sample's score along one fixed unit axis.
        edge: Largest variance that training scores on a pure-noise axis reach.
        effective_variants: p_e, effective number of independent variants.
        significant: Number of axes above the edge.
    """

    variance: float
    edge: float
    effective_variants: float
    significant: int

    @staticmethod
    def fit(leading: np.ndarray, trace: float, square: float, n: int) -> NoiseFloor:
        """Match moments.

        Args:
            leading: Leading eigenvalues of G, descending, shape (k,).
            trace: trace(G).
            square: Squared Frobenius norm of G.
            n: Number of samples.
        """
        # From many axes downwards: with too few taken out, strong structure inflates the moments and hides itself.
        significant = min(len(leading), n // 4)
        while True:
            rest = _freedom(n, significant)
            mean = max(trace - leading[:significant].sum(), 1e-12) / rest
            second = max(square - (leading[:significant] ** 2).sum(), 1e-12) / rest
            ratio = max(second / mean**2 - 1.0, 1e-6)  # g = n / p_e
            edge = mean * (1 + np.sqrt(ratio)) ** 2
            effective = rest / ratio
            # largest eigenvalue of pure noise: edge + TW1 * width, with the 99 % quantile of Tracy-Widom's law
            roots = np.sqrt(rest) + np.sqrt(effective)
            width = mean / effective * roots * (1 / np.sqrt(rest) + 1 / np.sqrt(effective)) ** (1 / 3)
            above = int((leading > edge + _TRACY_WIDOM_99 * width).sum())
            if above >= significant:
                break
            significant = above
        return NoiseFloor(
            variance=float(mean * rest / n / effective),
            edge=float(edge / n),
            effective_variants=float(effective),
            significant=significant,
        )

    def ratio(self, n: int) -> float:
        """Degrees of freedom of the noise of n samples over those of their variants, the c of random matrix theory."""
        return _freedom(n, self.significant) / self.effective_variants

    def to_dict(self) -> dict[str, float | int]:
        """JSON-ready values."""
        return asdict(self)


def _freedom(n: int, significant: int) -> int:
    """Degrees of freedom of the noise of n samples: centring takes one, each significant axis another."""
    return max(n - 1 - significant, 1)
