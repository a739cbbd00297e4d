"""Runs of several seeds compared: worked by hand, and on real runs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers import simulate_structure, write_vcf
from sklearn.neighbors import NearestNeighbors
from typer.testing import CliRunner, Result

from genovi.embedding import Embedding
from genovi.ensemble import compare_runs
from genovi.errors import ConfigError, DataError, MismatchError
from genovi_cli.app import app

FAST = ("--epochs", "3", "--batch-size", "64", "--steps", "1", "--device", "cpu", "--threads", "1")


def typed(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], prog_name="genovi")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three runs of one cohort, and one of another."""
    folder = tmp_path_factory.mktemp("ensemble")
    matrix, _ = simulate_structure(2, 3, 70, 200, 0.2, 0.0)
    write_vcf(folder / "cohort.vcf.gz", matrix, "bgzf")
    write_vcf(folder / "other.vcf.gz", matrix.take_variants(np.arange(150)), "bgzf")
    for name, vcf, seed in (("a", "cohort", 1), ("b", "cohort", 2), ("c", "cohort", 3), ("d", "other", 1)):
        result = typed("train", folder / f"{vcf}.vcf.gz", "--out", folder / name, "--seed", seed, *FAST)
        assert result.exit_code == 0, result.output
    return folder


@pytest.fixture
def runs(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with copies of them, to type in."""
    for name in "abcd":
        shutil.copytree(made / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def set_bound(run: Path, iwae: float, error: float | None = 0.5) -> None:
    manifest = json.loads((run / "model.json").read_text())
    manifest["summary"]["bounds"]["iwae"] = iwae
    manifest["summary"]["bounds"]["errors"]["iwae"] = error
    (run / "model.json").write_text(json.dumps(manifest))


def turn(run: Path, scale: float = 3.0) -> None:
    """Turn, mirror, stretch and move the map of a run, and put its rows in another order."""
    one = Embedding.read_tsv(run / "embedding.tsv")
    quarter = np.array([[0.0, -1.0], [-1.0, 0.0]])
    moved = Embedding(one.samples, scale * one.mean @ quarter + [5.0, -7.0], one.std)
    moved.take(np.random.default_rng(0).permutation(len(one.samples))).write_tsv(run / "embedding.tsv")


def test_the_best_is_the_one_with_the_highest_held_out_bound(runs: Path) -> None:
    for name, bound in (("a", -30.0), ("b", -10.0), ("c", -20.0)):
        set_bound(runs / name, bound)
    result = typed("ensemble", "a", "b", "c", "--out", "out")
    assert result.exit_code == 0, result.output
    table = pd.read_csv("out/runs.tsv", sep="\t")
    assert list(table["RUN"]) == ["b", "c", "a"]
    assert list(table["RANK"]) == [1, 2, 3]
    assert list(table["BEST"]) == ["yes", "no", "no"]
    assert list(table["SEED"]) == [2, 3, 1]
    assert (table["HELD_OUT"] > 0).all()
    assert (runs / "out" / "best").resolve() == runs / "b"
    assert sorted(path.name for path in Path("out").iterdir()) == [
        "aligned", "best", "genovi.log", "runs.tsv", "stability.tsv",
    ]  # fmt: skip
    assert "best run: b, seed 2" in result.stdout
    assert "best run: b, seed 2" in Path("out/genovi.log").read_text()
    assert typed("embed", "out/best", "--help").exit_code == 0


def test_runs_within_two_standard_errors_of_the_best_are_said_to_be_level(runs: Path) -> None:
    for name, bound, error in (("a", -10.0, 0.3), ("b", -11.0, 0.45), ("c", -11.1, 0.4)):
        set_bound(runs / name, bound, error)  # of the difference: 0.54 and 0.5
    result = typed("ensemble", "a", "b", "c", "--out", "out")
    assert "1 of them may be as good" in result.stdout
    assert list(pd.read_csv("out/runs.tsv", sep="\t")["IWAE_SE"]) == [0.3, 0.45, 0.4]
    set_bound(runs / "b", -11.0, None)  # an error that is not known excuses nothing
    assert "may be as good" not in typed("ensemble", "a", "b", "c", "--out", "again").stdout
    assert pd.read_csv("again/runs.tsv", sep="\t")["IWAE_SE"].isna().tolist() == [False, True, False]


def test_a_map_that_is_turned_and_stretched_is_the_same_map(runs: Path) -> None:
    shutil.rmtree("b")
    shutil.copytree("a", "b")
    turn(runs / "b")
    set_bound(runs / "b", -1e6)
    found = compare_runs([Path("b"), Path("a")])
    assert found.best.name == "a"
    assert found.members[1].procrustes == pytest.approx(1.0)
    # six digits in files: ties may fall either way
    assert found.members[1].neighbours > 0.99
    np.testing.assert_allclose(found.spread, 0, atol=1e-4)
    np.testing.assert_allclose(found.members[1].embedding.mean, found.best.embedding.mean, atol=1e-4)


def test_neighbours_and_spread_agree_with_their_definitions(runs: Path) -> None:
    found = compare_runs([Path(name) for name in "abc"])
    maps = [member.embedding.mean for member in found.members]
    near = [NearestNeighbors(n_neighbors=20).fit(points).kneighbors(return_distance=False) for points in maps]
    for i in range(0, len(found.spread), 17):
        shares = [len(set(near[0][i]) & set(other[i])) / 20 for other in near[1:]]
        assert found.neighbours[i] == pytest.approx(np.mean(shares))
        places = np.array([points[i] for points in maps])
        assert found.spread[i] == pytest.approx(np.sqrt(((places - places.mean(axis=0)) ** 2).sum(axis=1).mean()))
    table = found.stability_table()
    assert list(table["IID"]) == list(Embedding.read_tsv(found.best.place / "embedding.tsv").samples)
    assert list(table.columns) == ["IID", "Z1", "Z2", "SPREAD", "NEIGHBOURS"]


def test_a_sample_that_moves_from_run_to_run_is_found(runs: Path) -> None:
    shutil.rmtree("b")
    shutil.copytree("a", "b")
    set_bound(runs / "b", -1e6)
    one = Embedding.read_tsv(Path("b/embedding.tsv"))
    mean = one.mean.copy()
    far = np.argmax(((mean - mean[0]) ** 2).sum(axis=1))
    mean[0] = mean[far]
    Embedding(one.samples, mean).write_tsv(Path("b/embedding.tsv"))
    found = compare_runs([Path("a"), Path("b")])
    assert np.argmax(found.spread) == 0
    assert np.argmin(found.neighbours) == 0
    assert found.neighbours[0] < 0.5 < np.delete(found.neighbours, 0).min()


def test_all_samples_in_one_place_are_no_fault(runs: Path) -> None:
    one = Embedding.read_tsv(Path("a/embedding.tsv"))
    for name in "ab":
        Embedding(one.samples, np.zeros_like(one.mean)).write_tsv(Path(name, "embedding.tsv"))
    found = compare_runs([Path("a"), Path("b")])
    assert found.members[1].procrustes == 0.0
    np.testing.assert_array_equal(found.spread, 0)
    assert np.isfinite(found.neighbours).all()


def test_runs_of_the_same_name_in_different_folders_keep_apart(runs: Path) -> None:
    for name in ("x", "y"):
        Path(name).mkdir()
        shutil.copytree("a" if name == "x" else "b", Path(name, "run"))
    assert typed("ensemble", "x/run", "y/run", "--out", "out").exit_code == 0
    assert sorted(path.name for path in Path("out/aligned").iterdir()) == ["1-run.embedding.tsv", "2-run.embedding.tsv"]


def test_what_cannot_be_compared(runs: Path) -> None:
    with pytest.raises(ConfigError, match="at least two"):
        compare_runs([Path("a")])
    with pytest.raises(ConfigError, match="twice"):
        compare_runs([Path("a"), Path("b"), Path("../" + runs.name + "/a")])
    with pytest.raises(MismatchError, match=r"not of the same data \(a, d\).* variants; their bounds"):
        compare_runs([Path("a"), Path("d")])
    one = Embedding.read_tsv(Path("b/embedding.tsv"))
    one.take(np.arange(1, 100)).write_tsv(Path("b/embedding.tsv"))
    with pytest.raises(MismatchError, match="not the same samples"):
        compare_runs([Path("a"), Path("b")])
    Path("b/embedding.tsv").unlink()
    with pytest.raises(DataError, match=r"embedding\.tsv"):
        compare_runs([Path("a"), Path("b")])
    set_bound(Path("c"), None)  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"does not say its bound \(c\)"):
        compare_runs([Path("a"), Path("c")])


@pytest.mark.parametrize(
    ("code", "said", "words"),
    [
        (2, "at least two", ["a", "--out", "out"]),
        (2, "twice", ["a", "a", "--out", "out"]),
        (3, "not a genovi model (absent)", ["a", "absent", "--out", "out"]),
        (3, "not a genovi model", ["a", ".", "--out", "out"]),
        (4, "not of the same data", ["a", "d", "--out", "out"]),
        (2, "--force", ["a", "b", "--out", "a"]),
        (2, "RUN", ["--out", "out"]),
        (2, "--out", ["a", "b"]),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(runs: Path, code: int, said: str, words: list[str]) -> None:
    before = sorted(runs.rglob("*"))
    result = typed("ensemble", *words)
    assert result.exit_code == code
    assert result.stderr.splitlines()[-1].startswith("genovi: error: ")
    assert said in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stderr
    assert sorted(runs.rglob("*")) == before


def test_dry_run_says_what_it_finds_and_force_takes_the_place_of_an_older_one(runs: Path) -> None:
    result = typed("ensemble", "a", "b", "--out", "out", "--dry-run")
    assert result.exit_code == 0
    assert "best run: " in result.stdout
    assert not Path("out").exists()
    assert typed("ensemble", "a", "b", "--out", "out").exit_code == 0
    assert typed("ensemble", "a", "b", "c", "--out", "out", "--force").exit_code == 0
    assert len(pd.read_csv("out/runs.tsv", sep="\t")) == 3
    assert Path("a/model.json").exists()  # the link went, not what it led to
