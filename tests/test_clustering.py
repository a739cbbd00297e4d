"""Clusters of an embedding, and their number."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from genovi.clustering import find_clusters
from genovi.embedding import Embedding
from genovi_cli.app import app


def blobs(n: int = 40, std: float | None = 0.1, apart: float = 8.0) -> tuple[Embedding, np.ndarray]:
    rng = np.random.default_rng(2)
    centres = apart * np.array([[0.0, 0], [1, 0], [0, 1], [1, 1]])
    member = np.repeat(np.arange(4), [n, 2 * n, n, n])
    mean = centres[member] + rng.normal(size=(len(member), 2))
    sd = None if std is None else np.full_like(mean, std)
    return Embedding(tuple(f"s{i}" for i in range(len(mean))), mean, std=sd), member


def typed(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], prog_name="genovi")


def test_held_out_samples_find_the_number() -> None:
    embedding, member = blobs()
    found = find_clusters(embedding, None, 1)
    assert found.n_clusters == 4
    assert len({(a, b) for a, b in zip(found.table()["CLUSTER"], member, strict=True)}) == 4
    assert found.table()["CLUSTER"][member == 1].unique() == [1]  # the largest
    one, _ = blobs(apart=0.0)
    assert find_clusters(one, None, 1).n_clusters == 1


def test_a_number_can_be_asked_for() -> None:
    found = find_clusters(blobs()[0], 2, 1)
    assert (found.n_clusters, found.curve) == (2, ())
    assert set(found.table()["CLUSTER"]) == {1, 2}


def test_uncertain_samples_have_uncertain_clusters() -> None:
    sure, unsure, plain = (find_clusters(blobs(std=std)[0], 4, 1) for std in (1e-6, 4.0, None))
    assert unsure.probability.max(1).mean() < sure.probability.max(1).mean() - 0.1
    np.testing.assert_allclose(sure.probability, plain.probability, atol=1e-4)
    for found in (sure, unsure, plain):
        np.testing.assert_allclose(found.probability.sum(1), 1)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_group_narrower_than_its_posteriors_is_a_cluster(seed: int) -> None:
    """Posterior means lie close to one another where samples say no more than that they are of the group."""
    rng = np.random.default_rng(seed)
    member = np.repeat([0, 1], [100, 150])
    mean = np.where(
        member[:, None] == 0, rng.normal(0, 0.05, (250, 2)), np.array([3, 0]) + rng.normal(0, 0.8, (250, 2))
    )
    std = np.where(member[:, None] == 0, 0.25, 0.1) * np.ones((250, 2))
    found = find_clusters(Embedding(tuple(f"s{i}" for i in range(250)), mean, std=std), 2, seed)
    table = found.table()
    assert ((table["CLUSTER"] == 1) == (member == 1)).mean() > 0.99
    assert table["CLUSTER_PROB"][member == 0].mean() > 0.97
    np.testing.assert_allclose(found.weight, [0.6, 0.4], atol=0.03)


def test_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    embedding, _ = blobs()
    embedding.write_tsv(tmp_path / "run.embedding.tsv")
    outputs = []
    for out in ("a", "b"):
        result = typed("cluster", "run.embedding.tsv", "--out", out, "--seed", 3)
        assert result.exit_code == 0, result.output
        assert "4 clusters (the fewest within" in result.stdout
        outputs.append((tmp_path / f"{out}.clusters.tsv").read_bytes())
    assert outputs[0] == outputs[1]
    table = pd.read_csv("a.clusters.tsv", sep="\t")
    assert list(table) == ["IID", "CLUSTER", "CLUSTER_PROB", "P1", "P2", "P3", "P4"]
    record = json.loads(Path("a.clusters.json").read_text())
    assert (record["clusters"], record["chosen_by"]) == (4, "held-out likelihood")
    assert not [name for name in embedding.samples if f'"{name}"' in json.dumps(record)]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["run.embedding.tsv", "--clusters", 0], 2, "--clusters must be at least 1"),
        (["run.embedding.tsv", "--clusters", 1000], 2, "there are 200 different positions"),
        (["few.embedding.tsv"], 3, "too few to choose a number of clusters"),
        (["one.embedding.tsv", "--clusters", 1], 3, "one sample cannot be clustered"),
        (["spot.embedding.tsv", "--clusters", 1], 3, "all 20 samples lie at one spot"),
        (["absent.tsv"], 3, "no such file"),
        (["nowhere"], 3, "not a genovi model"),
    ],
)
def test_bad_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[object], code: int, said: str) -> None:
    monkeypatch.chdir(tmp_path)
    embedding, _ = blobs()
    embedding.write_tsv(tmp_path / "run.embedding.tsv")
    embedding.take(np.arange(6)).write_tsv(tmp_path / "few.embedding.tsv")
    embedding.take(np.arange(1)).write_tsv(tmp_path / "one.embedding.tsv")
    spot = embedding.take(np.arange(20))
    replace(spot, mean=np.zeros_like(spot.mean)).write_tsv(tmp_path / "spot.embedding.tsv")
    result = typed("cluster", *words, "--out", "x")
    assert result.exit_code == code, result.output
    assert said in result.stderr
    assert not list(tmp_path.glob("x*"))
