"""Kinship of pairs of samples by KING-robust, and the largest set without close relatives that a greedy rule finds.

For samples i and j, over the variants where both have a genotype,

    phi = 1/2 - (4 n_0 + n_1) / (4 min(h_i, h_j)),

n_0: variants where they are homozygous for different alleles; n_1: where one alone is heterozygous; h_i, h_j: where i,
where j is heterozygous. 4 n_0 + n_1 is the sum of squared differences of their dosages. phi is about 1/2 for the same
person or identical twins, 1/4 for parent and child and for full siblings, 1/8 in the second degree, 1/16 in the third,
0 for unrelated samples of one population, and negative across populations. No allele frequencies are needed, hence no
assumption about structure. Cutoffs lie between degrees, at 2^-(d + 3/2): ``SECOND_DEGREE`` is 2^-3.5.
Source: Manichaikul, Mychaleckyj, Rich, Daly, Sale, Chen (2010), Bioinformatics 26(22):2867, equation 11.

With m independent variants, phi of unrelated samples scatters about 0 with a standard deviation of about 1 / sqrt(m).

The counts are sums over bits: see ``kingkernels``.
"""

from __future__ import annotations

import logging
import math
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from genovi.errors import ConfigError
from genovi.genotypes.counting import allele_counts
from genovi.genotypes.matrix import GenotypeMatrix
from genovi.genotypes.regions import are_human, normalise_chromosomes, on_autosomes
from genovi.machine import available_cpus

logger = logging.getLogger("genovi")

SECOND_DEGREE = 0.0884
_TWINS = 0.354  # the cutoff between them and first-degree relatives
_DEVIATIONS = 6  # of unrelated pairs: millions of them do not reach it by chance
_MOST_ON_ONE = 0.5
_CHECKED_SAMPLES = 10_000
_CHECKED_VARIANTS, _FEWEST_VARIANTS = 16_384, 4096
_UNHURRIED = 5000  # samples up to which all of the former are looked at
_STRIP = 2048  # samples, a multiple of 32: their counts against as many others take 64 MiB
_BLOCK = 4096  # variants at a time, a multiple of 64
_ROWS = 128  # rows of a strip that a thread takes at once


@dataclass(frozen=True, eq=False)
class RelatedPairs:
    """Pairs of samples whose kinship is above a cutoff, ordered by the first sample, then the second.

    Attributes:
        first: Index of one sample, shape (n_pairs,), int64.
        second: Index of the other, greater than ``first``, shape (n_pairs,), int64.
        kinship: phi, shape (n_pairs,), float64.
        ibs0: n_0, shape (n_pairs,), int64.
        ibs1: n_1, shape (n_pairs,), int64.
        het_first: h_i, shape (n_pairs,), int64.
        het_second: h_j, shape (n_pairs,), int64.
    """

    first: np.ndarray
    second: np.ndarray
    kinship: np.ndarray
    ibs0: np.ndarray
    ibs1: np.ndarray
    het_first: np.ndarray
    het_second: np.ndarray

    def __len__(self) -> int:
        return len(self.first)

    @property
    def samples(self) -> np.ndarray:
        """Indices of the samples that are in a pair, ascending, int64."""
        return np.unique(np.concatenate([self.first, self.second]))


@dataclass(frozen=True, eq=False)
class Relatives:
    """Samples that ``--king-cutoff`` took out of training, to be embedded afterwards.

    Attributes:
        matrix: Their genotypes at the variants that training keeps.
        place: Where each stands among all samples, those of training included, ascending, shape (n,), int64.
        relative: Pairs of one of them and a training sample: index among them, shape (n_pairs,), int64.
        trained: Index of the other among the training samples, shape (n_pairs,), int64.
        kinship: phi of the pair, shape (n_pairs,), float64.
    """

    matrix: GenotypeMatrix
    place: np.ndarray
    relative: np.ndarray
    trained: np.ndarray
    kinship: np.ndarray

    @staticmethod
    def of(matrix: GenotypeMatrix, kept: np.ndarray, pairs: RelatedPairs) -> Relatives:
        """The samples of ``matrix`` that are not ``kept``, shape (n_samples,), bool."""
        mixed = kept[pairs.first] != kept[pairs.second]
        first, second = pairs.first[mixed], pairs.second[mixed]
        out, stays = np.where(kept[first], second, first), np.where(kept[first], first, second)
        return Relatives(
            matrix.take_samples(~kept),
            np.flatnonzero(~kept),
            np.cumsum(~kept)[out] - 1,
            np.cumsum(kept)[stays] - 1,
            pairs.kinship[mixed],
        )

    def noise_shared(self, scores: np.ndarray) -> np.ndarray:
        """Sum of 2 phi t over the training samples that each is related to; t is the score of the training sample.

        Args:
            scores: Of the training samples, shape (n_training, k), float64.

        Returns:
            shape (n, k), float64.
        """
        total = np.zeros((len(self.place), scores.shape[1]))
        np.add.at(total, self.relative, np.minimum(2 * self.kinship, 1)[:, None] * scores[self.trained])
        return total


def check_king_cutoff(cutoff: float) -> None:
    """Refuse a cutoff that makes no sense.

    Raises:
        ConfigError: it is not in (0, 0.5].
    """
    if not 0 < cutoff <= 0.5:
        raise ConfigError(
            f"--king-cutoff {cutoff:g} is outside (0, 0.5]",
            why="kinship is 0.25 for parent and child, 0.125 in the second degree",
            fix=f"--king-cutoff {SECOND_DEGREE:g} takes out relatives up to the second degree",
        )


def autosomal(chroms: np.ndarray) -> np.ndarray:
    """Variants that kinship is estimated from: on chromosomes 1-22 where contigs are human, elsewhere all.

    Args:
        chroms: Normalised chromosomes, shape (n_variants,), object (str).

    Returns:
        shape (n_variants,), bool.
    """
    return on_autosomes(chroms) if are_human(chroms.tolist()) else np.ones(len(chroms), dtype=bool)


def related_pairs(matrix: GenotypeMatrix, cutoff: float, most_variants: int | None = None) -> RelatedPairs:
    """Pairs of samples with kinship above ``cutoff``, as ``plink2 --make-king-table --king-table-filter`` has them.

    Takes time for n_samples^2 n_variants / 128 machine words, and memory that depends on neither.

    Args:
        matrix: Genotypes; other variants than those of ``autosomal`` are passed over.
        cutoff: Smallest kinship, itself excluded; -inf gives every pair whose kinship is defined.
        most_variants: Take no more variants than this, evenly spaced; None takes all.
    """
    blocks = _blocks(matrix, most_variants)
    found = [np.empty((7, 0))]
    strips = [range(i, min(i + _STRIP, matrix.n_samples)) for i in range(0, matrix.n_samples, _STRIP)]
    with ThreadPoolExecutor(available_cpus()) as pool:
        for i, one in enumerate(strips):
            for other in strips[i:]:
                found.append(_pairs_of(matrix, blocks, one, other, cutoff, pool))
    table = np.concatenate(found, axis=1)
    table = table[:, np.lexsort((table[1], table[0]))]
    whole = table.astype(np.int64)
    return RelatedPairs(whole[0], whole[1], table[2], *whole[3:])


def unrelated(n_samples: int, pairs: RelatedPairs) -> np.ndarray:
    """A large set of samples no two of which are a pair, the one that ``plink2 --king-cutoff`` keeps.

    While there are pairs: if a sample is in one pair only, the other of that pair goes, for that can never cost more;
    else the sample in most pairs goes. The first such sample in the order of the input, so that nothing is left to
    chance.

    Args:
        n_samples: Samples that the indices of ``pairs`` count.
        pairs: Pairs of relatives.

    Returns:
        Which samples stay, shape (n_samples,), bool.
    """
    relatives: dict[int, set[int]] = {i: set() for i in pairs.samples.tolist()}
    for a, b in zip(pairs.first.tolist(), pairs.second.tolist(), strict=True):
        relatives[a].add(b)
        relatives[b].add(a)
    degree = np.zeros(n_samples, dtype=np.int64)
    degree[list(relatives)] = [len(others) for others in relatives.values()]
    kept = np.ones(n_samples, dtype=bool)
    while degree.any():
        single = degree == 1
        gone = next(iter(relatives[int(single.argmax())])) if single.any() else int(degree.argmax())
        kept[gone] = False
        for other in relatives.pop(gone):
            relatives[other].remove(gone)
            degree[other] -= 1
        degree[gone] = 0
    return kept


def doubts(chroms: np.ndarray, cutoff: float) -> str | None:
    """Why kinship from these variants cannot tell relatives at ``cutoff`` from others; None where it can.

    Args:
        chroms: Normalised chromosomes of the variants, shape (n_variants,), object (str).
        cutoff: Kinship.
    """
    chroms = chroms[autosomal(chroms)]
    n = len(chroms)
    if n * cutoff**2 < _DEVIATIONS**2:
        return (
            f"{n} variants are too few for a cutoff of {cutoff:g}, {math.ceil((_DEVIATIONS / cutoff) ** 2)} are needed"
        )
    name, count = Counter(chroms.tolist()).most_common(1)[0]
    if count > _MOST_ON_ONE * n:
        return f"{count / n:.0%} of the variants are on chromosome {name}, where unrelated people share long stretches"
    return None


def warn_of_relatives(matrix: GenotypeMatrix) -> str:
    """Warn of close relatives among samples that nobody asked to tell apart; returns what was found, in words.

    Up to ``_CHECKED_SAMPLES`` samples are compared, at up to ``_CHECKED_VARIANTS`` variants; at fewer among more than
    ``_UNHURRIED`` samples, so that it takes seconds and not minutes.
    """
    if matrix.n_samples > _CHECKED_SAMPLES:
        return f"not looked for among more than {_CHECKED_SAMPLES:,} samples"
    chroms = normalise_chromosomes(matrix.variants.chrom)
    most = int(_CHECKED_VARIANTS * min(1.0, (_UNHURRIED / matrix.n_samples) ** 2))
    n = min(int(autosomal(chroms).sum()), max(most, _FEWEST_VARIANTS))
    doubt = doubts(chroms, _TWINS)
    if doubt is not None:
        return f"not looked for: {doubt}"
    cutoff = max(SECOND_DEGREE, _DEVIATIONS / math.sqrt(n))  # few variants show close relatives only
    pairs = related_pairs(matrix, cutoff, n)
    if len(pairs):
        closest = int(pairs.kinship.argmax())
        logger.warning(
            "%d pair%s of close relatives (kinship above %.3g) among %d samples, %s%s and %s, can make clusters of "
            "their own: genovi train --king-cutoff %g leaves them out and embeds them afterwards",
            len(pairs), "s" if len(pairs) > 1 else "", cutoff, matrix.n_samples, "such as " if len(pairs) > 1 else "",
            matrix.samples[pairs.first[closest]], matrix.samples[pairs.second[closest]], SECOND_DEGREE,
        )  # fmt: skip
    return f"{len(pairs)} pairs have a kinship above {cutoff:.3g}: all stay without --king-cutoff"


@dataclass(frozen=True, eq=False)
class _Block:
    """Rows of variants that are counted together, and whether nothing is missing there."""

    rows: np.ndarray
    complete: bool


def _blocks(matrix: GenotypeMatrix, most_variants: int | None) -> list[_Block]:
    """Blocks without missing genotypes, which take half the time, and the others."""
    rows = np.flatnonzero(autosomal(normalise_chromosomes(matrix.variants.chrom)))
    if most_variants is not None and len(rows) > most_variants:
        rows = rows[np.linspace(0, len(rows) - 1, most_variants).round().astype(np.int64)]
    complete = allele_counts(matrix).n_observed[rows] == matrix.n_samples
    return [
        _Block(part[start : start + _BLOCK], whole)
        for part, whole in ((rows[complete], True), (rows[~complete], False))
        for start in range(0, len(part), _BLOCK)
    ]


def _planes(matrix: GenotypeMatrix, rows: np.ndarray, strip: range, room: np.ndarray) -> np.ndarray:
    """Bit planes of the samples in ``strip``, which begins at a multiple of 32, in a part of ``room``."""
    from genovi.genotypes import kingkernels as kernels

    n_words, n_groups = -(-len(rows) // kernels.WORD), -(-len(strip) // kernels.SAMPLES_PER_WORD)
    columns = slice(strip.start // 4, -(-strip.stop // 4))
    codes = np.zeros((n_words * kernels.WORD, 8 * n_groups), dtype=np.uint8)
    codes[: len(rows), : columns.stop - columns.start] = matrix.packed[rows, columns]
    planes = room[: len(strip), :, :n_words]
    kernels.bit_planes(codes.view(np.uint64), len(rows), planes)
    return planes


def _pairs_of(
    matrix: GenotypeMatrix, blocks: list[_Block], one: range, other: range, cutoff: float, pool: ThreadPoolExecutor
) -> np.ndarray:
    """Pairs of a sample in ``one`` and a sample in ``other``: the fields of ``RelatedPairs``, shape (7, n), float64."""
    from genovi.genotypes import kingkernels as kernels

    same = one == other
    counts = np.zeros((len(one), len(other), 4), dtype=np.int32)
    het = [np.zeros(len(strip), dtype=np.int32) for strip in (one, other)]
    rooms = [np.empty((len(strip), 3, _BLOCK // kernels.WORD), dtype=np.uint64) for strip in (one, other)]
    parts = [(start, min(start + _ROWS, len(one))) for start in range(0, len(one), _ROWS)]
    for block in blocks:
        first = _planes(matrix, block.rows, one, rooms[0])
        second = first if same else _planes(matrix, block.rows, other, rooms[1])
        # An empty run loads or compiles the loop in this thread, which an interrupt can end.
        kernels.count_pairs(first, second, 0, 0, block.complete, same, counts)
        tasks = [pool.submit(kernels.count_pairs, first, second, *p, block.complete, same, counts) for p in parts]
        for task in tasks:
            task.result()
        if block.complete:
            kernels.add_heterozygous(first, het[0])
            kernels.add_heterozygous(second, het[1])
    i, j = kernels.pairs_above(counts, het[0], het[1], same, cutoff)
    found = counts[i, j].T.astype(np.float64)
    found[kernels.HET_FIRST] += het[0][i]
    found[kernels.HET_SECOND] += het[1][j]
    kinship = 0.5 - (4 * found[kernels.IBS0] + found[kernels.IBS1]) / (4 * found[kernels.HET_FIRST :].min(axis=0))
    return np.concatenate([[one.start + i, other.start + j, kinship], found])
