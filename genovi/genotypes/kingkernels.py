"""Loops of the kinship estimate, compiled with numba; import this module inside functions only.

Genotypes of a block of variants lie in bit planes, one row of 64-bit words for each sample, bit v for variant v:

    0  carries the other allele at least once (code 10 or 11; dosage 1 or 0)
    1  carries no counted allele              (code 11; dosage 0)
    2  observed

Where a genotype is missing, and beyond the last variant, all three are 0. So x = plane 0 of one sample, exclusive or,
plane 0 of the other and y the same for plane 1 tell how far two dosages are apart: both set, 2; one set, 1; none, 0.
"""

from __future__ import annotations

import numpy as np

from genovi.genotypes.compiling import compiled
from genovi.genotypes.kernels import ones

WORD = 64
SAMPLES_PER_WORD = 32
_TILE = 64  # samples whose planes stay in a core's cache

IBS0, IBS1, HET_FIRST, HET_SECOND = range(4)  # places in ``counts``


@compiled
def _transpose(words: np.ndarray) -> None:
    """Bit j of word i becomes bit i of word j, for 64 words, by halves (Hacker's Delight, section 7-3)."""
    width, mask = 32, np.uint64(0x00000000FFFFFFFF)
    while width:
        shift = np.uint64(width)
        for block in range(0, 64, 2 * width):
            for k in range(block, block + width):
                moved = ((words[k] >> shift) ^ words[k + width]) & mask
                words[k + width] ^= moved
                words[k] ^= moved << shift
        width >>= 1
        mask ^= mask << np.uint64(width)


@compiled
def bit_planes(codes: np.ndarray, n_variants: int, planes: np.ndarray) -> None:
    """Turn codes by variant into planes by sample.

    Args:
        codes: PLINK 1 codes of 32 samples a word, shape (64 n_words, ceil(n_samples / 32)), uint64; rows from
            ``n_variants`` on are ignored.
        n_variants: Variants in the block.
        planes: Receives the planes, shape (n_samples, 3, n_words), uint64.
    """
    square = np.empty(WORD, dtype=np.uint64)
    for w in range(planes.shape[2]):
        n_here = min(WORD, n_variants - WORD * w)
        here = ~np.uint64(0) if n_here == WORD else (np.uint64(1) << np.uint64(n_here)) - np.uint64(1)
        for group in range(codes.shape[1]):
            square[:] = codes[WORD * w : WORD * (w + 1), group]
            _transpose(square)
            first = SAMPLES_PER_WORD * group
            for k in range(min(SAMPLES_PER_WORD, planes.shape[0] - first)):
                low, high = square[2 * k] & here, square[2 * k + 1] & here
                planes[first + k, 0, w] = high
                planes[first + k, 1, w] = low & high
                planes[first + k, 2, w] = here & ~(low & ~high)


@compiled
def add_heterozygous(planes: np.ndarray, total: np.ndarray) -> None:
    """Add the heterozygous genotypes of each sample to ``total``, shape (n_samples,), int32."""
    for i in range(planes.shape[0]):
        for w in range(planes.shape[2]):
            total[i] += np.int32(ones(planes[i, 0, w] ^ planes[i, 1, w]))


@compiled
def _count_complete(one: np.ndarray, other: np.ndarray, counts: np.ndarray) -> None:
    ibs0, ibs1 = np.uint64(0), np.uint64(0)
    for w in range(one.shape[1]):
        x, y = one[0, w] ^ other[0, w], one[1, w] ^ other[1, w]
        ibs0 += ones(x & y)
        ibs1 += ones(x ^ y)
    counts[IBS0] += ibs0
    counts[IBS1] += ibs1


@compiled
def _count(one: np.ndarray, other: np.ndarray, counts: np.ndarray) -> None:
    ibs0, ibs1, first, second = np.uint64(0), np.uint64(0), np.uint64(0), np.uint64(0)
    for w in range(one.shape[1]):
        both = one[2, w] & other[2, w]
        x, y = one[0, w] ^ other[0, w], one[1, w] ^ other[1, w]
        ibs0 += ones(x & y & both)
        ibs1 += ones((x ^ y) & both)
        first += ones((one[0, w] ^ one[1, w]) & both)
        second += ones((other[0, w] ^ other[1, w]) & both)
    counts[IBS0] += ibs0
    counts[IBS1] += ibs1
    counts[HET_FIRST] += first
    counts[HET_SECOND] += second


@compiled
def count_pairs(
    rows: np.ndarray, columns: np.ndarray, start: int, stop: int, complete: bool, above: bool, counts: np.ndarray
) -> None:
    """Count, for pairs of samples, how the genotypes that both have differ.

    Args:
        rows: Planes of the first samples, shape (n, 3, n_words), uint64.
        columns: Planes of the second ones, shape (m, 3, n_words), uint64.
        start: First row to do.
        stop: One after the last.
        complete: Nothing is missing: leave the counts of heterozygous genotypes alone.
        above: Do only columns whose index is above that of the row: rows and columns are the same samples.
        counts: Added to, shape (n, m, 4), int32: variants where both are homozygous for different alleles, variants
            where one alone is heterozygous, and variants that both have where the first, and the second, is.
    """
    for tile in range(0, columns.shape[0], _TILE):
        end = min(tile + _TILE, columns.shape[0])
        for i in range(start, stop):
            for j in range(max(tile, i + 1) if above else tile, end):
                if complete:
                    _count_complete(rows[i], columns[j], counts[i, j])
                else:
                    _count(rows[i], columns[j], counts[i, j])


@compiled
def pairs_above(
    counts: np.ndarray, first: np.ndarray, second: np.ndarray, above: bool, cutoff: float
) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the pairs whose kinship is above ``cutoff``, int64, row by row.

    Pairs without heterozygous genotypes have no kinship and are left out.

    Args:
        counts: As ``count_pairs`` left them.
        first: Heterozygous genotypes of the rows that ``counts`` lacks, shape (n,), int32.
        second: Those of the columns, shape (m,), int32.
        above: As in ``count_pairs``.
        cutoff: Kinship; -inf takes all pairs that have one.
    """
    rows, columns = [], []
    for i in range(counts.shape[0]):
        for j in range(i + 1 if above else 0, counts.shape[1]):
            one = counts[i, j]
            least = min(one[HET_FIRST] + first[i], one[HET_SECOND] + second[j])
            if least > 0 and 0.5 - (4 * one[IBS0] + one[IBS1]) / (4 * least) > cutoff:
                rows.append(i)
                columns.append(j)
    return np.array(rows, dtype=np.int64), np.array(columns, dtype=np.int64)
