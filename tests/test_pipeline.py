"""The main job end to end on small simulated cohorts: what is written, and what makes no difference."""

from __future__ import annotations

import errno
import gzip
import json
import logging
import math
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from helpers import simulate_structure, with_children, write_vcf
from sklearn.neighbors import KNeighborsClassifier
from torch import Tensor

from genovi import placing
from genovi.applying import embed_run
from genovi.embedding import Embedding
from genovi.encoding import Components
from genovi.errors import ConfigError, DataError, MismatchError, ResourceError
from genovi.genotypes.matrix import GenotypeMatrix, VariantTable, pack
from genovi.genotypes.quality import QCConfig
from genovi.genotypes.suitability import Demands
from genovi.genotypes.writing import write_plink1
from genovi.labels import read_labels
from genovi.model.config import ModelConfig
from genovi.model.vae import LatentModel
from genovi.pipeline import CheckpointConfig, RunConfig, _checkpoints, plan_run, train_run
from genovi.preparing import MAX_AXES
from genovi.provenance import Provenance
from genovi.summaries import EmbedSummary, TrainSummary
from genovi.trained import TrainedModel
from genovi.training.config import TrainingConfig
from genovi.training.gradients import DefaultGradients
from genovi.training.monitor import EpochRecord, Monitor
from genovi.training.outcome import DivergedError

RUN_FILES = {
    "model.safetensors",
    "model.json",
    "variants.tsv.gz",
    "embedding.tsv",
    "history.csv",
    "qc.json",
    "genovi.log",
}
# Two passes: enough wherever only the sameness of two runs matters.
QUICK = RunConfig(
    qc=QCConfig(),
    model=ModelConfig(hidden=16, steps=1, components=4),
    training=TrainingConfig(epochs=2, batch_size=32, device="cpu", threads=1),
    pcs=None,
    seed=1,
)
PALINDROMES = {"AT", "TA", "CG", "GC"}


def train(inputs: Path | list[Path], out: Path, config: RunConfig = QUICK, **options: object) -> TrainSummary:
    given = {"labels": None, "monitor": Monitor(), "log_lines": lambda: "the log\n", "force": False} | options
    provenance = Provenance.start(seed=config.seed, command="genovi train")
    paths = inputs if isinstance(inputs, list) else [inputs]
    return train_run(paths, out, config, provenance=provenance, **given)  # type: ignore[arg-type]


def embed(run: Path, inputs: Path | list[Path], prefix: Path, **options: object) -> EmbedSummary:
    paths = inputs if isinstance(inputs, list) else [inputs]
    given = {"device": "cpu", "provenance": Provenance.start(command="genovi embed")} | options
    return embed_run(run, paths, prefix, **given)  # type: ignore[arg-type]


def renamed(matrix: GenotypeMatrix) -> GenotypeMatrix:
    """With sample names that cannot occur by chance."""
    names = tuple(f"PERSON_{name}" for name in matrix.samples)
    return GenotypeMatrix(matrix.packed, names, matrix.variants)


def with_dosages(matrix: GenotypeMatrix, dosages: np.ndarray) -> GenotypeMatrix:
    return GenotypeMatrix(pack(dosages), matrix.samples, matrix.variants)


@dataclass(frozen=True)
class World:
    """Four populations: files of old and new samples, and a model that was trained on the old ones."""

    folder: Path
    old: GenotypeMatrix
    new: GenotypeMatrix
    old_labels: np.ndarray
    new_labels: np.ndarray
    summary: TrainSummary

    @property
    def run(self) -> Path:
        return self.folder / "run"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("world")
    matrix, labels = simulate_structure(4, 4, 30, 500, 0.15, 0.01)
    matrix = renamed(matrix)
    new = np.arange(matrix.n_samples) % 5 == 0
    write_vcf(folder / "old.vcf.gz", matrix.take_samples(~new), "bgzf")
    write_vcf(folder / "new.vcf", matrix.take_samples(new))
    config = replace(
        QUICK,
        model=ModelConfig(hidden=64, steps=2, components=8),
        training=TrainingConfig(epochs=0, steps=250, batch_size=64, device="cpu", threads=1),
    )
    summary = train(folder / "old.vcf.gz", folder / "run", config)
    return World(folder, matrix.take_samples(~new), matrix.take_samples(new), labels[~new], labels[new], summary)


@pytest.fixture(scope="module")
def placed(world: World) -> Path:
    """Embedding file of the new samples."""
    embed(world.run, world.folder / "new.vcf", world.folder / "placed" / "new")
    return world.folder / "placed" / "new.embedding.tsv"


def test_a_run_has_its_files_and_leaves_nothing_else(world: World) -> None:
    assert {path.name for path in world.run.iterdir()} == RUN_FILES
    assert {path.name for path in world.folder.iterdir()} <= {"old.vcf.gz", "new.vcf", "run", "placed"}
    assert (world.run / "genovi.log").read_text() == "the log\n"


def test_what_a_run_hands_back_is_what_it_wrote(world: World) -> None:
    written = Embedding.read_tsv(world.run / "embedding.tsv")
    assert written.samples == world.summary.embedding.samples == world.old.samples
    np.testing.assert_allclose(written.mean, world.summary.embedding.mean, rtol=1e-5, atol=1e-9)
    assert written.missing is not None
    assert 0 < written.missing.mean() < 0.03
    history = pd.read_csv(world.run / "history.csv")
    assert list(history.columns) == EpochRecord.columns()
    assert len(history) == len(world.summary.fit.history)
    loaded = TrainedModel.load(world.run)
    assert loaded.axes.n_samples == world.old.n_samples
    assert loaded.axes.noise.significant <= loaded.axes.n_axes <= MAX_AXES
    assert loaded.axes.noise.significant in (3, 4)  # four populations, and perhaps a false alarm
    assert loaded.summary["provenance"]["command"] == "genovi train"
    assert loaded.summary["bounds"]["elbo"] <= loaded.summary["bounds"]["iwae"]
    qc = json.loads((world.run / "qc.json").read_text())
    assert qc["n_samples"] == {"before": 96, "after": 96}
    assert qc["n_variants"]["after"] == len(loaded.standardiser.variants)
    assert any("96 samples" in line for line in world.summary.lines())


def test_nobody_is_named_in_the_model(world: World) -> None:
    assert "PERSON" in (world.run / "embedding.tsv").read_text()
    for name in ("model.safetensors", "model.json"):
        assert b"PERSON" not in (world.run / name).read_bytes()
    assert b"PERSON" not in gzip.decompress((world.run / "variants.tsv.gz").read_bytes())


def test_samples_that_quality_control_removes_are_named_in_its_report_only(tmp_path: Path) -> None:
    matrix, _ = simulate_structure(3, 2, 15, 150, 0.1)
    dosages = matrix.dosages().copy()
    dosages[:60, 7] = -1
    write_vcf(tmp_path / "a.vcf", renamed(with_dosages(matrix, dosages)))
    summary = train(tmp_path / "a.vcf", tmp_path / "run")
    assert "PERSON_s8" not in summary.embedding.samples
    assert len(summary.embedding.samples) == 29
    assert "PERSON_s8" in (tmp_path / "run" / "qc.json").read_text()
    assert "PERSON" not in (tmp_path / "run" / "model.json").read_text()


def neighbours(world: World, other: Embedding, labels: np.ndarray) -> float:
    """Share of ``other`` whose neighbours in the training embedding are of its own population."""
    mean = world.summary.embedding.mean
    return float(KNeighborsClassifier(10).fit(mean, world.old_labels).score(other.mean, labels))


def test_populations_come_apart_and_new_samples_land_among_their_own(world: World, placed: Path) -> None:
    assert neighbours(world, world.summary.embedding, world.old_labels) > 0.9
    new = Embedding.read_tsv(placed)
    assert new.samples == world.new.samples
    assert neighbours(world, new, world.new_labels) > 0.9
    again = embed(world.run, world.folder / "old.vcf.gz", placed.parent / "old")
    assert neighbours(world, again.embedding, world.old_labels) > 0.9


def test_embed_writes_its_files_and_no_others(world: World, tmp_path: Path) -> None:
    summary = embed(world.run, world.folder / "new.vcf", tmp_path / "x" / "new", eigenvec=True)
    names = ["new.embedding.tsv", "new.match.tsv", "new.eigenvec"]
    assert [path.name for path in summary.files] == names
    assert {path.name for path in (tmp_path / "x").iterdir()} == set(names)
    match = pd.read_csv(tmp_path / "x" / "new.match.tsv", sep="\t")
    assert len(match) == len(summary.match.variants)
    assert set(match["STATUS"]) == {"matched"}
    assert (tmp_path / "x" / "new.eigenvec").read_text().startswith("#IID\tPC1\tPC2\nPERSON_")
    assert any("24 samples" in line for line in summary.lines())


def full_disk(self: Embedding, path: Path) -> None:
    path.write_text("half of")
    raise OSError(errno.ENOSPC, "No space left on device", str(path))


def test_a_full_disk_leaves_nothing_of_an_embedding(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Embedding, "write_eigenvec", full_disk)  # the last file of three
    with pytest.raises(ResourceError, match="No space left"):
        embed(world.run, world.folder / "new.vcf", tmp_path / "new", eigenvec=True)
    assert not list(tmp_path.iterdir())


def test_a_full_disk_leaves_nothing_of_a_run(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Embedding, "write_tsv", full_disk)
    with pytest.raises(ResourceError, match="No space left"):
        train(world.folder / "old.vcf.gz", tmp_path / "run")
    assert not list(tmp_path.iterdir())


def disguised(matrix: GenotypeMatrix) -> GenotypeMatrix:
    """The same genotypes in another order, with REF and ALT exchanged at every other SNP, on ``chr1`` and so on."""
    v, rng = matrix.variants, np.random.default_rng(0)
    pairs = np.array([ref + alt for ref, alt in zip(v.ref, v.alt, strict=True)])
    swap = (np.arange(len(v)) % 2 == 0) & ~np.isin(pairs, list(PALINDROMES))
    dosages = matrix.dosages().copy()
    dosages[swap] = np.where(dosages[swap] < 0, -1, 2 - dosages[swap])
    table = VariantTable("chr" + v.chrom, v.pos, v.id, np.where(swap, v.alt, v.ref), np.where(swap, v.ref, v.alt))
    return GenotypeMatrix(pack(dosages), matrix.samples, table).take_variants(rng.permutation(len(v)))


def test_order_alleles_and_names_of_chromosomes_make_no_difference(world: World, placed: Path, tmp_path: Path) -> None:
    summary = embed(world.run, write_vcf(tmp_path / "other.vcf", disguised(world.new)), tmp_path / "other")
    counts = summary.match.counts()
    assert counts["swapped"] > 100
    assert counts["absent"] == counts["ambiguous"] == 0
    assert (tmp_path / "other.embedding.tsv").read_bytes() == placed.read_bytes()


def test_a_third_allele_among_new_samples_does_not_hide_the_models_two(
    world: World, placed: Path, tmp_path: Path
) -> None:
    lines = write_vcf(tmp_path / "plain.vcf", world.new).read_text().splitlines()
    for i, line in enumerate(lines):
        if line.startswith("#") or i % 3:
            continue
        fields = line.split("\t")
        third = next(base for base in "ACGT" if base not in (fields[3], fields[4]))
        fields[4] = f"{third},{fields[4]}"  # the model's allele comes second, nobody carries the first
        lines[i] = "\t".join([*fields[:9], *(call.replace("1", "2") for call in fields[9:])])
    (tmp_path / "third.vcf").write_text("\n".join(lines) + "\n")
    counts = embed(world.run, tmp_path / "third.vcf", tmp_path / "third").match.counts()
    assert counts["absent"] == counts["ambiguous"] == 0
    assert (tmp_path / "third.embedding.tsv").read_bytes() == placed.read_bytes()


def by_chromosome(matrix: GenotypeMatrix, folder: Path) -> list[Path]:
    folder.mkdir()
    chroms = dict.fromkeys(matrix.variants.chrom)
    parts = [matrix.take_variants(matrix.variants.chrom == chrom) for chrom in chroms]
    return [write_vcf(folder / f"{i}.vcf.gz", part, "gzip") for i, part in enumerate(parts)]


def test_one_file_for_each_chromosome_is_one_input(world: World, placed: Path, tmp_path: Path) -> None:
    files = by_chromosome(world.new, tmp_path / "new")
    assert len(files) > 10
    embed(world.run, files, tmp_path / "parts")
    assert (tmp_path / "parts.embedding.tsv").read_bytes() == placed.read_bytes()
    train(world.folder / "old.vcf.gz", tmp_path / "one")
    train(by_chromosome(world.old, tmp_path / "old"), tmp_path / "many")
    assert (tmp_path / "one" / "embedding.tsv").read_bytes() == (tmp_path / "many" / "embedding.tsv").read_bytes()


def test_plink_filesets_give_what_the_vcf_gives(world: World, placed: Path, tmp_path: Path) -> None:
    write_plink1(world.new, tmp_path / "new")
    embed(world.run, tmp_path / "new.bed", tmp_path / "bed")
    assert (tmp_path / "bed.embedding.tsv").read_bytes() == placed.read_bytes()
    write_plink1(world.old, tmp_path / "old")
    train(tmp_path / "old", tmp_path / "plink")
    train(world.folder / "old.vcf.gz", tmp_path / "vcf")
    for name in ("embedding.tsv", "model.safetensors", "variants.tsv.gz"):
        assert (tmp_path / "plink" / name).read_bytes() == (tmp_path / "vcf" / name).read_bytes()


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """What the model is given by each call that follows: noise-scaled components, samples in rows."""
    given: list[np.ndarray] = []
    encode = placing.encode

    def watched(model: LatentModel, components: Components, *args: object) -> Embedding:
        given.append(components.x)
        return encode(model, components, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(placing, "encode", watched)
    return given


def test_new_samples_come_in_the_unit_of_training_samples(world: World, tmp_path: Path, seen: list[np.ndarray]) -> None:
    train(world.folder / "old.vcf.gz", tmp_path / "run", replace(QUICK, pcs=10))
    embed(tmp_path / "run", world.folder / "new.vcf", tmp_path / "new")
    old, new = seen[:2]  # the second time as training samples, if any of them may be such, comes last
    np.testing.assert_allclose(new[:, :3].std(axis=0) / old[:, :3].std(axis=0), 1, atol=0.25)
    assert (old[:, :3].std(axis=0) > 1).all()  # above the noise, whose edge is the unit
    assert (old[:, 4:].std(axis=0) < 1.1).all()


def test_gaps_do_not_draw_training_samples_to_the_middle(tmp_path: Path, seen: list[np.ndarray]) -> None:
    matrix, _ = simulate_structure(6, 3, 30, 600, 0.1)
    dosages = matrix.dosages().copy()
    train(write_vcf(tmp_path / "whole.vcf", with_dosages(matrix, dosages)), tmp_path / "whole")
    gaps = np.arange(90) % 5 == 0
    dosages[:, gaps] = np.where(np.random.default_rng(0).random((600, 18)) < 0.4, -1, dosages[:, gaps])
    lenient = replace(QUICK, qc=QCConfig(mind=0.6, geno=0.2))
    train(write_vcf(tmp_path / "gaps.vcf", with_dosages(matrix, dosages)), tmp_path / "gaps", lenient)
    whole, holed = (np.linalg.norm(x[:, :2], axis=1) for x in seen)
    shorter = (holed / whole)[gaps].mean() / (holed / whole)[~gaps].mean()
    assert shorter == pytest.approx(1, abs=0.15)  # zeros in their place would make it 0.6


def share_of(world: World, share: float, path: Path) -> Path:
    """The new samples with that share of the model's variants."""
    wanted = TrainedModel.load(world.run).standardiser.variants.id
    order = np.random.default_rng(1).permutation(wanted)[: round(share * len(wanted))]
    return write_vcf(path, world.new.take_variants(np.isin(world.new.variants.id, order)))


def test_too_little_overlap_is_refused_and_writes_nothing(world: World, tmp_path: Path) -> None:
    few = share_of(world, 0.45, tmp_path / "few.vcf")
    with pytest.raises(MismatchError, match=r"only 4[45]\.\d % of the model's .* --min-overlap") as caught:
        embed(world.run, few, tmp_path / "few")
    assert caught.value.exit_code == 4
    assert [path.name for path in tmp_path.iterdir()] == ["few.vcf"]
    assert len(embed(world.run, few, tmp_path / "few", demands=Demands(0.4)).embedding.samples) == 24


def test_nothing_in_common_is_refused_whatever_the_threshold(world: World, tmp_path: Path) -> None:
    elsewhere = replace(world.new.variants, pos=world.new.variants.pos + 1)
    other = write_vcf(tmp_path / "other.vcf", GenotypeMatrix(world.new.packed, world.new.samples, elsewhere))
    with pytest.raises(MismatchError, match=r"only 0\.0 %"):
        embed(world.run, other, tmp_path / "x", demands=Demands(0.0))


@pytest.mark.parametrize(("share", "warns"), [(0.7, True), (0.9, False)])
def test_little_overlap_warns_and_still_finds_the_populations(
    world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture, share: float, warns: bool
) -> None:
    with caplog.at_level(logging.WARNING, "genovi"):
        summary = embed(world.run, share_of(world, share, tmp_path / "part.vcf"), tmp_path / "part")
    assert any("positions are less certain" in record.message for record in caplog.records) == warns
    assert summary.embedding.missing is not None
    np.testing.assert_allclose(summary.embedding.missing, 1 - share, atol=0.04)
    assert neighbours(world, summary.embedding, world.new_labels) > 0.8


def test_one_new_sample_gets_the_row_that_it_gets_in_company(world: World, placed: Path, tmp_path: Path) -> None:
    one = write_vcf(tmp_path / "one.vcf", world.new.take_samples(np.array([5])))
    alone = embed(world.run, one, tmp_path / "one").embedding
    company = Embedding.read_tsv(placed)
    assert alone.samples == company.samples[5:6]
    np.testing.assert_allclose(alone.mean[0], company.mean[5], atol=1e-3)
    assert alone.std is not None
    assert company.std is not None
    np.testing.assert_allclose(alone.std[0], company.std[5], atol=1e-3)


def test_a_sample_without_genotypes_is_refused_by_name(world: World, tmp_path: Path) -> None:
    dosages = world.new.dosages().copy()
    dosages[:, 3] = -1
    gaps = write_vcf(tmp_path / "gaps.vcf", with_dosages(world.new, dosages))
    with pytest.raises(MismatchError, match=rf"{world.new.samples[3]}\)"):
        embed(world.run, gaps, tmp_path / "gaps")
    assert [path.name for path in tmp_path.iterdir()] == ["gaps.vcf"]


def test_a_sample_without_genotypes_cannot_be_trained_on(tmp_path: Path) -> None:
    matrix, _ = simulate_structure(3, 2, 15, 150, 0.1)
    dosages = matrix.dosages().copy()
    dosages[:, 7] = -1
    gaps = write_vcf(tmp_path / "gaps.vcf", with_dosages(matrix, dosages))
    assert "s8" not in train(gaps, tmp_path / "run").embedding.samples  # --mind
    with pytest.raises(MismatchError, match=r"gaps\.vcf: s8\)"):
        train(gaps, tmp_path / "lenient", replace(QUICK, qc=QCConfig(mind=1.0)))
    assert not (tmp_path / "lenient").exists()


def test_a_sample_with_few_genotypes_is_warned_of_by_name(
    world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    dosages = world.new.dosages().copy()
    dosages[50:, 3] = -1
    with caplog.at_level(logging.WARNING, "genovi"):
        embed(world.run, write_vcf(tmp_path / "gaps.vcf", with_dosages(world.new, dosages)), tmp_path / "gaps")
    warning = next(record.message for record in caplog.records if "more than half" in record.message)
    assert warning.endswith(f": {world.new.samples[3]}")


def test_the_seed_and_nothing_else_decides(world: World, tmp_path: Path) -> None:
    vcf = world.folder / "old.vcf.gz"
    panel = tmp_path / "panel.tsv"
    rows = [f"{name}\t{label}" for name, label in zip(world.old.samples, world.old_labels, strict=True)]
    panel.write_text("\n".join(["sample\tpop", *rows]) + "\n")
    train(vcf, tmp_path / "a")
    train(vcf, tmp_path / "labelled", labels=read_labels(panel))
    train(vcf, tmp_path / "other", replace(QUICK, seed=2))
    for name in ("embedding.tsv", "model.safetensors", "variants.tsv.gz"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "labelled" / name).read_bytes()
    assert (tmp_path / "a" / "embedding.tsv").read_bytes() != (tmp_path / "other" / "embedding.tsv").read_bytes()
    assert b"pop1" not in b"".join(path.read_bytes() for path in (tmp_path / "labelled").iterdir())


def test_embedding_again_gives_the_same_bytes(world: World, placed: Path, tmp_path: Path) -> None:
    embed(world.run, world.folder / "new.vcf", tmp_path / "again")
    assert (tmp_path / "again.embedding.tsv").read_bytes() == placed.read_bytes()
    embed(world.run, world.folder / "new.vcf", tmp_path / "other", seed=9)
    assert (tmp_path / "other.embedding.tsv").read_bytes() != placed.read_bytes()


def test_held_out_samples_measure_the_bound(world: World, tmp_path: Path) -> None:
    config = replace(QUICK, training=replace(QUICK.training, holdout=0.25))
    bounds = train(world.folder / "old.vcf.gz", tmp_path / "run", config).bounds
    assert (bounds.on, bounds.n) == ("held-out", 24)
    assert world.summary.bounds.on == "training"  # a tenth of 96 is too few to stop by


def test_an_existing_run_is_kept_unless_forced(world: World, tmp_path: Path) -> None:
    out = tmp_path / "run"
    train(world.folder / "old.vcf.gz", out)
    (out / "embedding.tsv").write_text("mine")
    with pytest.raises(ConfigError, match="--force"):
        train(world.folder / "old.vcf.gz", out)
    assert (out / "embedding.tsv").read_text() == "mine"
    train(world.folder / "old.vcf.gz", out, force=True)
    assert (out / "embedding.tsv").read_text().startswith("IID")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_folder_of_somebody_else_is_kept_even_if_forced(world: World, tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.tex").write_text("mine")
    with pytest.raises(ConfigError, match="did not write"):
        train(world.folder / "old.vcf.gz", tmp_path / "thesis", force=True)
    assert (tmp_path / "thesis" / "chapter1.tex").read_text() == "mine"


def test_embeddings_are_kept_unless_forced(world: World, tmp_path: Path) -> None:
    (tmp_path / "new.match.tsv").write_text("mine")
    with pytest.raises(ConfigError, match="--force"):
        embed(world.run, world.folder / "new.vcf", tmp_path / "new")
    assert [path.name for path in tmp_path.iterdir()] == ["new.match.tsv"]
    embed(world.run, world.folder / "new.vcf", tmp_path / "new", force=True)
    assert (tmp_path / "new.match.tsv").read_text().startswith("CHROM")


@pytest.mark.parametrize("step", [6, 7])  # the last step of epoch 2, whose own bound is still finite, and the next
def test_diverged_training_keeps_the_last_good_weights_aside(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    calls = 0
    compute = DefaultGradients.compute

    def fails_late(self: DefaultGradients, x: Tensor, beta: float) -> Tensor:
        nonlocal calls
        calls += 1
        terms = compute(self, x, beta)
        if calls == step:
            for parameter in self.model.parameters():
                parameter.grad *= math.nan
        return terms

    monkeypatch.setattr(DefaultGradients, "compute", fails_late)
    config = replace(QUICK, training=replace(QUICK.training, epochs=5, sleep_weight=0.1))  # three steps in each
    with pytest.raises(DivergedError, match=r"not finite \(epoch 3\)") as caught:
        train(world.folder / "old.vcf.gz", tmp_path / "run", config)
    assert caught.value.exit_code == 4
    assert [path.name for path in tmp_path.iterdir()] == ["run.diverged"]
    assert {path.name for path in (tmp_path / "run.diverged").iterdir()} == RUN_FILES
    assert len(pd.read_csv(tmp_path / "run.diverged" / "history.csv")) == 2
    kept = TrainedModel.load(tmp_path / "run.diverged")
    assert all(torch.isfinite(parameter).all() for parameter in kept.model.parameters())
    assert len(embed(tmp_path / "run.diverged", world.folder / "new.vcf", tmp_path / "x").embedding.samples) == 24


def test_training_that_diverges_at_once_leaves_nothing(world: World, tmp_path: Path) -> None:
    config = replace(QUICK, training=replace(QUICK.training, lr=1e30))
    with pytest.raises(DivergedError, match="epoch 1"):
        train(world.folder / "old.vcf.gz", tmp_path / "run", config)
    assert not list(tmp_path.iterdir())


def test_a_device_that_is_not_there_is_noticed_before_reading(world: World, tmp_path: Path) -> None:
    absent = "cuda" if torch.backends.mps.is_available() else "mps"  # no machine has both
    config = replace(QUICK, training=replace(QUICK.training, device=absent))
    with pytest.raises(ResourceError, match="device not available"):
        train(tmp_path / "nowhere.vcf", tmp_path / "run", config)
    with pytest.raises(ResourceError, match="device not available"):
        embed(world.run, tmp_path / "nowhere.vcf", tmp_path / "x", device=absent)
    assert not list(tmp_path.iterdir())


@dataclass(frozen=True)
class Families:
    """A cohort with families, shuffled, and a run that was trained on unrelated samples of it."""

    folder: Path
    matrix: GenotypeMatrix
    twin: tuple[str, str]
    labels: dict[str, str]
    summary: TrainSummary


UNRELATED = replace(
    QUICK,
    qc=QCConfig(king_cutoff=0.0884, indep_pairwise=None),
    model=ModelConfig(hidden=64, steps=2, components=8),
    training=TrainingConfig(epochs=0, steps=250, batch_size=64, device="cpu", threads=1),
)


@pytest.fixture(scope="module")
def families(tmp_path_factory: pytest.TempPathFactory) -> Families:
    folder = tmp_path_factory.mktemp("families")
    matrix, populations = simulate_structure(4, 3, 30, 5000, 0.05, 0.01)
    parents = [(0, 1), (0, 1), (2, 2), (30, 31), (30, 31), (30, 32), (60, 61), (62, 63)]
    matrix = renamed(with_children(matrix, parents))
    names = dict(zip(matrix.samples, [*populations, *(populations[i] for i, _ in parents)], strict=True))
    twin = (matrix.samples[2], matrix.samples[92])
    matrix = matrix.take_samples(np.random.default_rng(3).permutation(98))
    write_vcf(folder / "all.vcf.gz", matrix, "bgzf")
    return Families(folder, matrix, twin, names, train(folder / "all.vcf.gz", folder / "run", UNRELATED))


def test_relatives_are_embedded_in_their_place(families: Families) -> None:
    summary = families.summary
    written = Embedding.read_tsv(families.folder / "run" / "embedding.tsv")
    assert written.samples == summary.embedding.samples == families.matrix.samples
    np.testing.assert_allclose(written.mean, summary.embedding.mean, rtol=1e-5, atol=1e-9)
    qc = json.loads((families.folder / "run" / "qc.json").read_text())
    step = next(step for step in qc["steps"] if step["name"] == "--king-cutoff")
    left_out = [name for name, out in zip(written.samples, summary.left_out, strict=True) if out]
    assert step["examples"] == left_out
    assert step["removed"] == len(left_out) == 8
    assert qc["n_samples"] == {"before": 98, "after": 90}
    assert summary.model.axes.n_samples == 90
    assert any("trained on 90 samples" in line for line in summary.lines())
    assert any("embedded 8 relatives" in line for line in summary.lines())
    assert b"PERSON" not in (families.folder / "run" / "model.json").read_bytes()


def test_relatives_land_among_their_own_population(families: Families) -> None:
    embedding, out = families.summary.embedding, families.summary.left_out
    labels = np.array([families.labels[name] for name in embedding.samples])
    judge = KNeighborsClassifier(10).fit(embedding.mean[~out], labels[~out])
    assert judge.score(embedding.mean[out], labels[out]) == 1


def test_training_is_that_on_the_unrelated_alone(families: Families, tmp_path: Path) -> None:
    """Frequencies, axes, model and misfit limit know nothing of the relatives."""
    out = families.summary.left_out
    model = families.summary.model
    kept = families.matrix.take_samples(~out)
    names = frozenset(model.standardiser.variants.id)
    write_vcf(tmp_path / "kept.vcf", kept)
    config = replace(UNRELATED, qc=QCConfig(king_cutoff=0.0884, indep_pairwise=None, extract=names))
    alone = train(tmp_path / "kept.vcf", tmp_path / "run", config)
    assert not alone.left_out.any()
    for name in ("model.safetensors", "variants.tsv.gz"):
        assert (tmp_path / "run" / name).read_bytes() == (families.folder / "run" / name).read_bytes()
    np.testing.assert_array_equal(alone.embedding.mean, families.summary.embedding.mean[~out])
    assert alone.model.summary["misfit"] == model.summary["misfit"]
    assert alone.bounds == families.summary.bounds


def test_relatives_are_not_thrown_out_by_the_noise_they_share(families: Families, tmp_path: Path) -> None:
    """Training samples shrink relatives less than unrelated new samples, and a twin not at all."""
    out = families.summary.left_out
    embedding = families.summary.embedding
    twin = np.isin(families.matrix.samples, families.twin)
    np.testing.assert_allclose(*embedding.mean[twin], atol=0.02)
    assert embedding.misfit is not None
    limit = families.summary.model.misfit_limit
    assert limit is not None
    assert (embedding.misfit[out] < 1.2 * limit).all()
    again = embed(families.folder / "run", families.folder / "all.vcf.gz", tmp_path / "again")
    # genovi embed does not know of them
    assert again.embedding.misfit is not None
    assert (again.embedding.misfit[out & ~twin] > 1.3 * embedding.misfit[out & ~twin]).all()
    trained = ~out
    assert again.again[trained | twin].all()
    np.testing.assert_allclose(again.embedding.mean[trained | twin], embedding.mean[trained | twin], atol=0.02)


def test_labels_of_relatives_count(families: Families, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = [f"{name}\t{label}" for name, label in families.labels.items()]
    (tmp_path / "panel.tsv").write_text("\n".join(["sample\tpop", *rows]) + "\n")
    quick = replace(UNRELATED, training=QUICK.training)
    with caplog.at_level(logging.INFO, "genovi"):
        train(families.folder / "all.vcf.gz", tmp_path / "run", quick, labels=read_labels(tmp_path / "panel.tsv"))
    assert "labels for 98 of 98 samples" in caplog.text


def test_a_cohort_of_one_family_is_refused(tmp_path: Path) -> None:
    matrix = with_children(simulate_structure(4, 1, 2, 5000, 0.0)[0], [(0, 1)] * 12)
    write_vcf(tmp_path / "a.vcf", matrix)
    with pytest.raises(DataError, match=r"only 2 unrelated samples.*--king-cutoff took 12.*raise --king-cutoff"):
        train(tmp_path / "a.vcf", tmp_path / "run", UNRELATED)
    assert [path.name for path in tmp_path.iterdir()] == ["a.vcf"]


@pytest.mark.parametrize("name", [f.name for f in fields(ModelConfig)] + [f.name for f in fields(TrainingConfig)])
def test_every_setting_makes_another_run_of_a_checkpoint(tmp_path: Path, name: str) -> None:
    changes = {
        int: lambda old: old + 1, float: lambda old: old / 2, type(None): lambda _: 7,
        str: {"ddvi": "iaf", "mixture": "normal", "gaussian": "binomial", "elbo": "iwae", "cpu": "cpu"}.__getitem__,
    }  # fmt: skip

    def changed(part: Any) -> Any:
        if name not in [f.name for f in fields(part)]:
            return part
        old = getattr(part, name)
        return replace(part, **{name: changes[type(old)](old)})

    config = RunConfig(QCConfig(), ModelConfig(), TrainingConfig(device="cpu"), None, 1)
    for part in ("model", "training"):
        other = replace(config, **{part: changed(getattr(config, part))})
        one, another = (_checkpoints(tmp_path, each, CheckpointConfig(), None).identity for each in (config, other))
        same = name in ("threads", "device") or other == config  # there is one device, and threads change no result
        assert (one == another) == same, part


@pytest.mark.parametrize(("n", "pcs", "said"), [(9, None, "only 9 samples"), (12, 12, "at most 11"), (12, 0, "pcs 0")])
def test_cohorts_too_small_for_a_model_are_refused(tmp_path: Path, n: int, pcs: int | None, said: str) -> None:
    vcf = write_vcf(tmp_path / "a.vcf", simulate_structure(1, 1, n, 100, 0.0)[0])
    with pytest.raises(DataError, match=said):
        train(vcf, tmp_path / "run", replace(QUICK, pcs=pcs))
    assert [path.name for path in tmp_path.iterdir()] == ["a.vcf"]


def test_the_number_of_axes_can_be_given(world: World, tmp_path: Path) -> None:
    assert train(world.folder / "old.vcf.gz", tmp_path / "run", replace(QUICK, pcs=3)).model.axes.n_axes == 3


def test_a_plan_says_what_would_be_done_and_does_nothing(world: World, tmp_path: Path) -> None:
    lines = plan_run([world.folder / "old.vcf.gz"], QUICK)
    text = "\n".join(lines)
    for said in (
        "VCF (BGZF), 96 samples x 500 variants",
        "--maf 0.01 --geno",
        "on cpu",
        "at most 2 epochs",
        *RUN_FILES,
    ):
        assert said in text
    assert not list(tmp_path.iterdir())
