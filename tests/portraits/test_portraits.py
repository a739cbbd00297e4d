"""Figures of a model itself: fields over the latent plane, and single posteriors against quadrature."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import simulate_structure, write_vcf
from typer.testing import CliRunner, Result

from genovi.embedding import Embedding
from genovi.errors import ConfigError
from genovi.genotypes.reading import open_genotypes
from genovi.model.quadrature import integrate
from genovi.portraits.latent import SCALE, circles_of, field_of, grid_around
from genovi.portraits.posterior import sample_posterior
from genovi.structure.projection import project
from genovi.trained import TrainedModel
from genovi_cli.app import app

FAST = ["--epochs", "200", "--batch-size", "32", "--steps", "2", "--device", "cpu", "--threads", "1", "--seed", "1"]


def genovi(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], prog_name="genovi")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with genotypes and models of them: run, and some that are hardly trained."""
    folder = tmp_path_factory.mktemp("portraits")
    write_vcf(folder / "toy.vcf", simulate_structure(4, 3, 16, 300, 0.15, 0.02)[0])
    short = ["--epochs", "3"]
    models = {
        "run": [],
        "line": ["--latent-dim", "1", *short],
        "gaussian": ["--posterior", "gaussian", "--prior", "flow", *short],
        "aae": ["--posterior", "aae", *short],
    }
    for name, more in models.items():
        result = genovi("train", folder / "toy.vcf", "--out", folder / name, *FAST, *more)
        assert result.exit_code == 0, result.output
    return folder


@pytest.fixture(scope="module")
def trained(folder: Path) -> TrainedModel:
    return TrainedModel.load(folder / "run")


def test_the_density_is_that_of_the_mixture(trained: TrainedModel) -> None:
    x, y = np.linspace(-2, 2, 9), np.linspace(-1, 1, 5)
    density, field = field_of(trained, "density", x, y)
    means, scale = circles_of(trained), SCALE
    grid = np.stack(np.meshgrid(x, y), axis=-1)
    square = ((grid[:, :, None, :] - means) ** 2).sum(axis=-1) / scale**2
    exact = np.log10(np.exp(-0.5 * square).sum(axis=-1))
    np.testing.assert_allclose(density, exact - exact.max(), atol=1e-4)
    assert field.values is density
    assert (field.name, field.high) == ("log10 (prior density / maximum)", 0.0)  # the middle of the highest mode


def test_components_are_those_that_the_decoder_gives(trained: TrainedModel) -> None:
    x, y = np.array([0.1, 0.5]), np.array([-0.3, 0.0, 0.4])
    _, field = field_of(trained, "PC2", x, y)
    with torch.no_grad():
        expected = trained.model.likelihood.mean(torch.tensor([[0.5, -0.3]]))[0, 1]
    assert field.values.shape == (3, 2)
    assert field.values[0, 1] == pytest.approx(float(expected), rel=1e-5)
    assert (field.low, field.diverging) == (-field.high, True)
    with pytest.raises(ConfigError, match="no field PC99"):
        field_of(trained, "PC99", x, y)


def test_allele_frequencies_are_those_of_populations(folder: Path, trained: TrainedModel) -> None:
    """Where the samples of a population lie, the decoded frequency is about their own."""
    matrix = open_genotypes([folder / "toy.vcf"])
    embedding = Embedding.read_tsv(folder / "run" / "embedding.tsv")
    v = trained.standardiser.variants
    strong = np.argsort(-np.abs(trained.axes.loadings[:, 0]))[:12]
    place = {(c, p): i for i, (c, p) in enumerate(zip(matrix.variants.chrom, matrix.variants.pos, strict=True))}
    seen, said = [], []
    for row in strong:
        dosages = matrix.dosages(slice(None))[place[v.chrom[row], v.pos[row]]]
        for population in range(3):
            of = np.arange(population * 16, population * 16 + 16)
            middle = np.median(embedding.mean[of], axis=0)
            _, field = field_of(trained, f"{v.chrom[row]}:{v.pos[row]}", middle[:1], middle[1:])
            assert 0 <= field.values[0, 0] <= 1
            said.append(field.values[0, 0])
            seen.append(dosages[of][dosages[of] >= 0].mean() / 2)
    assert np.corrcoef(seen, said)[0, 1] > 0.8
    assert np.abs(np.array(seen) - said).mean() < 0.15


def test_variants_by_name_and_place(trained: TrainedModel) -> None:
    v = trained.standardiser.variants
    x = np.zeros(1)
    by_name = field_of(trained, v.id[3], x, x)[1]
    for name in (f"{v.chrom[3]}:{v.pos[3]}", f"chr{v.chrom[3]}:{v.pos[3]}"):
        assert field_of(trained, name, x, x)[1].values == by_name.values
    with pytest.raises(ConfigError, match=r"no field 'rs1'.*the first at"):
        field_of(trained, "rs1", x, x)


def test_cells_of_the_grid_are_square() -> None:
    x, y = grid_around(np.array([[0.0, 0.0], [4.0, 1.0]]), 0.5)
    assert np.diff(x) == pytest.approx(np.diff(y)[0])
    assert x[0] == -0.5 and x[-1] >= 4.5 - 1e-9 and y[-1] >= 1.5 - 1e-9


@pytest.mark.parametrize("which", [0, 47])
def test_the_exact_posterior_is_that_of_quadrature(folder: Path, trained: TrainedModel, which: int) -> None:
    matrix = open_genotypes([folder / "toy.vcf"])
    v = trained.standardiser.variants
    rows = {(c, p): i for i, (c, p) in enumerate(zip(matrix.variants.chrom, matrix.variants.pos, strict=True))}
    kept = matrix.take_variants(np.array([rows[c, p] for c, p in zip(v.chrom, v.pos, strict=True)]))
    one = kept.take_samples(np.array([which]))
    posterior = sample_posterior(trained, one)
    projection = project(trained.axes, trained.standardiser, one)
    x = torch.as_tensor(projection.scores / trained.noise_scale, dtype=torch.float32)
    excess = None if projection.excess is None else torch.as_tensor(projection.excess / trained.noise_scale**2)
    low, high = torch.tensor([-6.0, -6.0]), torch.tensor([6.0, 6.0])
    exact = integrate(trained.model, x, low, high, 350, excess)
    mean, std = posterior.exact_moments()
    np.testing.assert_allclose(mean, exact.mean[0], atol=0.01)
    np.testing.assert_allclose(std, exact.std[0], rtol=0.05, atol=0.005)
    np.testing.assert_allclose(posterior.mean, mean, atol=0.2 * std.max())
    assert posterior.paths is not None
    assert posterior.paths.shape[0] == 3  # y_2, y_1, z
    np.testing.assert_array_equal(posterior.paths[-1], posterior.own[: posterior.paths.shape[1]])


def test_training_samples_keep_their_place(folder: Path, tmp_path: Path) -> None:
    sample = open_genotypes([folder / "toy.vcf"]).samples[5]
    result = genovi(
        "plot", "posterior", folder / "run", folder / "toy.vcf", "--sample", sample, "--out", tmp_path / "p.svg"
    )
    assert result.exit_code == 0, result.output
    embedding = Embedding.read_tsv(folder / "run" / "embedding.tsv")
    line = next(line for line in result.stdout.splitlines() if line.startswith("reported"))
    assert float(line.split()[1]) == pytest.approx(embedding.mean[5, 0], abs=6e-4)
    assert "from y_T to z in 2 steps" in (tmp_path / "p.svg").read_text()


@pytest.mark.parametrize("words", [[], ["--field", "PC1", "--size", "column"], ["--field", "density", "--no-samples"]])
def test_the_latent_plane_is_drawn(folder: Path, tmp_path: Path, words: list[str]) -> None:
    result = genovi("plot", "latent", folder / "run", *words, "--out", tmp_path / "l.pdf")
    assert result.exit_code == 0, result.output
    assert "over the latent plane, prior mixture of" in result.stdout
    assert (tmp_path / "l.pdf").read_bytes().startswith(b"%PDF")


def test_a_prior_without_components_is_drawn_without_circles(folder: Path, tmp_path: Path) -> None:
    result = genovi("plot", "latent", folder / "gaussian", "--out", tmp_path / "l.svg")
    assert result.exit_code == 0, result.output
    assert result.stdout.rstrip().endswith("prior flow")
    svg = (tmp_path / "l.svg").read_text()
    assert "dots: training samples" in svg and "circles" not in svg


def test_a_gaussian_posterior_has_no_chain(folder: Path, tmp_path: Path) -> None:
    words = ["plot", "posterior", folder / "gaussian", folder / "toy.vcf", "--sample", "s3", "--size", "150x90"]
    assert genovi(*words, "--out", tmp_path / "p.svg").exit_code == 0
    svg = (tmp_path / "p.svg").read_text()
    assert "on the map" in svg and "chain" not in svg.split("</metadata>")[1]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["latent", "RUN", "--field", "rs1"], 2, "no field 'rs1'"),
        (["latent", "RUN", "--field", "PC0"], 2, "no field 'PC0'"),
        (["latent", "LINE"], 2, "1 latent dimensions"),
        (["latent", "VCF"], 3, "not a genovi model"),
        (["latent", "absent"], 3, "not a genovi model"),
        (["latent", "RUN", "--size", "40x40"], 2, "too small"),
        (["posterior", "RUN", "VCF", "--sample", "x1"], 4, "no sample 'x1'"),
        (["posterior", "LINE", "VCF", "--sample", "s1"], 2, "1 latent dimensions"),
        (["posterior", "AAE", "VCF", "--sample", "s1"], 2, "has no density"),
        (["posterior", "RUN", "absent.vcf", "--sample", "s1"], 3, "no such file"),
        (["posterior", "RUN", "OTHER", "--sample", "s1"], 4, "of the model's"),
        (["posterior", "RUN", "VCF"], 2, "--sample"),
    ],
)
def test_what_portraits_refuse(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], code: int, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    text = (folder / "toy.vcf").read_text()
    other = "".join(
        line if line.startswith("#") else "scaffold1" + line[line.index("\t") :] for line in text.splitlines(True)
    )
    Path("other.vcf").write_text(other.replace("ID=1,", "ID=scaffold1,", 1))
    paths = {
        "RUN": folder / "run",
        "LINE": folder / "line",
        "AAE": folder / "aae",
        "VCF": folder / "toy.vcf",
        "OTHER": "other.vcf",
    }
    result = genovi("plot", *(paths.get(word, word) for word in words), "--out", "f.png")
    assert result.exit_code == code, result.output
    assert said in result.stderr.splitlines()[-1]
    assert result.stderr.splitlines()[-1].startswith("genovi: error: ")
    assert not Path("f.png").exists()
    assert genovi("plot", *(paths.get(word, word) for word in words), "--out", "f.gif").exit_code == 2
