"""Reference populations as distributions of principal components, and how far their answers can be trusted.

    p(x | c) = t_v(x; m_c, C_c + E),      C_c = (1 - s_c) C + s_c S_c,      s_c = n_c / (n_c + a)
    p(c | x) = p(x | c)^(1/T) / sum_c' p(x | c')^(1/T)

x: noise-scaled components of a sample, shape (k,); m_c, S_c: mean and covariance of the n_c reference people of
population c; C: their pooled covariance within populations; E: what missing genotypes add (see
genovi.structure.projection); t_v: multivariate t with v degrees of freedom, because admixed people lie in the tails.
All populations have the same prior weight: how many people of each a panel holds says nothing about a new sample.
So x with few genotypes has a wide E, and p(c | x) falls back to the same for all. a and T are those under which
held-out reference people have the highest probability (genovi.calibration); temperature: Guo, Pleiss, Sun, Weinberger
(ICML 2017). The distance (x - m_c)' (C_c + E)^-1 (x - m_c) to the nearest population, ranked among those of held-out
people, says whether x is like any of them at all (a conformal p-value: Vovk, Gammerman, Shafer 2005). Of n people the
smallest is 1 / (n + 1), so that where they are fewer than 100 those count as unlike who are beyond all of them.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_triangular
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

from genovi.errors import DataError
from genovi.labels import SampleLabels, match

logger = logging.getLogger("genovi")

MIN_PEOPLE = 10
FREEDOM = 10.0
PULLS = (30.0, 100.0, 300.0, 1000.0)
UNLIKE = 0.01  # typicality under which a sample is like no reference population
GRID = 100  # steps of probability at which coverage and error are kept
CURVES = ("coverage", "error", "absent", "absent_error")  # of Trust
_RIDGE = 0.01  # of the pooled variances, so that small references have a covariance that can be inverted
_BINS = 10
_LOG_TEMPERATURE = (-1.0, 4.0)


@dataclass(frozen=True)
class Panel:
    """Who belongs to which population.

    Attributes:
        levels: Label columns, the finest first, such as ("pop", "super_pop").
        names: Populations, sorted.
        groups: The group of each, empty where there is one level only.
        member: Population of each sample as a place in ``names``, -1 for none, shape (n_samples,), int64.
    """

    levels: tuple[str, ...]
    names: tuple[str, ...]
    groups: tuple[str, ...]
    member: np.ndarray

    @staticmethod
    def of(labels: SampleLabels, samples: Sequence[str], population: str | None, group: str | None) -> Panel:
        """Populations with at least ``MIN_PEOPLE`` labelled samples.

        Args:
            labels: The table.
            samples: Identifiers of the reference people.
            population: Column of populations; None guesses it.
            group: Column of what they belong to; None guesses it, and does without where there is none.

        Raises:
            ConfigError: no such column.
            MismatchError: no label belongs to a sample.
            DataError: fewer than two populations are large enough.
        """
        matched = match(labels, samples)
        column = population if population is not None else labels.default_population_column()
        values = matched.column(column)
        counts = Counter(value for value in values if value)
        names = tuple(sorted(name for name, n in counts.items() if n >= MIN_PEOPLE))
        small = sorted(counts.keys() - set(names))
        if len(names) < 2:
            raise DataError(
                f"only {len(names)} population{'' if len(names) == 1 else 's'} with {MIN_PEOPLE} samples or more",
                where=f"{labels.source}, column {column!r}",
                why="to say which population is most similar takes two",
                fix="name a column of larger groups with --color, or add labels",
            )
        if small:
            shown = ", ".join(f"{name} ({counts[name]})" for name in small[:5]) + (", ..." if len(small) > 5 else "")
            logger.warning("%d populations of fewer than %d samples left out: %s", len(small), MIN_PEOPLE, shown)
        place = {name: i for i, name in enumerate(names)}
        member = np.array([place.get(value, -1) for value in values], dtype=np.int64)
        upper = group if group is not None else labels.default_group_column()
        groups = () if upper is None or upper == column else _groups(names, values, matched.column(upper), upper)
        return Panel((column, upper) if groups and upper else (column,), names, groups, member)


def _groups(names: Sequence[str], values: Sequence[str], above: Sequence[str], column: str) -> tuple[str, ...]:
    """The one group of each population; nothing, with a warning, where there is not one for each."""
    found: dict[str, set[str]] = {name: set() for name in names}
    for value, group in zip(values, above, strict=True):
        if value in found and group:
            found[value].add(group)
    unclear = [name for name, groups in found.items() if len(groups) != 1]
    if unclear:
        logger.warning("column %s is left out: %s does not belong to one of its groups", column, unclear[0])
        return ()
    return tuple(found[name].pop() for name in names)


@dataclass(frozen=True)
class Classes:
    """Means and covariances of populations.

    Attributes:
        mean: m_c, shape (C, k), float64, in units of noise.
        covariance: C_c, shape (C, k, k), float64.
    """

    mean: np.ndarray
    covariance: np.ndarray

    @staticmethod
    def fit(x: np.ndarray, member: np.ndarray, n: int, pull: float) -> Classes:
        """Of people ``x``, shape (n_people, k), of the ``n`` populations ``member``; ``pull`` is a."""
        mean = np.stack([x[member == c].mean(axis=0) for c in range(n)])
        residual = x - mean[member]
        pooled = residual.T @ residual / max(len(x) - n, 1)
        pooled += _RIDGE * np.diag(np.diag(pooled).clip(min=np.finfo(float).eps))
        covariance = np.empty((n, *pooled.shape))
        for c in range(n):
            own = residual[member == c]
            share = len(own) / (len(own) + pull)
            covariance[c] = (1 - share) * pooled + share * own.T @ own / max(len(own) - 1, 1)
        return Classes(mean, covariance)

    def measure(self, x: np.ndarray, excess: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """log p(x | c) up to a constant, and squared distances, shape (n, C) both.

        Args:
            x: shape (n, k).
            excess: E of each sample, shape (n, k, k); None where nothing is missing.
        """
        k = x.shape[1]
        square, log_scale = np.empty((len(x), len(self.mean))), np.empty((len(x), len(self.mean)))
        for c, (mean, covariance) in enumerate(zip(self.mean, self.covariance, strict=True)):
            if excess is None:
                factor = np.linalg.cholesky(covariance)
                square[:, c] = np.square(solve_triangular(factor, (x - mean).T, lower=True)).sum(axis=0)
                log_scale[:, c] = np.log(np.diag(factor)).sum()
            else:
                factors = np.linalg.cholesky(covariance + excess)
                scaled = np.linalg.solve(factors, (x - mean)[..., None])[..., 0]
                square[:, c] = np.square(scaled).sum(axis=1)
                log_scale[:, c] = np.log(np.diagonal(factors, axis1=1, axis2=2)).sum(axis=1)
        return -log_scale - 0.5 * (FREEDOM + k) * np.log1p(square / FREEDOM), square


def tempered(log_density: np.ndarray, temperature: float) -> np.ndarray:
    """log p(c | x), shape (n, C)."""
    scaled = log_density / temperature
    return scaled - logsumexp(scaled, axis=1, keepdims=True)


def without_own(log_probability: np.ndarray, member: np.ndarray) -> np.ndarray:
    """log p(c | x) of people of known populations, shape (n, C), were their own not among those to choose from."""
    others = log_probability.copy()
    others[np.arange(len(member)), member] = -np.inf
    return tempered(others, 1.0)


def choose_temperature(log_density: np.ndarray, member: np.ndarray) -> tuple[float, float]:
    """T with the smallest log loss of held-out people of known population, and that loss, in nats."""
    rows = np.arange(len(member))

    def loss(log_temperature: float) -> float:
        return float(-tempered(log_density, np.exp(log_temperature))[rows, member].mean())

    found = minimize_scalar(loss, bounds=_LOG_TEMPERATURE, method="bounded")
    return float(np.exp(found.x)), float(found.fun)


@dataclass(frozen=True)
class Trust:
    """How right the answers of one level are, measured on reference people who were new when they were classified.

    Attributes:
        level: Its column.
        n: These people.
        accuracy: Share of them whose own population has the highest probability.
        log_loss: Mean of -log p(own population), nats.
        calibration_error: Mean distance of the highest probability from how often it was right, over tenths of people.
        coverage: Share of people whose highest probability is at least i / ``GRID``, i = 0 .. ``GRID``, and who are not
            like no population.
        error: Share of these that are not of that population; 0 where there are none.
        absent: As ``coverage``, were the own population (of the finest level) of each not among those to choose from;
            without those who would then be like no population.
        absent_error: As ``error`` then; at the finest level 1 wherever anybody is answered.
    """

    level: str
    n: int
    accuracy: float
    log_loss: float
    calibration_error: float
    coverage: tuple[float, ...]
    error: tuple[float, ...]
    absent: tuple[float, ...]
    absent_error: tuple[float, ...]

    @staticmethod
    def of(
        level: str,
        log_probability: np.ndarray,
        member: np.ndarray,
        unlike: np.ndarray,
        without: np.ndarray,
        unlike_others: np.ndarray,
    ) -> Trust:
        """Judge answers to people of known populations.

        Args:
            level: Its column.
            log_probability: log p(c | x), shape (n, C).
            member: Their own place among the C, shape (n,).
            unlike: Who is like no population, shape (n,), bool.
            without: log p(c | x) where the population of each is not among those to choose from, shape (n, C).
            unlike_others: Who would then be like no population, shape (n,), bool.
        """
        best = np.exp(log_probability.max(axis=1)).clip(max=1)
        right = log_probability.argmax(axis=1) == member
        tenths = np.array_split(np.argsort(best, kind="stable"), _BINS)
        gaps = [abs(best[part].mean() - right[part].mean()) * len(part) for part in tenths if len(part)]
        coverage, error = _curves(log_probability, member, unlike)
        absent, absent_error = _curves(without, member, unlike_others)
        return Trust(
            level,
            len(member),
            float(right.mean()),
            float(-log_probability[np.arange(len(member)), member].mean()),
            float(sum(gaps) / len(member)),
            coverage,
            error,
            absent,
            absent_error,
        )

    def at(self, max_error: float) -> tuple[float, float, float, float]:
        """The four of ``CURVES`` where answers need a probability of 1 - ``max_error``."""
        i = min(int(np.ceil(round((1 - max_error) * GRID, 9))), GRID)
        return self.coverage[i], self.error[i], self.absent[i], self.absent_error[i]


def _curves(
    log_probability: np.ndarray, member: np.ndarray, refused: np.ndarray
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Share of the people who are answered at each threshold, and share of these answered wrongly."""
    best = np.exp(log_probability.max(axis=1)).clip(max=1)
    wrong = log_probability.argmax(axis=1) != member
    answered = [(best >= i / GRID) & ~refused for i in range(GRID + 1)]
    return (
        tuple(float(mask.mean()) for mask in answered),
        tuple(float(wrong[mask].mean()) if mask.any() else 0.0 for mask in answered),
    )


@dataclass(frozen=True)
class Prediction:
    """What populations say of samples.

    Attributes:
        log_probability: log p(c | x) for each level, the finest first, shape (n, C_level) each.
        typicality: Share of held-out reference people at least as far from their nearest population, shape (n,); small
            where a sample is like none of them.
        unlike: Samples whose typicality is so small that they are like no population, shape (n,), bool.
    """

    log_probability: tuple[np.ndarray, ...]
    typicality: np.ndarray
    unlike: np.ndarray


@dataclass(frozen=True)
class Populations:
    """Reference populations of a model.

    Attributes:
        model: Digest of the model whose components these are.
        levels: Label columns, the finest first.
        names: Populations.
        groups: The group of each; empty for one level.
        counts: People of each.
        classes: Their distributions.
        pull: a.
        temperature: T.
        distances: Quantiles 0 .. 1 of the squared distance of held-out people to their nearest population, ascending.
        trust: For each level.
    """

    model: str
    levels: tuple[str, ...]
    names: tuple[str, ...]
    groups: tuple[str, ...]
    counts: tuple[int, ...]
    classes: Classes
    pull: float
    temperature: float
    distances: np.ndarray
    trust: tuple[Trust, ...]

    @property
    def choices(self) -> tuple[tuple[str, ...], ...]:
        """Names to choose from at each level."""
        return (self.names, tuple(sorted(set(self.groups)))) if self.groups else (self.names,)

    @property
    def n_people(self) -> int:
        """Held-out reference people, whose distances there are."""
        return self.trust[0].n

    def predict(self, x: np.ndarray, excess: np.ndarray | None) -> Prediction:
        """Judge samples: x, shape (n, k), noise-scaled; ``excess`` as in ``Classes.measure``."""
        log_density, square = self.classes.measure(x, excess)
        fine = tempered(log_density, self.temperature)
        coarse = (group_probabilities(fine, self.groups),) if self.groups else ()
        typical = typicality(square.min(axis=1), self.distances, self.n_people)
        return Prediction((fine, *coarse), typical, are_unlike(typical, self.n_people))


def are_unlike(typical: np.ndarray, n_people: int) -> np.ndarray:
    """Who is like no population, by typicality among ``n_people``, shape (n,), bool."""
    return (typical < UNLIKE) | (typical <= 1 / (1 + n_people))


def typicality(nearest: np.ndarray, distances: np.ndarray, n_people: int) -> np.ndarray:
    """Share of held-out reference people at least as far from their nearest population, shape (n,).

    Args:
        nearest: Squared distance of each sample to its nearest population, shape (n,).
        distances: Quantiles 0 .. 1 of those of held-out reference people, ascending.
        n_people: How many held-out reference people there are.
    """
    closer = np.interp(nearest, distances, np.linspace(0, 1, len(distances)), left=0.0, right=1.0)
    # a conformal p-value: the sample counts itself, so that it is never 0
    return (1 + (1 - closer) * n_people) / (1 + n_people)


def group_probabilities(log_probability: np.ndarray, groups: Sequence[str]) -> np.ndarray:
    """Logarithms of the sums over the populations of each group, groups sorted, shape (n, n_groups)."""
    of = np.array(groups)
    return np.stack([logsumexp(log_probability[:, of == group], axis=1) for group in sorted(set(groups))], axis=1)
