"""Placing samples with a model that was trained on others, on fewer variants, or on themselves."""

from __future__ import annotations

import logging
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import real_data, simulate_structure, write_vcf

from genovi import placing
from genovi.applying import embed_run
from genovi.embedding import Embedding
from genovi.encoding import Components
from genovi.genotypes.matching import align, match_variants
from genovi.genotypes.matrix import GenotypeMatrix, pack
from genovi.genotypes.quality import QCConfig
from genovi.genotypes.reading import open_genotypes
from genovi.genotypes.writing import write_plink1
from genovi.model.config import ModelConfig
from genovi.pipeline import RunConfig, train_run
from genovi.placing import place
from genovi.provenance import Provenance
from genovi.structure.projection import project
from genovi.summaries import EmbedSummary
from genovi.trained import TrainedModel
from genovi.training.config import TrainingConfig
from genovi.training.monitor import Monitor

CPU = torch.device("cpu")
CONFIG = RunConfig(
    qc=QCConfig(),
    model=ModelConfig(hidden=64, steps=2, components=8),
    training=TrainingConfig(epochs=0, steps=400, batch_size=64, device="cpu", threads=1),
    pcs=None,
    seed=1,
)


def train(inputs: Path, out: Path, config: RunConfig = CONFIG) -> None:
    provenance = Provenance.start(seed=config.seed, command="genovi train")
    train_run(
        [inputs], out, config, labels=None, provenance=provenance, monitor=Monitor(), log_lines=lambda: "", force=False
    )


def embed(run: Path, matrix: GenotypeMatrix, prefix: Path) -> EmbedSummary:
    path = write_vcf(prefix.with_suffix(".vcf"), matrix)
    return embed_run(run, [path], prefix, device="cpu", provenance=Provenance.start(command="genovi embed"))


@dataclass(frozen=True)
class World:
    """Old and new samples of six populations, samples of a seventh, and a model of the old ones."""

    run: Path
    old: GenotypeMatrix
    new: GenotypeMatrix
    foreign: GenotypeMatrix


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("world")
    matrix, labels = simulate_structure(3, 7, 60, 1500, 0.12)
    known, new = labels != labels[-1], np.arange(matrix.n_samples) % 3 == 0
    old = matrix.take_samples(known & ~new)
    write_plink1(old, folder / "old")
    train(folder / "old.bed", folder / "run")
    return World(folder / "run", old, matrix.take_samples(known & new), matrix.take_samples(~known))


def test_training_samples_keep_their_row_and_new_ones_are_none(
    world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    both = world.new.samples[:5] + world.old.samples[3:9]
    mixed = GenotypeMatrix(
        pack(np.concatenate([world.new.dosages()[:, :5], world.old.dosages()[:, 3:9]], axis=1)),
        tuple(f"other_name_{i}" for i in range(len(both))),
        world.old.variants,
    )
    with caplog.at_level(logging.INFO, "genovi"):
        summary = embed(world.run, mixed, tmp_path / "mixed")
    np.testing.assert_array_equal(summary.again, [False] * 5 + [True] * 6)
    named = ", ".join(f"other_name_{i}" for i in range(5, 10))
    assert f"6 samples are training samples and keep their training positions: {named}, ..." in caplog.text
    before = Embedding.read_tsv(world.run / "embedding.tsv")
    rows = [before.samples.index(name) for name in both[5:]]
    after = Embedding.read_tsv(tmp_path / "mixed.embedding.tsv")
    np.testing.assert_allclose(after.mean[5:], before.mean[rows], atol=1e-4)
    np.testing.assert_allclose(after.misfit[5:], before.misfit[rows], atol=1e-3)  # type: ignore[index]


@pytest.mark.parametrize("holes", [0.0, 0.04])
def test_only_likely_training_samples_are_placed_a_second_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, holes: float
) -> None:
    """All of them are, also incomplete ones, and few others; it changes nothing in what comes out."""
    matrix, _ = simulate_structure(5, 4, 60, 800, 0.12, holes)
    old, new = matrix.take_samples(np.arange(0, 240, 2)), matrix.take_samples(np.arange(1, 240, 2))
    write_plink1(old, tmp_path / "old")
    train(tmp_path / "old.bed", tmp_path / "run")
    trained, known = TrainedModel.load(tmp_path / "run"), Embedding.read_tsv(tmp_path / "run" / "embedding.tsv")

    def placed(samples: GenotypeMatrix) -> tuple[Embedding, np.ndarray]:
        aligned = align(samples, match_variants(trained.standardiser.variants, samples.variants))
        return placing.place_new(trained, aligned, placing.embedding_seed(1), CPU, known)

    n_placed: list[int] = []

    def counted(*arguments: Any, training: bool = False, **options: Any) -> Embedding:
        n_placed.extend([arguments[1].n_samples] if training else [])
        return place(*arguments, training=training, **options)

    monkeypatch.setattr(placing, "place", counted)
    found = [placed(samples) for samples in (old, new)]
    assert found[0][1].all()
    assert not found[1][1].any()
    assert sum(n_placed) < 120 + 40
    monkeypatch.setattr(placing, "_may_be_known", lambda *_: np.ones(120, dtype=bool))
    for (screened, _), samples in zip(found, (old, new), strict=True):
        every, _ = placed(samples)
        np.testing.assert_array_equal(screened.mean, every.mean)
        np.testing.assert_array_equal(screened.std, every.std)


def test_without_the_training_embedding_everybody_is_new(world: World, tmp_path: Path) -> None:
    run = Path(shutil.copytree(world.run, tmp_path / "run"))
    (run / "embedding.tsv").unlink()
    assert not embed(run, world.old, tmp_path / "old").again.any()


def test_a_damaged_training_embedding_is_said_and_does_not_stop(
    world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = Path(shutil.copytree(world.run, tmp_path / "run"))
    (run / "embedding.tsv").write_text("nonsense")
    with caplog.at_level(logging.WARNING, "genovi"):
        assert not embed(run, world.old, tmp_path / "old").again.any()
    assert "training samples among the input are not recognised" in caplog.text


def test_an_ancestry_that_training_never_saw_is_warned_of(
    world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert embed(world.run, world.new, tmp_path / "new").odd.mean() < 0.1
    caplog.clear()
    with caplog.at_level(logging.WARNING, "genovi"):
        summary = embed(world.run, world.foreign, tmp_path / "foreign")
    assert summary.odd.mean() > 0.9
    assert "unlike the training samples" in caplog.text
    assert any("unlike the training samples" in line for line in summary.lines())


def with_gaps(matrix: GenotypeMatrix, mask: np.ndarray) -> GenotypeMatrix:
    dosages = matrix.dosages().copy()
    dosages[mask] = -1
    return GenotypeMatrix(pack(dosages), matrix.samples, matrix.variants)


def coverage(trained: TrainedModel, complete: GenotypeMatrix, gaps: GenotypeMatrix) -> float:
    """How much of p(z | all sites) lies in the 95 % ellipse of p(z | sites that are left), on average."""
    samples = []
    for matrix in (complete, gaps):
        projection = project(trained.axes, trained.standardiser, matrix)
        ((_, x, excess),) = Components.of(projection, trained.noise_scale).parts()
        samples.append(trained.model.posterior_sample(x, 256, 3, excess))
    full, partial = samples
    mean, covariance = partial.moments()
    centred = full.z - mean
    distance = torch.einsum("kni,nij,knj->kn", centred, torch.linalg.inv(covariance), centred)
    return float((full.weights * (distance < 5.991)).sum(0).mean())


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_positions_move_within_their_uncertainty_as_sites_vanish(world: World, share: float) -> None:
    trained = TrainedModel.load(world.run)
    complete = align(world.new, match_variants(trained.standardiser.variants, world.new.variants))
    mask = np.random.default_rng(6).random((complete.n_variants, complete.n_samples)) < share
    gaps = with_gaps(complete, mask)
    assert 0.88 < coverage(trained, complete, gaps) < 0.99  # 120 samples: a standard error under 0.01
    whole, less = place(trained, complete, 1, CPU), place(trained, gaps, 1, CPU)
    assert whole.std is not None
    assert less.std is not None
    assert (less.std.mean(axis=0) > whole.std.mean(axis=0)).all()


@pytest.mark.verification
@pytest.mark.parametrize("seed", [1, 2])
def test_coverage_on_people_of_1000_genomes(tmp_path: Path, seed: int) -> None:
    folder = real_data("kgp3")
    matrix = open_genotypes([folder / "kgp3.bed"])
    new = np.random.default_rng(seed).permutation(matrix.n_samples) < 400
    write_plink1(matrix.take_samples(~new), tmp_path / "old")
    train(
        tmp_path / "old.bed",
        tmp_path / "run",
        replace(CONFIG, model=ModelConfig(), training=TrainingConfig(), seed=seed),
    )
    trained = TrainedModel.load(tmp_path / "run")
    people = matrix.take_samples(new)
    complete = align(people, match_variants(trained.standardiser.variants, people.variants))
    rng = np.random.default_rng(seed + 100)
    for share in (0.1, 0.5, 0.9):
        gaps = with_gaps(complete, rng.random((complete.n_variants, complete.n_samples)) < share)
        assert 0.90 < coverage(trained, complete, gaps) < 0.98
    even = np.isin(trained.standardiser.variants.chrom, [str(number) for number in range(2, 23, 2)])
    gaps = with_gaps(complete, np.repeat(even[:, None], complete.n_samples, axis=1))
    assert 0.90 < coverage(trained, complete, gaps) < 0.98
