"""Fitting reference populations, with answers checked on people who are new to the axes, too.

Scores of the people that axes were fitted to hold part of their own noise, those of new samples do not. So for each of
``FOLDS`` parts of the reference people the axes are fitted again without them; they are projected as new samples are
and classified by the populations of the others. What these held-out answers are worth decides pull and temperature and
is what is reported. The populations that are kept are those of everybody, on the axes of the model. Where most
reference people are new to the model anyway, these alone are held out, and the axes are those of the model.
"""

from __future__ import annotations

import hashlib
import logging
import math
from dataclasses import dataclass

import numpy as np

from genovi.genotypes.matrix import GenotypeMatrix
from genovi.populations import (
    PULLS,
    Classes,
    Panel,
    Populations,
    Trust,
    are_unlike,
    choose_temperature,
    group_probabilities,
    tempered,
    typicality,
    without_own,
)
from genovi.preparing import MAX_AXES
from genovi.seeding import Seeds
from genovi.structure.pca import PrincipalAxes, fit_axes
from genovi.structure.projection import project_all
from genovi.structure.standardise import Standardiser

logger = logging.getLogger("genovi")

FOLDS = 5
_MOST = 0.9  # share of the training samples with which axes are about those of the model
_QUANTILES = 1001


@dataclass(frozen=True)
class Scores:
    """Samples in the unit of a model.

    Attributes:
        x: Noise-scaled components, shape (n, k).
        excess: E, shape (n, k, k); None where nothing is missing.
    """

    x: np.ndarray
    excess: np.ndarray | None

    @staticmethod
    def of(axes: PrincipalAxes, standardiser: Standardiser, matrix: GenotypeMatrix, training: bool) -> Scores:
        """Project samples, those of training as they were in training."""
        found, variance = project_all(axes, standardiser, matrix, training=training), axes.noise.edge
        return Scores(found.scores / math.sqrt(variance), None if found.excess is None else found.excess / variance)


def digest_of(axes: PrincipalAxes) -> str:
    """What tells the axes of one model from those of another."""
    return hashlib.sha256(np.ascontiguousarray(axes.loadings).tobytes()).hexdigest()[:16]


def fit_populations(
    axes: PrincipalAxes,
    standardiser: Standardiser,
    matrix: GenotypeMatrix,
    trained_on: np.ndarray,
    panel: Panel,
    seeds: Seeds,
) -> Populations:
    """Reference populations for a model.

    Args:
        axes: Of the model.
        standardiser: Of the model.
        matrix: Genotypes of the reference people, aligned to the model's variants.
        trained_on: Which of them the model was trained on, shape (n_samples,), bool.
        panel: Their populations.
        seeds: Stream "folds" draws who is held out together.
    """
    labelled = np.flatnonzero(panel.member >= 0)
    anew = _fit_anew(axes, trained_on, labelled)
    judged = labelled if anew else labelled[~trained_on[labelled]]
    held_out, square, pull = _cross_fit(axes, standardiser, matrix, trained_on, anew, judged, panel, seeds)
    member = panel.member[judged]
    temperature, _ = choose_temperature(held_out, member)
    nearest = square.min(axis=1)
    distances = np.quantile(nearest, np.linspace(0, 1, min(_QUANTILES, len(nearest))))
    trust = _trust(panel, member, tempered(held_out, temperature), square, distances)
    member = panel.member[labelled]
    x = _reference_scores(axes, standardiser, matrix, trained_on)
    return Populations(
        model=digest_of(axes),
        levels=panel.levels,
        names=panel.names,
        groups=panel.groups,
        counts=tuple(int(n) for n in np.bincount(member, minlength=len(panel.names))),
        classes=Classes.fit(x[labelled], member, len(panel.names), pull),
        pull=pull,
        temperature=temperature,
        distances=distances,
        trust=trust,
    )


def _fit_anew(axes: PrincipalAxes, trained_on: np.ndarray, labelled: np.ndarray) -> bool:
    """Whether people are held out from the axes, too: not where most of those with a label are new to these.

    Axes of a few training people are worse than those of the model: answers held out from them would say too little,
    and pull and temperature that are best for them are not for new samples.
    """
    present = int(trained_on.sum())
    if present >= _MOST * axes.n_samples:
        return True
    known = int(trained_on[labelled].sum())
    new = len(labelled) - known
    if known > new:
        logger.warning(
            "%d of the %d samples that the model was trained on are among the reference people: held-out answers come "
            "from axes of these alone, and are worse than what new samples get; give all of them with --reference",
            present, axes.n_samples,
        )  # fmt: skip
    elif present:
        logger.info("%d reference people are training samples: answers are judged on the other %d", known, new)
    return known > new


def _trust(
    panel: Panel, member: np.ndarray, fine: np.ndarray, square: np.ndarray, distances: np.ndarray
) -> tuple[Trust, ...]:
    """For each level, of held-out people with log p(c | x) and squared distances, shape (n, C) both."""
    others = square.copy()
    others[np.arange(len(member)), member] = np.inf
    beyond, beyond_others = (
        are_unlike(typicality(each.min(axis=1), distances, len(member)), len(member)) for each in (square, others)
    )
    without = without_own(fine, member)
    found = (Trust.of(panel.levels[0], fine, member, beyond, without, beyond_others),)
    if not panel.groups:
        return found
    groups = np.array(panel.groups)
    place = np.searchsorted(np.array(sorted(set(panel.groups))), groups)
    coarse, beside = (group_probabilities(each, panel.groups) for each in (fine, without))
    return (*found, Trust.of(panel.levels[1], coarse, place[member], beyond, beside, beyond_others))


def _reference_scores(
    axes: PrincipalAxes, standardiser: Standardiser, matrix: GenotypeMatrix, trained_on: np.ndarray
) -> np.ndarray:
    """x of the reference people, each as what it was to the axes, shape (n, k)."""
    x = np.empty((matrix.n_samples, axes.n_axes))
    for training in (True, False):
        rows = np.flatnonzero(trained_on == training)
        if len(rows):
            x[rows] = Scores.of(axes, standardiser, matrix.take_samples(rows), training).x
    return x


def _cross_fit(
    axes: PrincipalAxes,
    standardiser: Standardiser,
    matrix: GenotypeMatrix,
    trained_on: np.ndarray,
    anew: bool,
    judged: np.ndarray,
    panel: Panel,
    seeds: Seeds,
) -> tuple[np.ndarray, np.ndarray, float]:
    """Held-out log p(x | c) and squared distances of the people ``judged``, shape (n, C), and the best pull."""
    member, n = panel.member[judged], len(panel.names)
    fold = _folds(panel.member, seeds)
    density = np.empty((len(PULLS), len(judged), n))
    square = np.empty_like(density)
    for part in range(FOLDS):
        out = fold == part
        if anew:
            rest = matrix.take_samples(np.flatnonzero(trained_on & ~out))
            own_axes, own, kept = _axes_without(rest, axes.n_axes, seeds)
        else:
            own_axes, own, kept = axes, standardiser, np.arange(matrix.n_variants)
        narrowed = matrix.take_variants(kept)
        inside = np.flatnonzero(~out & (panel.member >= 0))
        outside = judged[out[judged]]
        x = _reference_scores(own_axes, own, narrowed.take_samples(inside), trained_on[inside])
        new = Scores.of(own_axes, own, narrowed.take_samples(outside), False)
        rows = np.searchsorted(judged, outside)
        for i, pull in enumerate(PULLS):
            classes = Classes.fit(x, panel.member[inside], n, pull)
            density[i, rows], square[i, rows] = classes.measure(new.x, new.excess)
    losses = [choose_temperature(each, member)[1] for each in density]
    best = int(np.argmin(losses))
    return density[best], square[best], PULLS[best]


def _axes_without(matrix: GenotypeMatrix, n_axes: int, seeds: Seeds) -> tuple[PrincipalAxes, Standardiser, np.ndarray]:
    """Axes of fewer people, their standardiser, and the variants that still vary."""
    varies = np.zeros(matrix.n_variants, dtype=bool)
    for rows, dosages in matrix.blocks():
        counted, observed = np.where(dosages > 0, dosages, 0).sum(axis=1), (dosages >= 0).sum(axis=1)
        varies[rows] = (counted > 0) & (counted < 2 * observed)
    kept = np.flatnonzero(varies)
    matrix = matrix.take_variants(kept)
    standardiser = Standardiser.fit(matrix)
    # as many as training computes: the noise floor is estimated beside them
    axes, _ = fit_axes(matrix, standardiser, max(n_axes, MAX_AXES), seeds)
    return axes.first(n_axes), standardiser, kept


def _folds(member: np.ndarray, seeds: Seeds) -> np.ndarray:
    """Which of ``FOLDS`` parts each sample is held out in, every population spread evenly, shape (n,), int64."""
    generator = seeds.numpy("folds")
    fold = np.empty(len(member), dtype=np.int64)
    for one in np.unique(member):
        rows = generator.permutation(np.flatnonzero(member == one))
        fold[rows] = (np.arange(len(rows)) + generator.integers(FOLDS)) % FOLDS
    return fold
