"""``genovi train --likelihood binomial`` and ``genovi simulate``, as a user types them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from helpers import matrix_of, simulate_structure, write_vcf
from typer.testing import CliRunner

import genovi
from genovi.errors import ConfigError, InterruptedRunError
from genovi.genotypes.matrix import GenotypeMatrix, VariantTable, pack
from genovi.genotypes.reading import open_genotypes
from genovi.genotypes.writing import write_plink1
from genovi.manifest import read_manifest
from genovi.model.config import ModelConfig
from genovi.model.rows import Genotypes, Sites
from genovi.seeding import Seeds
from genovi.simulating import simulate
from genovi.trained import TrainedModel, genotypes_of
from genovi.training.checkpointing import Checkpoints
from genovi.training.config import TrainingConfig
from genovi.training.loop import fit
from genovi.training.monitor import Monitor
from genovi_cli.app import app

FAST = ["--steps", "1", "--device", "cpu", "--threads", "1", "--seed", "1", "--quiet"]
BINOMIAL = ["--likelihood", "binomial", "--batch-size", "64", "--epochs", "60", "--lr", "1e-2", *FAST]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """old.vcf.gz, new.vcf, panel.tsv, and a model of old.vcf.gz, ``run``."""
    folder = tmp_path_factory.mktemp("world")
    matrix, populations = simulate_structure(4, 3, 80, 300, 0.15, 0.01)
    new = np.arange(matrix.n_samples) % 6 == 0
    write_vcf(folder / "old.vcf.gz", matrix.take_samples(~new), "bgzf")
    write_vcf(folder / "new.vcf", matrix.take_samples(new))
    rows = [f"{name}\t{population}" for name, population in zip(matrix.samples, populations, strict=True)]
    (folder / "panel.tsv").write_text("\n".join(["sample\tpop", *rows]) + "\n")
    words = ["train", str(folder / "old.vcf.gz"), "--out", str(folder / "run"), *BINOMIAL, "--batch-variants", "100"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    return folder


@pytest.fixture
def here(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    for path in world.iterdir():
        (tmp_path / path.name).symlink_to(path)
    yield tmp_path


def positions(path: Path | str) -> np.ndarray:
    return pd.read_csv(path, sep="\t")[["Z1", "Z2"]].to_numpy()


def separation(z: np.ndarray, populations: np.ndarray) -> float:
    """Share of the variance of positions that lies between populations."""
    means = np.stack([z[populations == name].mean(0) for name in populations])
    return float(((means - z.mean(0)) ** 2).sum() / ((z - z.mean(0)) ** 2).sum())


def test_training_finds_the_populations_and_says_how_well(here: Path) -> None:
    labels = pd.read_csv("panel.tsv", sep="\t").set_index("sample")["pop"]
    table = pd.read_csv("run/embedding.tsv", sep="\t")
    assert separation(positions("run/embedding.tsv"), labels[table["IID"]].to_numpy()) > 0.8
    manifest = read_manifest(Path("run"))
    assert manifest.model["likelihood"] == "binomial"
    bounds = manifest.summary["bounds"]
    assert bounds["on"] == "held-out" and bounds["n"] == 20 and bounds["unresolved"] == 0
    assert bounds["elbo"] < bounds["iwae"] < bounds["log_evidence"] + 0.2
    # better than the allele frequencies of everybody, for people who were not trained on
    p = pd.read_csv("run/variants.tsv.gz", sep="\t")["FREQ"].to_numpy()
    alone = np.log(2 * p * (1 - p)) * 2 * p * (1 - p) + np.log((1 - p) ** 2) * (1 - p) ** 2 + np.log(p**2) * p**2
    assert bounds["log_evidence"] > alone.sum()


def test_new_samples_are_embedded_and_missing_genotypes_widen_them(here: Path, shell: Any) -> None:
    assert shell("embed", "run", "new.vcf", "--out", "new", "--device", "cpu", "--quiet").exit_code == 0
    labels = pd.read_csv("panel.tsv", sep="\t").set_index("sample")["pop"]
    table = pd.read_csv("new.embedding.tsv", sep="\t")
    assert separation(positions("new.embedding.tsv"), labels[table["IID"]].to_numpy()) > 0.7
    matrix = open_genotypes([Path("new.vcf")])
    widths = [table[["SD1", "SD2"]].to_numpy().mean()]
    for left in (100, 30):
        dosages = matrix.dosages()
        dosages[left:] = -1
        write_vcf(Path("less.vcf"), replace(matrix, packed=pack(dosages)))
        words = ("embed", "run", "less.vcf", "--out", "less", "--device", "cpu", "--quiet", "--force")
        assert shell(*words).exit_code == 0
        widths.append(pd.read_csv("less.embedding.tsv", sep="\t")[["SD1", "SD2"]].to_numpy().mean())
    assert 1.05 * widths[0] < widths[1] and 1.2 * widths[1] < widths[2]


def test_training_samples_keep_their_rows(here: Path, shell: Any) -> None:
    result = shell("embed", "run", "old.vcf.gz", "--out", "again", "--device", "cpu")
    assert "200 of them are training samples" in result.stdout
    np.testing.assert_allclose(positions("again.embedding.tsv"), positions("run/embedding.tsv"), atol=1e-4)


def test_bounds_of_new_samples(here: Path, shell: Any) -> None:
    result = shell("evaluate", "--bounds", "run", "new.vcf", "--json", "bounds.json", "--device", "cpu")
    assert result.exit_code == 0, result.stderr
    bounds = json.loads(Path("bounds.json").read_text())["bounds"]
    assert bounds["n"] == 40 and bounds["elbo"] < bounds["iwae"] < bounds["log_evidence"] + 0.2


def test_an_exported_model_is_the_same_model(here: Path, shell: Any) -> None:
    assert shell("export", "run", "--out", "m.genovi").exit_code == 0
    z = np.array([[0.0, 0.0], [1.0, -1.0]])
    model = genovi.load("m.genovi")
    np.testing.assert_array_equal(model.allele_frequencies(z), TrainedModel.load(Path("run")).allele_frequencies(z))
    assert shell("card", "m.genovi").exit_code == 0
    assert not any(name.encode() in Path("m.genovi").read_bytes() for name in ("s1\t0", "0/1"))


def test_frequencies_along_the_latent_space_are_those_of_the_people_there(here: Path) -> None:
    labels = pd.read_csv("panel.tsv", sep="\t").set_index("sample")["pop"]
    table = pd.read_csv("run/embedding.tsv", sep="\t")
    names, z = labels[table["IID"]].to_numpy(), positions("run/embedding.tsv")
    matrix = open_genotypes([Path("old.vcf.gz")])
    model = TrainedModel.load(Path("run"))
    kept = np.isin(matrix.variants.id, model.standardiser.variants.id)
    dosages = matrix.take_variants(kept).dosages()
    populations = np.unique(names)
    along = model.allele_frequencies(np.stack([z[names == name].mean(0) for name in populations]))
    for i, name in enumerate(populations):
        theirs = np.ma.masked_less(dosages[:, names == name], 0).mean(1) / 2
        away = np.abs(along - theirs).mean(1)
        assert away[i] < 0.06 and (np.delete(away, i) > 0.1).all()
    with pytest.raises(ConfigError, match="one row of 2 numbers"):
        model.allele_frequencies(np.zeros(2))


def test_figures_of_the_model_ask_its_likelihood(here: Path, shell: Any) -> None:
    from genovi.portraits import posterior

    model = TrainedModel.load(Path("run"))
    place = f"{model.standardiser.variants.chrom[3]}:{model.standardiser.variants.pos[3]}"
    result = shell("plot", "latent", "run", "--field", place, "--out", "latent.png")
    assert result.exit_code == 0, result.output
    one = np.array([[0.5, -0.5]])
    np.testing.assert_allclose(
        model.allele_frequencies(one, np.array([3])), model.allele_frequencies(one)[:, 3:4], rtol=1e-5
    )
    sample = open_genotypes([Path("new.vcf")]).samples[4]
    given = posterior._genotypes(model, Path("run"), [Path("new.vcf")], sample)
    drawn = posterior.sample_posterior(model, given)
    mean, std = drawn.exact_moments()
    np.testing.assert_allclose(mean, drawn.mean, atol=0.15 * std.max())
    np.testing.assert_allclose(std, drawn.std, rtol=0.2)


def test_simulated_samples_are_written_compared_and_read_again(here: Path, shell: Any) -> None:
    words = ("simulate", "run", "--samples", "150", "--labels", "panel.tsv", "--compare", "old.vcf.gz")
    result = shell(*words, "--out", "sim.vcf.gz", "--seed", "3")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == "" and "simulated 150 samples x" in result.stderr and "F_ST of 3" in result.stderr
    read, latent = open_genotypes([Path("sim.vcf.gz")]), pd.read_csv("sim.latent.tsv", sep="\t")
    model = TrainedModel.load(Path("run"))
    drawn = simulate(model, 150, 3)
    np.testing.assert_array_equal(read.dosages(), drawn.matrix.dosages())
    np.testing.assert_array_equal(read.variants.alt, model.standardiser.variants.alt)
    np.testing.assert_allclose(latent[["Z1", "Z2"]], drawn.embedding.mean, atol=1e-5)
    assert tuple(latent["IID"]) == read.samples
    report = json.loads(Path("sim.report.json").read_text())
    assert report["frequencies"]["correlation"] > 0.95
    assert report["frequencies"]["rmse"] < 2 * report["frequencies"]["sampling"]
    assert report["fst"]["same"] < 0.5 * report["fst"]["real"] and report["nearness"]["copies"] == 0
    assert report["seed"] == 3 and report["provenance"]["command"].startswith("genovi simulate run")
    similar = pd.read_csv("sim.populations.tsv", sep="\t")
    assert list(similar) == ["sample", "pop"] and set(similar["pop"]) == {"pop1", "pop2", "pop3"}
    # the model places what it has drawn where it drew it
    assert shell("embed", "run", "sim.vcf.gz", "--out", "placed", "--device", "cpu", "--quiet").exit_code == 0
    placed = positions("placed.embedding.tsv")
    assert np.corrcoef(placed[:, 0], drawn.embedding.mean[:, 0])[0, 1] > 0.8
    # the same seed, the same people that nobody is; another one, others
    shell(*words[:4], "--out", "same.vcf.gz", "--seed", "3")
    shell(*words[:4], "--out", "other.vcf.gz", "--seed", "4")
    assert Path("same.vcf.gz").read_bytes() == Path("sim.vcf.gz").read_bytes() != Path("other.vcf.gz").read_bytes()
    assert json.loads(Path("same.report.json").read_text())["nearness"] is None


def test_the_alleles_of_plink_files_keep_their_sides(here: Path, shell: Any) -> None:
    """A1 is counted there; in the VCF it has to be ALT."""
    matrix = simulate_structure(4, 2, 30, 120, 0.2)[0]
    write_plink1(matrix, Path("b"))
    assert shell("train", "b.bed", "--out", "r", *BINOMIAL, "--epochs", "3").exit_code == 0
    assert shell("simulate", "r", "--samples", "400", "--out", "s.vcf.gz", "--seed", "1").exit_code == 0
    read = open_genotypes([Path("s.vcf.gz")])
    place = {name: i for i, name in enumerate(matrix.variants.id)}
    rows = np.array([place[name] for name in read.variants.id])
    np.testing.assert_array_equal(read.variants.alt, matrix.variants.alt[rows])
    assert np.corrcoef(read.dosages().mean(1), matrix.dosages()[rows].mean(1))[0, 1] > 0.9


def test_what_makes_no_sense_is_refused(here: Path, shell: Any) -> None:
    assert shell("train", "old.vcf.gz", "--out", "plain", "--epochs", "2", *FAST).exit_code == 0
    shutil.copytree("run", "bare", symlinks=False)
    Path("bare", "embedding.tsv").unlink()
    Path("taken.vcf.gz").write_text("mine")
    strangers = ["sample\tpop", "x1\tA", "x2\tB"]
    Path("strangers.tsv").write_text("\n".join(strangers) + "\n")
    write_vcf(Path("others.vcf"), replace(m := open_genotypes([Path("new.vcf")]), samples=tuple(
        f"o{i}" for i in range(m.n_samples))))  # fmt: skip
    draw = ("simulate", "run", "--samples", "9", "--out", "x.vcf.gz")
    for code, said, *words in (
        (2, "--likelihood binomial", "simulate", "plain", "--samples", "9", "--out", "x.vcf.gz"),
        (2, "--samples must be at least 1", "simulate", "run", "--samples", "0", "--out", "x.vcf.gz"),
        (2, "X.vcf.gz", "simulate", "run", "--samples", "9", "--out", "x.vcf"),
        (2, "--force", "simulate", "run", "--samples", "9", "--out", "taken.vcf.gz"),
        (2, "--labels", *draw, "--color", "pop"),
        (2, "positions of its training samples", "simulate", "bare", *draw[2:], "--labels", "panel.tsv"),
        (4, "strangers.tsv", *draw, "--labels", "strangers.tsv"),
        (3, "absent", "simulate", "absent", *draw[2:]),
        (2, "gaussian, binomial", "train", "old.vcf.gz", "--out", "x", "--likelihood", "poisson"),
        (2, "--likelihood binomial", "train", "old.vcf.gz", "--out", "x", "--batch-variants", "9"),
        (2, "takes all variants", "train", "old.vcf.gz", "--out", "x", *BINOMIAL, "--objective", "iwae",
         "--batch-variants", "9"),
        (2, "must not be negative", "train", "old.vcf.gz", "--out", "x", *BINOMIAL, "--batch-variants", "-1"),
    ):  # fmt: skip
        shell.refuses(code, said, *words)
    strange = shell(*draw, "--compare", "others.vcf")
    assert strange.exit_code == 4 and "0 training samples are in the input" in strange.stderr.splitlines()[-1]
    moved = replace(m.variants, pos=m.variants.pos + 7_000_001)
    write_vcf(Path("elsewhere.vcf"), replace(m, variants=moved))
    elsewhere = shell(*draw, "--compare", "elsewhere.vcf")
    assert elsewhere.exit_code == 4 and "can be used (--compare" in elsewhere.stderr.splitlines()[-1]
    assert "give the genotypes that genovi train was given" in elsewhere.stderr
    assert "--min-overlap" not in elsewhere.stderr
    assert not Path("x.vcf.gz").exists()


def test_haploids_and_alleles_without_bases_are_refused(here: Path, shell: Any) -> None:
    matrix = simulate_structure(4, 2, 30, 120, 0.2)[0]
    dosages = matrix.dosages()
    write_vcf(Path("haploid.vcf"), matrix_of(np.where(dosages == 1, 2, dosages).astype(np.int8)))
    shell.refuses(4, "of diploids", "train", "haploid.vcf", "--out", "x", *BINOMIAL)
    v = matrix.variants
    ones = VariantTable(v.chrom, v.pos, v.id, np.full_like(v.ref, "1"), np.full_like(v.alt, "2"))
    write_plink1(replace(matrix, variants=ones), Path("codes"))
    words = [*BINOMIAL, "--epochs", "1"]
    assert shell("train", "codes.bed", "--out", "r", *words).exit_code == 0
    shell.refuses(3, "cannot be written as VCF", "simulate", "r", "--samples", "3", "--out", "x.vcf.gz")


class Stopping(Monitor):
    """Asks to stop after some steps."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    @property
    def stop_requested(self) -> bool:
        self.left -= 1
        return self.left < 0


def trainable(matrix: GenotypeMatrix, k: int = 5) -> tuple[np.ndarray, tuple[Genotypes, Sites]]:
    """Components by plain singular vectors, and what leads to them."""
    dosages = matrix.dosages().astype(np.float64)
    centre = dosages.mean(1)
    left, singular, _ = np.linalg.svd(dosages - centre[:, None], full_matrices=False)
    projection = left[:, :k] / np.sqrt(singular[k])
    x = (dosages - centre[:, None]).T @ projection
    sites = Sites(torch.as_tensor(centre, dtype=torch.float32), torch.as_tensor(projection, dtype=torch.float32))
    return x, (genotypes_of(matrix), sites)


def test_a_stopped_run_ends_with_the_same_weights(tmp_path: Path) -> None:
    matrix = matrix_of(np.random.default_rng(1).binomial(2, 0.4, (60, 50)).astype(np.int8))
    x, genotypes = trainable(matrix)
    model = ModelConfig(hidden=8, steps=1, components=3, likelihood="binomial")
    config = TrainingConfig(epochs=4, batch_size=16, batch_variants=20, device="cpu", threads=1)

    def train(monitor: Monitor, checkpoints: Checkpoints | None) -> dict[str, torch.Tensor]:
        done = fit(x, model, config, Seeds(1), monitor, None, checkpoints, genotypes=genotypes)
        return done.model.state_dict()

    whole = train(Monitor(), None)
    kept = Checkpoints(tmp_path / "c", {"seed": 1}, 1e9)
    with pytest.raises(InterruptedRunError):
        train(Stopping(7), kept)
    resumed = train(Monitor(), kept)
    for name, tensor in whole.items():
        assert torch.equal(resumed[name], tensor), name
