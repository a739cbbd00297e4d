"""genovi benchmark: run, stopped, gone on with, diverged and crashed, as a user types it."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers import REPO, simulate_structure, write_vcf
from scipy import stats
from typer.testing import CliRunner, Result

from genovi.comparison.benchmark import draw_embeddings
from genovi.comparison.cells import CRASHED, DIVERGED, FINISHED, INDUCTIVE, TRANSDUCTIVE, Cell
from genovi.comparison.cells import Result as CellResult
from genovi.comparison.config import BenchmarkConfig
from genovi.comparison.data import LabelColumns, everybody, split, stratified_folds
from genovi.comparison.fitting import run_cell
from genovi.comparison.methods import METHODS, parse_methods
from genovi.comparison.running import run_cells
from genovi.comparison.shared import CellData, data_of
from genovi.comparison.table import COLUMNS, MEASURES, frame, interval, summarise
from genovi.embedding import Embedding
from genovi.errors import ConfigError, DataError
from genovi.genotypes.quality import QCConfig
from genovi.labels import SampleLabels
from genovi.model.config import ModelConfig
from genovi.training.config import TrainingConfig
from genovi_cli.app import app

FAST = ("--epochs", "3", "--batch-size", "64", "--device", "cpu", "--threads", "1")
SMALL = ("--methods", "pca,vae", "--seeds", "1", "--splits", "1", *FAST)
CELLS = ["pca.seed1", "vae.seed1", "pca.split1", "vae.split1"]


def typed(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], prog_name="genovi")


def benchmark(folder: Path, *words: object) -> Result:
    """Of the cohort in ``folder``."""
    return typed("benchmark", folder / "cohort.vcf.gz", "--labels", folder / "panel.tsv", *words)


def cohort(missing: float = 0.0) -> tuple[object, LabelColumns]:
    matrix, populations = simulate_structure(3, 3, 70, 200, 0.1, missing)
    labels = SampleLabels(matrix.samples, {"pop": tuple(populations)})
    return matrix, LabelColumns(labels, "pop", None)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result, Result]:
    """A folder with a cohort and a benchmark that was stopped after its first fit and then gone on with."""
    folder = tmp_path_factory.mktemp("comparison")
    matrix, populations = simulate_structure(3, 3, 70, 200, 0.1, 0.0)
    write_vcf(folder / "cohort.vcf.gz", matrix, "bgzf")
    rows = [f"{name}\t{population}" for name, population in zip(matrix.samples, populations, strict=True)]
    (folder / "panel.tsv").write_text("\n".join(["sample\tpop", *rows, "absent\tpop1"]) + "\n")
    first = Cell("pca", TRANSDUCTIVE, 1).result_in(folder / "out")

    def stop() -> None:
        for _ in range(6000):
            if first.is_file():
                os.kill(os.getpid(), signal.SIGTERM)
                return
            time.sleep(0.05)

    stopper = threading.Thread(target=stop)
    stopper.start()
    stopped = benchmark(folder, "--out", folder / "out", *SMALL)
    stopper.join()
    return folder, stopped, benchmark(folder, "--out", folder / "out", *SMALL)


def results_of(out: Path) -> dict[str, dict]:
    return {path.stem: json.loads(path.read_text()) for path in (out / "cells").glob("*.json")}


def test_a_signal_ends_it_with_code_75_and_keeps_what_is_finished(made: tuple[Path, Result, Result]) -> None:
    _, stopped, finished = made
    assert stopped.exit_code == 75, stopped.output
    last = stopped.stderr.splitlines()[-1]
    assert "1 of 4 fits are done" in last and "run the same command again" in last
    assert finished.exit_code == 0, finished.output
    assert "1 of 4 fits are there already" in finished.stderr
    said = "1 labelled samples of panel.tsv are not in the data"  # and not once more for each panel of the figure
    assert said in stopped.stderr and said not in finished.stderr


def test_everything_is_written(made: tuple[Path, Result, Result]) -> None:
    out = made[0] / "out"
    assert sorted(path.name for path in out.iterdir()) == [
        "benchmark.json", "cells", "data", "embeddings.pdf", "embeddings.png", "genovi.log", "table.json", "table.md",
        "table.tsv",
    ]  # fmt: skip
    assert set(results_of(out)) == set(CELLS)
    assert all(record["state"] == FINISHED for record in results_of(out).values())
    assert "4 of 4 fits finished" in made[2].stdout
    assert "4 of 4 fits finished" in (out / "genovi.log").read_text()


def test_the_table_holds_the_cells(made: tuple[Path, Result, Result]) -> None:
    out = made[0] / "out"
    table = pd.read_csv(out / "table.tsv", sep="\t")
    assert tuple(table.columns) == COLUMNS
    values = results_of(out)
    for row in table.itertuples():
        stem = f"{row.METHOD}.{'seed1' if row.PROTOCOL == TRANSDUCTIVE else 'split1'}"
        there = values[stem]["values"]
        assert (row.MEASURE in there) == bool(row.N)
        if row.N:
            assert pytest.approx(there[row.MEASURE], rel=1e-5) == row.MEAN
    by_method = {method: set(rows.MEASURE[rows.N > 0]) for method, rows in table.groupby("METHOD")}
    everything = {measure.name for measure in MEASURES}
    assert by_method["vae"] == everything
    assert by_method["pca"] == {
        name for name in everything
        if not name.startswith(("clusters", "new_")) and name not in ("elbo", "iwae", "log_evidence", "gap", "kl")
    } | {"new_knn"}  # fmt: skip
    assert "| vae |" in (out / "table.md").read_text()
    assert json.loads((out / "table.json").read_text())["samples"] == 210


def test_fits_are_those_of_genovi_train(made: tuple[Path, Result, Result], tmp_path: Path) -> None:
    folder = made[0]
    run = tmp_path / "run"
    words = ("--seed", 1, "--posterior", "gaussian", *FAST)
    assert typed("train", folder / "cohort.vcf.gz", "--out", run, *words).exit_code == 0
    ours = Embedding.read_tsv(folder / "out" / "cells" / "vae.seed1.embedding.tsv")
    theirs = Embedding.read_tsv(run / "embedding.tsv")
    assert ours.samples == theirs.samples
    np.testing.assert_allclose(ours.mean, theirs.mean, atol=1e-4)
    np.testing.assert_allclose(ours.std, theirs.std, atol=1e-4)
    bounds = json.loads((run / "model.json").read_text())["summary"]["bounds"]
    values = results_of(folder / "out")["vae.seed1"]["values"]
    assert values["elbo"] == pytest.approx(bounds["elbo"], abs=1e-4)
    assert values["gap"] == pytest.approx(bounds["gap"], abs=1e-3)


def test_new_people_are_placed_as_by_genovi_embed(made: tuple[Path, Result, Result], tmp_path: Path) -> None:
    matrix, labels = cohort()
    old, new = next(stratified_folds(labels.of(matrix.samples)[0].tolist()))
    write_vcf(tmp_path / "old.vcf", matrix.take_samples(old))
    write_vcf(tmp_path / "new.vcf", matrix.take_samples(new))
    words = ("--seed", 1, "--posterior", "gaussian", *FAST)
    assert typed("train", tmp_path / "old.vcf", "--out", tmp_path / "run", *words).exit_code == 0
    assert typed("embed", tmp_path / "run", tmp_path / "new.vcf", "--out", tmp_path / "new").exit_code == 0
    ours = Embedding.read_tsv(made[0] / "out" / "cells" / "vae.split1.embedding.tsv")
    theirs = Embedding.read_tsv(tmp_path / "new.embedding.tsv")
    assert ours.samples == theirs.samples
    np.testing.assert_allclose(ours.mean, theirs.mean, atol=1e-4)


def test_a_fit_that_is_gone_is_made_again_and_no_other(made: tuple[Path, Result, Result]) -> None:
    out = made[0] / "out"
    before = results_of(out)
    times = {path: path.stat().st_mtime_ns for path in (out / "cells").iterdir()}
    (out / "cells" / "pca.split1.embedding.tsv").unlink()
    result = benchmark(made[0], "--out", out, *SMALL)
    assert result.exit_code == 0, result.output
    changed = {path.name for path in times if path.stat().st_mtime_ns != times[path]}
    assert changed == {"pca.split1.json", "pca.split1.embedding.tsv"}
    accuracy = [one["pca.split1"]["values"]["new_knn"] for one in (before, results_of(out))]
    assert accuracy[0] == accuracy[1]


@pytest.mark.parametrize(
    ("words", "said"),
    [(("--maf", 0.05), "qc.maf"), (("--lr", 0.01), "training.lr"), (("--mask", 0.5), "mask"), (("--pcs", 3), "pcs")],
)
def test_other_settings_are_refused(made: tuple[Path, Result, Result], words: tuple[object, ...], said: str) -> None:
    folder = made[0]
    result = benchmark(folder, "--out", folder / "out", *SMALL, *words)
    assert result.exit_code == 2
    last = result.stderr.splitlines()[-1]
    assert "another benchmark" in last and said in last and "--force" in last


def test_other_data_and_labels_are_refused(made: tuple[Path, Result, Result], tmp_path: Path) -> None:
    folder = made[0]
    panel = (folder / "panel.tsv").read_text()
    (tmp_path / "panel.tsv").write_text(panel.replace("s1\tpop1", "s1\tpop2"))
    words = ("benchmark", folder / "cohort.vcf.gz", "--labels", tmp_path / "panel.tsv", "--out", folder / "out", *SMALL)
    result = typed(*words)
    assert result.exit_code == 2
    assert "labels" in result.stderr.splitlines()[-1]
    matrix, _ = cohort()
    write_vcf(tmp_path / "cohort.vcf.gz", matrix.take_variants(np.arange(190)), "bgzf")
    (tmp_path / "panel.tsv").write_text(panel)
    result = benchmark(tmp_path, "--out", folder / "out", *SMALL)
    assert result.exit_code == 2
    assert "inputs.cohort.vcf.gz" in result.stderr.splitlines()[-1]


def test_what_diverges_is_reported_and_ends_nothing(made: tuple[Path, Result, Result], tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ("--methods", "vae,pca", "--seeds", "1", "--splits", "0", *FAST, "--lr", "1e30", "--jobs", "2")
    result = benchmark(made[0], "--out", out, *words)
    assert result.exit_code == 0, result.output
    assert "vae, seed 1, diverged" in result.stdout
    found = results_of(out)
    assert found["vae.seed1"]["state"] == DIVERGED
    assert found["pca.seed1"]["state"] == FINISHED
    table = pd.read_csv(out / "table.tsv", sep="\t")
    assert set(table.FAILED[(table.METHOD == "vae") & (table.PROTOCOL == TRANSDUCTIVE)]) == {"seed 1 diverged"}
    assert "| vae | seed 1 | diverged: " in (out / "table.md").read_text()
    assert "weights are kept" not in result.output  # a benchmark keeps none
    assert (out / "embeddings.png").is_file()


def test_a_process_that_is_killed_is_reported_and_tried_again(made: tuple[Path, Result, Result]) -> None:
    out, cell = made[0] / "out", Cell("umap", TRANSDUCTIVE, 7)
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    before, seen = set(children.read_text().split()), []

    def kill_first() -> bool:
        for pid in set(children.read_text().split()) - before:
            os.kill(int(pid), signal.SIGKILL)
        return False

    assert run_cells(out, [cell], jobs=1, threads=1, stopping=kill_first, done=seen.append)
    assert [(one.state, one.cell) for one in seen] == [(CRASHED, cell)]
    assert "SIGKILL" in seen[0].why
    kept = CellResult.read(out, cell)
    assert kept is not None and not kept.settled
    cell.result_in(out).unlink()


def test_a_folder_of_something_else_is_not_touched(made: tuple[Path, Result, Result], tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    for force in ((), ("--force",)):
        result = benchmark(made[0], "--out", tmp_path, *SMALL, *force)
        assert result.exit_code == 2
        assert "holds no benchmark" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--methods", "pca,phate"), 2, "unknown method 'phate' (--methods): choose from pca, pca10, tsne, umap"),
        (("--methods", ","), 2, "no method named"),
        (("--mask", "1"), 2, "--mask must lie in [0, 1)"),
        (("--mask", "-0.1"), 2, "--mask must lie in [0, 1)"),
        (("--mask", "nan"), 2, "--mask must lie in [0, 1)"),
        (("--seeds", "0"), 2, "--seeds must be at least 1"),
        (("--splits", "6"), 2, "--splits must lie between 0 and 5"),
        (("--jobs", "0"), 2, "--jobs must be at least 1"),
        (("--latent-dim", "4"), 2, "t-SNE has at most 3"),
        (("--prior", "flat"), 2, "unknown --prior"),
        (("--color", "colour"), 2, "no label column 'colour'"),
        (("--pcs", "500"), 3, "500 principal components cannot come from"),
    ],
)
def test_bad_options(
    made: tuple[Path, Result, Result], tmp_path: Path, words: tuple[str, ...], code: int, said: str
) -> None:
    result = benchmark(made[0], "--out", tmp_path / "out", *FAST, *words)
    assert result.exit_code == code, result.output
    assert said in result.stderr.splitlines()[-1]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("rows", "code", "said"),
    [
        (["x\ta", "y\tb"], 4, "no sample has labels"),
        ([f"s{i}\tone" for i in range(1, 211)], 3, "all samples have the same pop"),
        ([f"s{i}\tpop{i % 2}" for i in range(1, 9)], 4, "8 samples have a pop"),
        ([f"s{i}\tpop{i % 70}" for i in range(1, 211)], 3, "no population has 5 samples"),
    ],
)
def test_labels_that_cannot_judge(
    made: tuple[Path, Result, Result], tmp_path: Path, rows: list[str], code: int, said: str
) -> None:
    (tmp_path / "panel.tsv").write_text("\n".join(["sample\tpop", *rows]) + "\n")
    words = ("--labels", tmp_path / "panel.tsv", "--out", tmp_path / "out", *SMALL)
    result = typed("benchmark", made[0] / "cohort.vcf.gz", *words)
    assert result.exit_code == code, result.output
    assert said in result.stderr.splitlines()[-1]
    assert not (tmp_path / "out").exists()


def test_few_samples_are_refused(tmp_path: Path) -> None:
    matrix, labels = cohort()
    few = np.r_[0:4, 70:74]
    write_vcf(tmp_path / "cohort.vcf.gz", matrix.take_samples(few), "bgzf")
    rows = [f"{name}\t{p}" for name, p in zip(labels.labels.samples, labels.labels.columns["pop"], strict=True)]
    (tmp_path / "panel.tsv").write_text("\n".join(["sample\tpop", *rows]) + "\n")
    result = benchmark(tmp_path, "--out", tmp_path / "out", *SMALL)
    assert result.exit_code == 3
    assert "only 8 samples to train on" in result.stderr.splitlines()[-1]
    assert not (tmp_path / "out").exists()


def test_splits_are_stratified_and_everybody_is_new_once() -> None:
    populations = ["a"] * 50 + ["b"] * 25 + [""] * 5
    folds = list(stratified_folds(populations))
    assert sorted(np.concatenate([new for _, new in folds])) == list(range(80))
    for old, new in folds:
        assert sorted([*old, *new]) == list(range(80))
        assert [sum(populations[i] == name for i in new) for name in ("a", "b", "")] == [10, 5, 1]


def test_no_new_person_is_in_quality_control_or_axes() -> None:
    matrix, labels = cohort()
    before = split(matrix, labels, BenchmarkConfig(), 2)
    _, new = list(stratified_folds(labels.of(matrix.samples)[0].tolist()))[1]
    dosages = matrix.dosages().copy()
    dosages[:, new] = 2 - dosages[:, new]
    from helpers import matrix_of

    other = replace(matrix_of(dosages), samples=matrix.samples, variants=matrix.variants)
    after = split(other, labels, BenchmarkConfig(), 2)
    np.testing.assert_array_equal(after.fitted.x, before.fitted.x)
    assert before.new is not None and after.new is not None
    assert before.new.names == after.new.names == tuple(matrix.samples[i] for i in new)
    assert np.abs(after.new.x - before.new.x).max() > 1


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_masking_hides_a_share_of_the_same_sites(share: float) -> None:
    matrix, labels = cohort()
    config = BenchmarkConfig(qc=QCConfig(geno=0.01))  # before masking: it would take every site
    whole, masked = (everybody(matrix, labels, replace(config, mask=mask)) for mask in (0.0, share))
    assert whole.n_sites == 200
    assert masked.n_sites >= 198  # at 90 %, rare alleles may be seen in nobody
    assert whole.fitted.excess.size == 0
    assert masked.fitted.excess.shape == (210, 4, 4)
    spread = np.sqrt(share * (1 - share) / (masked.fitted.missing.size * masked.n_sites))
    assert masked.fitted.missing.mean() == pytest.approx(share, abs=5 * spread)
    np.testing.assert_array_equal(whole.reference, masked.reference)  # the truth, not what is left of it
    np.testing.assert_array_equal(whole.fst, masked.fst)
    again = everybody(matrix, labels, replace(config, mask=share))
    np.testing.assert_array_equal(again.fitted.x, masked.fitted.x)


def test_data_come_back_from_their_file(tmp_path: Path) -> None:
    matrix, labels = cohort()
    for data in (everybody(matrix, labels, BenchmarkConfig()), split(matrix, labels, BenchmarkConfig(mask=0.2), 1)):
        data.save(tmp_path / "data.npz")
        back = CellData.load(tmp_path / "data.npz")
        assert (back.new is None) == (data.new is None)
        for one, other in ((data.fitted, back.fitted), (data.new, back.new)):
            if one is not None and other is not None:
                for name in ("samples", "populations", "groups", "x", "missing", "excess"):
                    np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
        np.testing.assert_array_equal(back.noise_floor, data.noise_floor)
        assert (back.n_sites, back.seconds) == (data.n_sites, data.seconds)


def test_intervals_are_those_of_students_t() -> None:
    values = [0.81, 0.84, 0.86]
    expected = stats.t.interval(0.95, 2, loc=np.mean(values), scale=stats.sem(values))
    assert interval(values) == pytest.approx((np.mean(values), *expected))
    assert interval([0.5]) == (0.5, None, None)
    assert interval([]) == (None, None, None)


def test_failed_fits_are_not_averaged() -> None:
    vae = METHODS["vae"]
    results = [
        CellResult(Cell("vae", TRANSDUCTIVE, 1), FINISHED, values={"knn": 0.8}),
        CellResult(Cell("vae", TRANSDUCTIVE, 2), DIVERGED, "infinite", {"knn": 0.1}),
        CellResult(Cell("vae", TRANSDUCTIVE, 3), CRASHED, "gone"),
    ]
    table = frame(summarise([vae], results)).set_index("MEASURE")
    assert (table.N["knn"], table.MEAN["knn"]) == (1, 0.8)
    assert table.FAILED["knn"] == "seed 2 diverged; seed 3 crashed"
    assert table.FAILED["new_knn"] == ""


def test_cells_of_a_plan() -> None:
    config = BenchmarkConfig(methods=parse_methods("PCA, tsne,vae,vae"), seeds=2, splits=1)
    assert [cell.name for cell in config.cells()] == [
        "pca.seed1", "tsne.seed1", "vae.seed1", "pca.split1", "vae.split1", "tsne.seed2", "vae.seed2",
    ]  # fmt: skip


def test_how_many_components_baselines_see(made: tuple[Path, Result, Result], tmp_path: Path) -> None:
    plan = CellData.load(data_of(made[0] / "out", Cell("pca", TRANSDUCTIVE, 1)))
    x = np.random.default_rng(0).normal(size=(210, 20))
    (tmp_path / "cells").mkdir()
    for name, dimensions, seen in (("pca", 2, 2), ("pca10", 10, 10), ("tsne", 2, 15)):
        cell, maps = Cell(name, TRANSDUCTIVE, 1), []
        for column in (seen, seen - 1):
            other = x.copy()
            other[:, column] += 5.0 * np.arange(210)
            for data in (x, other):
                given = replace(plan, fitted=replace(plan.fitted, x=data))
                assert run_cell(tmp_path, cell, given, ModelConfig(), TrainingConfig()).state == FINISHED
                maps.append(Embedding.read_tsv(cell.embedding_in(tmp_path)).mean)
        assert maps[0].shape == (210, dimensions)
        assert np.array_equal(maps[0], maps[1]) and not np.allclose(maps[2], maps[3])


def test_no_population_large_enough_for_splits() -> None:
    with pytest.raises(DataError, match="--splits 0"):
        list(stratified_folds(["a", "b"] * 4))
    with pytest.raises(ConfigError, match="king-cutoff"):
        BenchmarkConfig(qc=QCConfig(king_cutoff=0.1))


def test_flat_maps_of_all_methods_find_room(tmp_path: Path) -> None:
    flat = np.random.default_rng(0).normal(size=(60, 2)) * [100, 1]
    names = tuple(f"s{i}" for i in range(60))
    (tmp_path / "cells").mkdir()
    cells = [Cell(name, TRANSDUCTIVE, 1) for name in METHODS]
    for cell in cells:
        if METHODS[cell.method].is_map:
            Embedding(names, flat).write_tsv(cell.embedding_in(tmp_path))
    columns = LabelColumns(SampleLabels(names, {"pop": ("a", "b") * 30}), "pop", None)
    results = [CellResult(cell, FINISHED) for cell in cells]
    files = draw_embeddings(tmp_path, BenchmarkConfig(), results, columns, "genovi benchmark")
    assert [file.name for file in files] == ["embeddings.png", "embeddings.pdf"]
    assert all(file.stat().st_size > 10_000 for file in files)


def test_data_files() -> None:
    assert data_of(Path("out"), Cell("vae", INDUCTIVE, 2)) == Path("out/data/split2.npz")
    assert data_of(Path("out"), Cell("vae", TRANSDUCTIVE, 2)) == Path("out/data/seeds.npz")


def test_the_page_says_what_the_table_holds() -> None:
    text = (REPO / "docs" / "benchmark.md").read_text()
    documented = re.findall(r"^\| `([^`]*)` \|", text, re.MULTILINE)
    assert documented == [*COLUMNS, *(measure.name for measure in MEASURES)]
    assert all(f"`{name}`" in text for name in METHODS)
