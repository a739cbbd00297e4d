"""The library as a notebook uses it, and that its pages run."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from helpers import REPO, simulate_structure, write_vcf
from typer.testing import CliRunner

import genovi
from genovi.errors import ConfigError, DataError, MismatchError
from genovi_cli.app import app

SHORT: dict[str, Any] = {"epochs": 4, "seed": 3, "progress": False, "device": "cpu", "build": "none"}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with old.vcf.gz, new.vcf.gz and panel.tsv."""
    folder = tmp_path_factory.mktemp("api")
    matrix, population = simulate_structure(1, 3, 20, 300, 0.15)
    write_vcf(folder / "old.vcf.gz", matrix.take_samples(np.arange(0, 60, 2)), "bgzf")
    write_vcf(folder / "new.vcf.gz", matrix.take_samples(np.arange(1, 60, 2)), "bgzf")
    rows = [f"{name}\tpop{p}\n" for name, p in zip(matrix.samples, population, strict=True)]
    (folder / "panel.tsv").write_text("sample\tpop\n" + "".join(rows))
    return folder


@pytest.fixture(scope="module")
def model(files: Path) -> genovi.Model:
    return genovi.train(files / "old.vcf.gz", **SHORT)


def test_nothing_heavy_is_loaded_before_it_is_used() -> None:
    code = (
        "import sys, genovi; dir(genovi); print(sorted({'torch', 'numpy', 'pandas', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
    assert all(getattr(genovi, name) is not None for name in genovi.__all__)


def typed(*words: object) -> None:
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, result.output


def test_it_is_what_the_commands_do(files: Path, tmp_path: Path, model: genovi.Model) -> None:
    run, old, new = tmp_path / "run", files / "old.vcf.gz", files / "new.vcf.gz"
    typed("train", old, "--out", run, "--epochs", 4, "--seed", 3, "--device", "cpu", "--build", "none")
    typed("embed", run, new, "--out", tmp_path / "new", "--threads", 1)
    assert model.embedding is not None
    for found, path in ((model.embedding, run / "embedding.tsv"), (model.embed(new), tmp_path / "new.embedding.tsv")):
        written = pd.read_csv(path, sep="\t", index_col="IID").astype(found.to_frame().dtypes)
        pd.testing.assert_frame_equal(found.to_frame(), written, rtol=1e-4, atol=1e-5)


def test_genotypes_in_memory_are_those_of_the_file(files: Path, model: genovi.Model) -> None:
    again = genovi.train(genovi.read(files / "old.vcf.gz"), **SHORT)
    assert again.embedding is not None and model.embedding is not None
    np.testing.assert_array_equal(again.embedding.mean, model.embedding.mean)
    new = genovi.read(files / "new.vcf.gz")
    np.testing.assert_array_equal(model.embed(new).mean, model.embed([str(files / "new.vcf.gz")]).mean)


def test_saved_and_loaded(files: Path, tmp_path: Path, model: genovi.Model) -> None:
    model.save(tmp_path / "run")
    back = genovi.load(tmp_path / "run")
    assert repr(back) == repr(model)
    placed, before = back.place(files / "new.vcf.gz"), model.place(files / "new.vcf.gz")
    np.testing.assert_array_equal(placed.embedding.mean, before.embedding.mean)
    assert not placed.again.any()
    assert back.place(files / "old.vcf.gz").again.all()
    with pytest.raises(ConfigError, match="force"):
        model.save(tmp_path / "run")
    model.save(tmp_path / "run", force=True)
    (tmp_path / "run" / "embedding.tsv").unlink()
    alone = genovi.load(tmp_path / "run")
    assert alone.embedding is None
    for use in (lambda: genovi.plot_ancestry(alone), lambda: alone.evaluate(files / "panel.tsv")):
        with pytest.raises(ConfigError, match="without the embedding"):
            use()


def test_a_folder_is_written_as_by_the_command(files: Path, tmp_path: Path) -> None:
    made = genovi.train([files / "old.vcf.gz"], tmp_path / "run", labels=files / "panel.tsv", **SHORT)
    assert made.name == str(tmp_path / "run")
    names = {
        "model.safetensors",
        "model.json",
        "variants.tsv.gz",
        "embedding.tsv",
        "history.csv",
        "qc.json",
        "genovi.log",
    }
    assert {path.name for path in (tmp_path / "run").iterdir()} == names
    with pytest.raises(ConfigError, match="exists"):
        genovi.train([files / "old.vcf.gz"], tmp_path / "run", **SHORT)


def test_figures_and_scores(files: Path, tmp_path: Path, model: genovi.Model) -> None:
    new = model.embed(files / "new.vcf.gz")
    figure = genovi.plot_ancestry(model, files / "panel.tsv", query=new, out=tmp_path / "map.svg", names=False)
    assert (tmp_path / "map.svg").stat().st_size > 0
    assert figure._repr_png_().startswith(b"\x89PNG")  # type: ignore[attr-defined]
    assert genovi.plot_ancestry([new, new], size="column", uncertainty="ellipse") is not None
    (tmp_path / "house.mplstyle").write_text("font.size: 5\n")
    palette = CliRunner().invoke(
        app, ["plot", "palette", "--labels", str(files / "panel.tsv"), "--out", str(tmp_path / "colours.tsv")]
    )
    assert palette.exit_code == 0
    assert model.embedding is not None
    mirrored = replace(model.embedding, mean=-model.embedding.mean)
    turned = genovi.plot_ancestry(
        mirrored, files / "panel.tsv", align_to=model.embedding, palette=tmp_path / "colours.tsv",
        color_as="categories", style=tmp_path / "house.mplstyle",
    )  # fmt: skip
    straight = genovi.plot_ancestry(model, files / "panel.tsv")
    np.testing.assert_allclose(turned.axes[0].get_xlim(), straight.axes[0].get_xlim(), rtol=0.1)
    with pytest.raises(ConfigError, match="color-as"):
        genovi.plot_ancestry(model, color_as="colours")
    scores = model.evaluate(genovi.read_labels(files / "panel.tsv"))
    assert 0 <= scores.populations.mixture.nmi <= 1


def test_what_a_notebook_shows(model: genovi.Model) -> None:
    assert "<th>samples</th><td>30</td>" in model._repr_html_()
    assert model.embedding is not None
    shown = model.embedding._repr_html_()
    assert "30 samples" in shown and model.embedding.samples[0] in shown and model.embedding.samples[9] not in shown


def test_anndata(model: genovi.Model) -> None:
    pytest.importorskip("anndata", reason="anndata is not installed")
    assert model.embedding is not None
    found = model.embedding.to_anndata()
    assert list(found.obs_names) == list(model.embedding.samples)
    assert set(found.obs.columns) == {"CLUSTER", "CLUSTER_PROB", "MISSING", "MISFIT"}
    np.testing.assert_array_equal(found.obsm["X_genovi"], model.embedding.mean)
    np.testing.assert_array_equal(found.obsm["X_genovi_sd"], model.embedding.std)


def test_progress_goes_to_standard_error(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    genovi.train(files / "old.vcf.gz", **{**SHORT, "progress": True})
    said = capsys.readouterr()
    assert said.out == ""
    assert "training" in said.err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"epoch": 3}, "epoch is no option: .*epochs"),
        ({"maf": 2.0}, "maf"),
        ({"posterior": "normal"}, "gaussian"),
        ({"posterior": "aae", "objective": "iwae"}, "aae"),
        ({"batch_size": 0}, "batch-size"),
    ],
)
def test_options_that_make_no_sense(files: Path, options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        genovi.train(files / "old.vcf.gz", **{**SHORT, **options})


def test_the_optimiser_s_steps_have_a_name_of_their_own(files: Path) -> None:
    made = genovi.train(files / "old.vcf.gz", seed=1, progress=False, steps=3, updates=2, device="cpu")
    assert made.trained.model.config.steps == 3
    assert made.trained.summary["training"]["steps"] == 2


def test_bad_input(files: Path, tmp_path: Path, model: genovi.Model) -> None:
    for call in (genovi.read, genovi.load, lambda path: genovi.train(path, **SHORT), model.embed):
        with pytest.raises(DataError):
            call(tmp_path / "nothing.vcf")
    other, _ = simulate_structure(9, 3, 5, 50, 0.1)
    moved = write_vcf(tmp_path / "other.vcf", other)
    moved.write_text(re.sub(r"^1\t", "7\t", moved.read_text(), flags=re.MULTILINE))
    with pytest.raises(MismatchError):
        model.embed(moved)
    with pytest.raises(ConfigError, match="colour is no option"):
        genovi.plot_ancestry(model, colour="pop")


def blocks(page: str) -> list[str]:
    text = (REPO / "docs" / page).read_text()
    if page.endswith(".md"):
        return re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    return ["".join(cell["source"]) + "\n" for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]


def test_the_page_runs_and_the_notebook_is_the_same(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.chdir(REPO)
    assert blocks("python.md") == blocks("tutorial.ipynb")
    names: dict[str, Any] = {}
    for block in blocks("python.md"):
        exec(compile(block, "docs/python.md", "exec"), names)
    assert len(names["new"].samples) == 208
    assert 0 < float(capsys.readouterr().out) <= 1
