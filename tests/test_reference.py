"""What embeddings are compared with: F_ST and principal components of their own samples."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers import simulate_structure, write_vcf

from genovi.embedding import Embedding
from genovi.errors import MismatchError
from genovi.evaluation import evaluate
from genovi.genotypes.reading import open_genotypes
from genovi.labels import SampleLabels
from genovi.reference import measure_reference


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SampleLabels]:
    """Two groups of two populations each: some variants differ between groups, the others between populations."""
    between, _ = simulate_structure(4, n_populations=2, n_per=30, n_variants=1000, fst=0.2)
    within, populations = simulate_structure(5, n_populations=4, n_per=15, n_variants=1000, fst=0.1)
    within = replace(within, variants=replace(within.variants, pos=within.variants.pos + 1000))
    matrix = open_genotypes([between, within])
    path = write_vcf(tmp_path_factory.mktemp("cohort") / "cohort.vcf.gz", matrix, "bgzf")
    return path, SampleLabels(matrix.samples, {"pop": tuple(populations)})


def at(samples: tuple[str, ...], seed: int) -> Embedding:
    return Embedding(samples, np.random.default_rng(seed).normal(size=(len(samples), 2)), method="random")


def test_a_faithful_embedding_scores_above_a_random_one(cohort: tuple[Path, SampleLabels]) -> None:
    path, labels = cohort
    random = at(labels.samples, 0)
    reference = measure_reference([path], random, labels)
    assert reference.populations == ("pop1", "pop2", "pop3", "pop4")
    assert reference.components.shape[0] == 60
    assert reference.components.shape[1] >= 3  # four populations span three axes
    faithful = Embedding(labels.samples, reference.components, method="PCA")
    fst = reference.populations, reference.fst
    good, bad = (evaluate(one, labels, reference=reference.components, fst=fst) for one in (faithful, random))
    assert good.trustworthiness == good.continuity == 1.0
    assert bad.trustworthiness is not None
    assert bad.trustworthiness < 0.7
    assert good.fst_correlation is not None
    assert good.fst_correlation > 0.7


def test_rows_follow_the_embedding_and_others_are_left_out(cohort: tuple[Path, SampleLabels]) -> None:
    path, labels = cohort
    whole = measure_reference([path], at(labels.samples, 0), labels)
    some = labels.samples[::-1][:45]  # three of the four populations, from the end
    part = measure_reference([path], at(some, 0), labels)
    assert part.populations == ("pop2", "pop3", "pop4")
    assert np.allclose(part.fst, whole.fst[1:, 1:], atol=0.02)  # other variants pass quality control
    middle = part.components.reshape(3, 15, -1).mean(axis=1)
    own = np.linalg.norm(part.components[:15] - middle[0], axis=1)
    other = np.linalg.norm(part.components[:15] - middle[1], axis=1)
    assert (own < other).all()


def test_samples_without_genotypes_are_named(cohort: tuple[Path, SampleLabels]) -> None:
    path, labels = cohort
    with pytest.raises(MismatchError, match=r"1 of 2 samples of the embedding have no genotypes \(.*: stranger\)"):
        measure_reference([path], at((labels.samples[0], "stranger"), 0), labels)
