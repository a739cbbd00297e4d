"""Placing samples with a trained model: aligned genotypes to principal components to an embedding.

Training samples that come again are told by their position: components as they were in training, not corrected for
shrinkage, give the very row that the training run wrote. They get that row; the correction would throw them out, since
their own noise is in the axes. No genotypes are needed for it, and none are in the model.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from genovi.embedding import Embedding, embedding_of
from genovi.encoding import Components, class_probabilities, encode
from genovi.errors import DataError, MismatchError
from genovi.genotypes.counting import allele_counts
from genovi.genotypes.kinship import Relatives
from genovi.genotypes.matching import VariantMatch
from genovi.genotypes.matrix import GenotypeMatrix
from genovi.genotypes.querying import read_query
from genovi.genotypes.suitability import Demands, Target, fit_to_model
from genovi.model.rows import components
from genovi.modelfiles import EMBEDDING, has_member
from genovi.seeding import Seeds
from genovi.structure.projection import project, sample_blocks
from genovi.trained import TrainedModel

logger = logging.getLogger("genovi")

_SAME = 1e-3  # posterior standard deviations within which a row is that of a training sample; files have six digits
_ALIKE = 3e-4  # relative difference of the misfits of one sample; from rounding it is some 1e-5
_MISFIT_QUANTILE = 0.99
_SPARSE = 0.5
_NAMES = 5


def embedding_seed(seed: int) -> int:
    """Seed of the posterior draws of a run with root seed ``seed``."""
    return Seeds(seed).integer("embedding")


def some_of(names: Sequence[str]) -> str:
    """The first few of ``names``, for a message."""
    return ", ".join(names[:_NAMES]) + (", ..." if len(names) > _NAMES else "")


def missing_shares(matrix: GenotypeMatrix) -> np.ndarray:
    """Share of the variants that is missing in each sample, shape (n_samples,), float64."""
    return allele_counts(matrix).sample_missing / matrix.n_variants


def check_observed(missing: np.ndarray, matrix: GenotypeMatrix) -> int:
    """Refuse samples without any genotype and name those that lack more than half; returns the number of these.

    Args:
        missing: Of ``missing_shares``.
        matrix: Says who they are.

    Raises:
        MismatchError: a sample has no genotype at all.
    """
    empty = [matrix.samples[i] for i in np.flatnonzero(missing >= 1)]
    if empty:
        raise MismatchError(
            f"{len(empty)} samples have no genotype at any of the model's variants",
            where=f"{matrix.source}: {some_of(empty)}",
            why="they cannot be placed",
            fix="take them out of the input, for example with bcftools view --samples ^NAME",
        )
    poor = [matrix.samples[i] for i in np.flatnonzero(missing > _SPARSE)]
    if poor:
        logger.warning("%d samples lack more than half of the model's variants: %s", len(poor), some_of(poor))
    return len(poor)


def fit_input(
    trained: TrainedModel, name: str, inputs: Sequence[Path | GenotypeMatrix], demands: Demands | None
) -> tuple[GenotypeMatrix, VariantMatch, np.ndarray, int]:
    """Read new samples and check that they suit a model.

    Args:
        trained: The model.
        name: Its name, for messages.
        inputs: Genotype files, or genotypes in memory; several are one input.
        demands: How variants are matched, and what the input must have.

    Returns:
        Genotypes in the model's order and coding, how they were found, the missing share of each sample, and the
        number of samples that miss more than half.

    Raises:
        MismatchError: the data do not suit the model, or a sample has no genotype at all.
        GenoviError: its other children, for bad input.
    """
    query = read_query(inputs, trained.standardiser.variants)
    target = Target(trained.standardiser.variants, trained.standardiser.frequency, trained.build, name)
    aligned, found = fit_to_model(target, query, demands)
    missing = missing_shares(aligned)
    return aligned, found, missing, check_observed(missing, query.matrix)


def place(
    trained: TrainedModel,
    matrix: GenotypeMatrix,
    seed: int,
    device: torch.device,
    *,
    training: bool = False,
    shared: np.ndarray | None = None,
) -> Embedding:
    """Embed samples, a few thousand at once.

    What a sample gets does not depend on which others are there.

    Args:
        trained: The model.
        matrix: Genotypes aligned to the variants of the model, absent ones missing.
        seed: Of the posterior draws.
        device: Where to compute.
        training: The samples are those that the model was trained on, whose components do not shrink.
        shared: Of relatives of training samples, see ``project``.

    Returns:
        One row for each sample, in the order of ``matrix.samples``.
    """
    parts = []
    done = 0
    for part in sample_blocks(matrix):
        kin = None if shared is None else shared[done : done + part.n_samples]
        done += part.n_samples
        projection = project(trained.axes, trained.standardiser, part, training=training, shared=kin)
        seen = Components.of(projection, trained.noise_scale, trained.genotypes_of(part))
        parts.append(encode(trained.model, seen, part.samples, seed, device))
    return Embedding.concatenate(parts)


def class_shares(
    trained: TrainedModel, matrix: GenotypeMatrix, seed: int, device: torch.device, *, training: bool = False
) -> np.ndarray:
    """Probabilities of the classes that the model was trained with, shape (n_samples, n_classes); else as ``place``."""
    parts = []
    for part in sample_blocks(matrix):
        projection = project(trained.axes, trained.standardiser, part, training=training)
        seen = Components.of(projection, trained.noise_scale, trained.genotypes_of(part))
        parts.append(class_probabilities(trained.model, seen, seed, device))
    return np.concatenate(parts)


def class_table(shares: np.ndarray, names: Sequence[str], samples: Sequence[str]) -> pd.DataFrame:
    """Most similar class of each sample: IID, CLASS, CLASS_PROB."""
    best = np.array(names, dtype=object)[shares.argmax(axis=1)]
    return pd.DataFrame({"IID": list(samples), "CLASS": best, "CLASS_PROB": shares.max(axis=1).clip(max=1)})


def known_positions(run: Path) -> Embedding | None:
    """Embedding of the training samples that comes with a model; None where it is not there or not readable."""
    if not has_member(run, EMBEDDING):
        return None
    try:
        return embedding_of(run)
    except DataError as error:
        logger.warning("training samples among the input are not recognised: %s", error)
        return None


def place_new(
    trained: TrainedModel, matrix: GenotypeMatrix, seed: int, device: torch.device, known: Embedding | None
) -> tuple[Embedding, np.ndarray]:
    """``place`` for samples that may be training samples.

    Args:
        trained: The model.
        matrix: As for ``place``.
        seed: Of the posterior draws; training samples are recognised if it is that of the training run's embedding.
        device: Where to compute.
        known: Embedding of the training samples, None where it is not at hand.

    Returns:
        The embedding, and which samples are training samples, shape (n_samples,), bool.
    """
    new = place(trained, matrix, seed, device)
    if known is None or known.std is None or known.n_dimensions != new.n_dimensions:
        return new, np.zeros(len(new.samples), dtype=bool)
    same = np.zeros(len(new.samples), dtype=bool)
    likely = np.flatnonzero(_may_be_known(trained, matrix, known))
    if not len(likely):
        return new, same
    again = place(trained, matrix.take_samples(likely), seed, device, training=True)
    found = _same_place(again, known.mean, known.std, known.misfit)
    same[likely[found]] = True
    columns = {}
    for name in ("mean", "std", "cluster", "cluster_prob", "misfit"):
        before, now = getattr(again, name), getattr(new, name)
        if before is not None and now is not None:
            columns[name] = now.copy()
            columns[name][same] = before[found]
    return replace(new, **columns), same


@torch.no_grad()
def _may_be_known(trained: TrainedModel, matrix: GenotypeMatrix, known: Embedding) -> np.ndarray:
    """Which samples fit a row of ``known`` as well as the sample of that row does, shape (n_samples,), bool.

    Training samples do, by definition of the misfit; few others do by chance. So most need not be placed twice.
    """
    if known.misfit is None:
        return np.ones(matrix.n_samples, dtype=bool)
    likelihood = trained.model.cpu().likelihood
    decoded = likelihood.mean(torch.as_tensor(known.mean, dtype=torch.float32)).double()
    likely = np.zeros(matrix.n_samples, dtype=bool)
    done = 0
    for part in sample_blocks(matrix):
        projection = project(trained.axes, trained.standardiser, part, training=True)
        for rows, data, excess in Components.of(projection, trained.noise_scale).parts():
            x = components(data)
            whitener = None if excess is None else likelihood.whitener(excess).double()
            scale = torch.exp(-likelihood.log_noise.double())
            for i, one in enumerate(x.double()):
                residual = one - decoded
                residual = residual * scale if whitener is None else residual @ whitener[i].T
                misfit = residual.square().sum(1).numpy() / x.shape[1]
                likely[done + rows[i]] = (np.abs(misfit - known.misfit) < _ALIKE * known.misfit).any()
        done += part.n_samples
    return likely


@torch.no_grad()
def known_by_name(trained: TrainedModel, matrix: GenotypeMatrix, known: Embedding) -> np.ndarray:
    """Which samples are the training sample of their name: those that fit its row as well as it did.

    Args:
        trained: The model.
        matrix: Genotypes aligned to the variants of the model, absent ones missing.
        known: Embedding of the training samples; without misfits names alone decide.

    Returns:
        shape (n_samples,), bool.
    """
    place_of = {name: i for i, name in enumerate(known.samples)}
    row = np.array([place_of.get(name, -1) for name in matrix.samples], dtype=np.int64)
    same = row >= 0
    if known.misfit is None or not same.any():
        return same
    likelihood = trained.model.cpu().likelihood
    done = 0
    for part in sample_blocks(matrix):
        projection = project(trained.axes, trained.standardiser, part, training=True)
        for rows, data, excess in Components.of(projection, trained.noise_scale).parts():
            x = components(data)
            theirs = row[done + rows]
            z = torch.as_tensor(known.mean[theirs], dtype=torch.float32)
            whitener = None if excess is None else likelihood.whitener(excess)
            misfit = (likelihood.misfit(x, z, whitener) / x.shape[1]).numpy()
            same[done + rows] &= np.abs(misfit - known.misfit[theirs]) < _ALIKE * known.misfit[theirs]
        done += part.n_samples
    return same


def _same_place(samples: Embedding, mean: np.ndarray, std: np.ndarray, misfit: np.ndarray | None) -> np.ndarray:
    """Which samples lie where one of the rows of ``mean`` does, shape (n_samples,), bool.

    Where a misfit is known it has to be that of the row, too: under a poor model two samples may lie on one spot.
    """
    order = np.argsort(mean[:, 0], kind="stable")
    mean, std = mean[order], std[order]
    theirs = None if misfit is None or samples.misfit is None else misfit[order]
    reach = _SAME * float(std.max())
    first = np.searchsorted(mean[:, 0], samples.mean[:, 0] - reach)
    last = np.searchsorted(mean[:, 0], samples.mean[:, 0] + reach, side="right")
    same = np.zeros(len(samples.samples), dtype=bool)
    for i, (a, b, z) in enumerate(zip(first, last, samples.mean, strict=True)):
        here = (np.abs(mean[a:b] - z) < _SAME * std[a:b]).all(axis=1)
        if theirs is not None and samples.misfit is not None:
            here &= np.abs(theirs[a:b] - samples.misfit[i]) < _ALIKE * theirs[a:b]
        same[i] = here.any()
    return same


def place_relatives(
    trained: TrainedModel,
    embedding: Embedding,
    relatives: Relatives,
    scores: np.ndarray,
    seed: int,
    device: torch.device,
) -> Embedding:
    """Add the samples that training left out because of their relatives, as new samples with relatives in training.

    Args:
        trained: The model.
        embedding: Of the training samples.
        relatives: The samples left out.
        scores: Of the training samples, shape (n_training, k), float64, in the unit of the axes.
        seed: As for ``place``.
        device: Where to compute.

    Returns:
        One row for each sample of both, in the order of the input.
    """
    if len(relatives.place) == 0:
        return embedding
    added = place(trained, relatives.matrix, seed, device, shared=relatives.noise_shared(scores))
    warn_of_misfits(added, trained)
    n = len(embedding.samples) + len(added.samples)
    left_out = np.zeros(n, dtype=bool)
    left_out[relatives.place] = True
    # where each row of the input stands in training samples first, relatives second
    order = np.argsort(np.argsort(left_out, kind="stable"), kind="stable")
    return Embedding.concatenate([embedding, added]).take(order)


def misfit_quantiles(embedding: Embedding) -> dict[str, float]:
    """Median and 99 % quantile of the misfit of training samples, for the manifest of a model."""
    assert embedding.misfit is not None
    return {"median": float(np.median(embedding.misfit)), "q99": float(np.quantile(embedding.misfit, _MISFIT_QUANTILE))}


def warn_of_misfits(embedding: Embedding, trained: TrainedModel) -> np.ndarray:
    """Name the samples that the model does not describe; returns which they are, shape (n_samples,), bool."""
    limit = trained.misfit_limit
    if limit is None or embedding.misfit is None:
        return np.zeros(len(embedding.samples), dtype=bool)
    odd = embedding.misfit > limit
    if odd.any():
        names = [embedding.samples[i] for i in np.argsort(-embedding.misfit)[: int(odd.sum())]]
        logger.warning(
            "unlike the training samples, so that positions say little (MISFIT over %.2f): %d of %d samples: %s",
            limit, len(names), len(odd), some_of(names),
        )  # fmt: skip
    return odd
