"""Loops over missing genotypes, compiled with numba: few as they mostly are, each costs its own work alone.

Import inside functions. Packed as in ``genovi.genotypes.matrix``: code 01 is missing.
"""

from __future__ import annotations

import numba
import numpy as np

from genovi.genotypes.compiling import compiled_in_parallel

_GROUP = 16  # bytes of samples that a thread takes at once: their sums stay in its cache


@compiled_in_parallel
def count_missing(packed: np.ndarray, n_samples: int, count: np.ndarray) -> None:
    """Missing genotypes of each variant.

    Args:
        packed: Codes, shape (n_variants, n_bytes), uint8.
        n_samples: Number of samples; bits beyond are passed over.
        count: Receives the counts, shape (n_variants,), int64.
    """
    whole = n_samples // 4
    for v in numba.prange(packed.shape[0]):
        total = 0
        for b in range(whole):
            low = packed[v, b] & ~(packed[v, b] >> 1) & 0x55
            low = (low & 0x11) + ((low >> 2) & 0x11)
            total += (low & 0xF) + (low >> 4)
        for s in range(4 * whole, n_samples):
            total += ((packed[v, s >> 2] >> (2 * (s & 3))) & 3) == 1
        count[v] = total


@compiled_in_parallel
def add_products(
    packed: np.ndarray, n_samples: int, loadings: np.ndarray, lost: np.ndarray, n_missing: np.ndarray
) -> None:
    """Add l_i l_j for each missing genotype of a sample, l being the loadings of the variant.

    Args:
        packed: Codes of the variants, shape (n_variants, n_bytes), uint8.
        n_samples: Number of samples.
        loadings: shape (n_variants, k), float32.
        lost: Added to, i >= j row by row, shape (n_samples, k (k + 1) / 2), float32.
        n_missing: Missing genotypes of each sample, added to, shape (n_samples,), int64.
    """
    k = loadings.shape[1]
    n_bytes = (n_samples + 3) // 4
    for group in numba.prange((n_bytes + _GROUP - 1) // _GROUP):
        for v in range(packed.shape[0]):
            for b in range(group * _GROUP, min((group + 1) * _GROUP, n_bytes)):
                byte = packed[v, b]
                if byte & ~(byte >> 1) & 0x55 == 0:
                    continue
                for s in range(4 * b, min(4 * b + 4, n_samples)):
                    if (byte >> (2 * (s & 3))) & 3 != 1:
                        continue
                    n_missing[s] += 1
                    place = 0
                    for i in range(k):
                        one = loadings[v, i]
                        for j in range(i + 1):
                            lost[s, place + j] += one * loadings[v, j]
                        place += i + 1
