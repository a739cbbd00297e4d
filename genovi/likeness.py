"""How alike simulated and real genotypes are: allele frequencies, F_ST of populations, distances to the nearest.

    d(g, h) = sum_j |g_j - h_j| / 2 J        over the J variants that both have: 0 for the same genotypes, at most 1

A model that had learnt people by heart would draw samples that lie nearer to one of them than people do to each other.
Simulated samples have no population of their own; each gets its most similar reference population by the nearest
neighbours of its position in the latent space.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from genovi.errors import MismatchError
from genovi.fst import hudson_fst
from genovi.genotypes.matrix import GenotypeMatrix, pack

NEIGHBOURS = 20
LEAST_SAMPLES = 5  # of a population, real and simulated, whose F_ST is looked at
MOST_ANCHORS = 1000  # training samples whose nearest other one is looked for
_ANCHORS_AT_ONCE = 256
_ROWS = 2048


@dataclass(frozen=True)
class FrequencyLikeness:
    """Allele frequencies of simulated samples against those of training.

    Attributes:
        correlation: Over variants.
        rmse: Root mean squared difference.
        sampling: What ``rmse`` would be on average if samples were drawn from the training frequencies themselves.
    """

    correlation: float
    rmse: float
    sampling: float


@dataclass(frozen=True)
class FstLikeness:
    """F_ST (Hudson) of populations of simulated samples against those of real ones.

    Attributes:
        populations: Those with enough samples of both kinds.
        correlation: Of F_ST between all pairs of populations, simulated against real; None for fewer than three pairs.
        real: Mean F_ST of pairs of real populations.
        simulated: That of the same pairs of simulated ones.
        same: Mean F_ST between the real and the simulated samples of a population; 0 for perfect simulation.
    """

    populations: tuple[str, ...]
    correlation: float | None
    real: float
    simulated: float
    same: float


@dataclass(frozen=True)
class Nearness:
    """Distances to the nearest training sample.

    Attributes:
        simulated: Least, 1 % quantile and median over simulated samples.
        training: The same over training samples, each to the nearest other one.
        copies: Simulated samples that lie nearer to a training sample than any of the anchors to another one.
        n_training: Training samples that all are compared with.
        n_anchors: Training samples whose own distance to the nearest other one was looked at.
    """

    simulated: tuple[float, float, float]
    training: tuple[float, float, float]
    copies: int
    n_training: int
    n_anchors: int


@dataclass(frozen=True)
class Likeness:
    """All that was compared; None where there was nothing to compare with."""

    frequencies: FrequencyLikeness
    fst: FstLikeness | None = None
    nearness: Nearness | None = None

    def to_dict(self) -> dict[str, object]:
        """JSON-ready values."""
        return asdict(self)

    def lines(self) -> list[str]:
        """For people to read."""
        f = self.frequencies
        lines = [
            f"allele frequencies against training: correlation {f.correlation:.4f}, root mean squared difference "
            f"{f.rmse:.4f} ({f.sampling:.4f} expected of so many samples)"
        ]
        if self.fst is not None:
            s = self.fst
            agreement = "" if s.correlation is None else f", correlation {s.correlation:.3f}"
            lines.append(
                f"F_ST of {len(s.populations)} populations: mean {s.simulated:.4f} simulated, {s.real:.4f} real"
                f"{agreement}; simulated against real samples of one population {s.same:.4f}"
            )
        if self.nearness is not None:
            n = self.nearness
            lines.append(
                f"distance to the nearest training sample: least {n.simulated[0]:.4f}, median {n.simulated[2]:.4f}; "
                f"of {n.n_anchors} training samples to the nearest other one {n.training[0]:.4f} and "
                f"{n.training[2]:.4f}; {n.copies} simulated samples are nearer than any of these"
            )
        return lines


def compare_frequencies(simulated: GenotypeMatrix, frequency: np.ndarray) -> FrequencyLikeness:
    """Frequencies of complete samples against ``frequency``, shape (n_variants,)."""
    n = 2 * simulated.n_samples
    drawn = np.concatenate([dosages.sum(axis=1, dtype=np.int64) / n for _, dosages in simulated.blocks()])
    varies = len(drawn) > 1 and drawn.std() > 0 and frequency.std() > 0
    return FrequencyLikeness(
        correlation=float(np.corrcoef(drawn, frequency)[0, 1]) if varies else 0.0,
        rmse=float(np.sqrt(np.mean((drawn - frequency) ** 2))),
        sampling=float(np.sqrt(np.mean(frequency * (1 - frequency)) / n)),
    )


def most_similar(training: np.ndarray, populations: Sequence[str], z: np.ndarray) -> tuple[str, ...]:
    """Most similar reference population of each row of ``z``, by its nearest neighbours among labelled samples.

    Args:
        training: Positions of training samples, shape (n_training, d).
        populations: Of these, "" where it is not known.
        z: Positions, shape (n, d).

    Raises:
        MismatchError: no training sample has a population.
    """
    from sklearn.neighbors import KNeighborsClassifier

    names = np.array(populations, dtype=object)
    known = names != ""
    if not known.any():
        raise MismatchError("no training sample has a label", fix="check the label column")
    judge = KNeighborsClassifier(n_neighbors=min(NEIGHBOURS, int(known.sum())))
    return tuple(judge.fit(training[known], names[known].astype(str)).predict(z))


def compare_fst(
    simulated: GenotypeMatrix, similar: Sequence[str], real: GenotypeMatrix, populations: Sequence[str]
) -> FstLikeness | None:
    """F_ST of simulated samples, with their most similar populations, against that of real ones.

    Both have the same variants. Populations with fewer than ``LEAST_SAMPLES`` of either kind are left out; None where
    fewer than two are left.
    """
    counts = [{name: list(names).count(name) for name in set(names) - {""}} for names in (similar, populations)]
    kept = sorted(str(name) for name in counts[0] if min(counts[0][name], counts[1].get(name, 0)) >= LEAST_SAMPLES)
    if len(kept) < 2:
        return None
    width = len(str(len(kept)))
    number = {name: f"{i:0{width}d}" for i, name in enumerate(kept)}
    groups = [f"{kind}{number[name]}" if name in number else ""
              for kind, names in (("r", populations), ("s", similar)) for name in names]  # fmt: skip
    _, fst = hudson_fst(_side_by_side(real, simulated), groups)
    k = len(kept)
    pairs = np.triu_indices(k, 1)
    of_real, of_simulated = fst[:k, :k][pairs], fst[k:, k:][pairs]
    varies = len(of_real) > 2 and of_real.std() > 0 and of_simulated.std() > 0
    return FstLikeness(
        populations=tuple(kept),
        correlation=float(np.corrcoef(of_real, of_simulated)[0, 1]) if varies else None,
        real=float(of_real.mean()),
        simulated=float(of_simulated.mean()),
        same=float(np.diagonal(fst[:k, k:]).mean()),
    )


def _side_by_side(first: GenotypeMatrix, second: GenotypeMatrix) -> GenotypeMatrix:
    packed = [pack(np.hstack([a, second.dosages(rows)])) for rows, a in first.blocks()]
    samples = tuple(f"r{i}" for i in range(first.n_samples)) + tuple(f"s{i}" for i in range(second.n_samples))
    return GenotypeMatrix(np.concatenate(packed), samples, first.variants, first.source)


def compare_nearest(simulated: GenotypeMatrix, training: GenotypeMatrix, generator: np.random.Generator) -> Nearness:
    """Distances of all simulated and of some training samples to the nearest (other) training sample."""
    n = training.n_samples
    anchors = np.sort(generator.permutation(n)[:MOST_ANCHORS])
    others = nearest(training.take_samples(anchors), training, same=anchors)
    drawn = nearest(simulated, training)
    quantiles = [tuple(float(q) for q in np.quantile(values, [0, 0.01, 0.5])) for values in (drawn, others)]
    return Nearness(quantiles[0], quantiles[1], int((drawn < others.min()).sum()), n, len(anchors))  # type: ignore[arg-type]


def nearest(query: GenotypeMatrix, reference: GenotypeMatrix, same: np.ndarray | None = None) -> np.ndarray:
    """Distance of each sample of ``query`` to the nearest of ``reference``, shape (n_query,), float64.

    Args:
        query: Genotypes.
        reference: Genotypes at the same variants.
        same: Which sample of ``reference`` each of ``query`` is, and is not compared with; None where they are others.

    Returns:
        Infinite for samples that share no variant with any.
    """
    found = []
    for start in range(0, query.n_samples, _ANCHORS_AT_ONCE):
        index = np.arange(start, min(start + _ANCHORS_AT_ONCE, query.n_samples))
        distance = _distances(query, index, reference)
        if same is not None:
            distance[np.arange(len(index)), same[index]] = np.inf
        found.append(distance.min(axis=1))
    return np.concatenate(found)


def _distances(query: GenotypeMatrix, index: np.ndarray, reference: GenotypeMatrix) -> np.ndarray:
    """d of the samples ``index`` of ``query`` to all of ``reference``, shape (n_index, n_reference), float64.

    |g - h| is the sum over t = 1, 2 of a + b - 2 ab, with a = [g >= t] and b = [h >= t]: products of matrices.
    """
    apart = np.zeros((len(index), reference.n_samples))
    shared = np.zeros_like(apart)
    for rows, theirs in reference.blocks(_ROWS):
        ours = query.part(rows, index)
        seen, known = ((d >= 0).astype(np.float32) for d in (ours, theirs))
        apart += np.maximum(ours, 0).astype(np.float32).T @ known + seen.T @ np.maximum(theirs, 0).astype(np.float32)
        shared += seen.T @ known
        for least in (1, 2):
            apart -= 2 * ((ours >= least).astype(np.float32).T @ (theirs >= least).astype(np.float32))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(shared > 0, apart / (2 * shared), np.inf)
