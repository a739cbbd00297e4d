"""The map beside the embedding: places, the score and its p-value."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial import procrustes

from genovi.embedding import Embedding
from genovi.errors import ConfigError, DataError, MismatchError
from genovi.labels import SampleLabels
from genovi.plotting.composing import AncestryOptions
from genovi.plotting.geography import map_score, places_of, plot_map, projected

N = 40


def places(n_sites: int = 12) -> SampleLabels:
    rng = np.random.default_rng(1)
    latitude, longitude = rng.uniform(-30, 10, n_sites), rng.uniform(-70, -40, n_sites)
    site = [i % n_sites for i in range(N)]
    return SampleLabels(
        tuple(f"s{i}" for i in range(N)),
        {
            "pop": tuple(f"p{k % 3}" for k in site),
            "Latitude": tuple(f"{latitude[k]:.4f}" for k in site),
            "lon": tuple(f"{longitude[k]:.4f}" for k in site),
        },
        "places",
    )


def following(labels: SampleLabels, noise: float) -> Embedding:
    """An embedding that mirrors and turns the map, with noise."""
    ground = projected(places_of(labels.samples, labels, None), (-55.0, -10.0))
    turn = np.array([[0.0, 1.0], [1.0, 0.0]])
    mean = 0.1 * ground @ turn + noise * np.random.default_rng(2).normal(size=(N, 2))
    return Embedding(labels.samples, mean, method="toy")


def test_an_embedding_that_follows_the_map(tmp_path: Path) -> None:
    summary = plot_map(following(places(), 0.1), places(), tmp_path / "map.png", permutations=999)
    assert summary.score.t > 0.99
    assert summary.score.p == pytest.approx(1 / 1000)
    assert (summary.score.samples, summary.score.sites) == (N, 12)
    assert (
        summary.lines()[1]
        == f"Procrustes correlation with the map {summary.score.t:.3f}, p = 0.001 (999 permutations of sites)"
    )


def test_the_score_is_that_of_scipy() -> None:
    labels = places()
    degrees = places_of(labels.samples, labels, None)
    points = np.random.default_rng(3).normal(size=(N, 2))
    ground, turned, score = map_score(points, degrees, (-55.0, -10.0), 0, 1)
    assert score.t == pytest.approx(np.sqrt(1 - procrustes(ground, points)[2]))
    assert np.isnan(score.p)
    np.testing.assert_allclose(np.linalg.norm(turned, axis=1), np.linalg.norm(points - points.mean(axis=0), axis=1))


def test_permutations_are_those_of_sites() -> None:
    """The p-value is what a plain loop over permuted sites gives."""
    labels = places(6)
    degrees = places_of(labels.samples, labels, None)
    points = following(labels, 6.0).mean
    ground, _, score = map_score(points, degrees, (-55.0, -10.0), 4000, 1)
    sites, which = np.unique(ground.round(6), axis=0, return_inverse=True)
    rng = np.random.default_rng(9)
    drawn = [np.sqrt(1 - procrustes(sites[rng.permutation(6)][which.reshape(-1)], points)[2]) for _ in range(2000)]
    assert score.p == pytest.approx(np.mean(np.array(drawn) >= score.t - 1e-9), abs=0.04)


def test_p_values_of_embeddings_that_know_nothing_are_even() -> None:
    labels = places(10)
    degrees = places_of(labels.samples, labels, None)
    rng = np.random.default_rng(5)
    site = np.arange(N) % 10
    values = []
    for _ in range(120):
        points = rng.normal(size=(10, 2))[site] + 0.1 * rng.normal(size=(N, 2))  # samples of a site are alike
        values.append(map_score(points, degrees, (-55.0, -10.0), 199, 1)[2].p)
    assert 0.35 < np.mean(values) < 0.65
    assert np.mean(np.array(values) < 0.1) < 0.2


def test_longitudes_across_the_date_line() -> None:
    ground = projected(np.array([[0.0, 179.0], [0.0, -179.0], [0.0, 181.0]]), (180.0, 0.0))
    np.testing.assert_allclose(ground[:, 0], [-1, 1, 1])


def test_a_row_for_each_population(tmp_path: Path) -> None:
    labels = SampleLabels(tuple(f"s{i}" for i in range(N)), {"pop": tuple(f"p{i % 5}" for i in range(N))}, "panel")
    table = SampleLabels(
        tuple(f"p{i}" for i in range(4)), {"lat": ("0", "5", "9", "20"), "long": ("1", "7", "NA", "3")}, "table"
    )
    found = places_of(labels.samples, table, labels)
    assert np.isnan(found[2, 1]) and np.isnan(found[4]).all()  # no longitude, no row
    np.testing.assert_allclose(found[6], [5.0, 7.0])


def test_samples_without_coordinates_are_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    labels = places()
    latitude = ("", *labels.columns["Latitude"][1:])
    labels = replace(labels, columns={**labels.columns, "Latitude": latitude})
    summary = plot_map(following(places(), 0.1), labels, tmp_path / "map.svg", permutations=9)
    assert summary.score.samples == N - 1
    assert "1 of 40 samples have no coordinates and are left out: s0" in caplog.text
    svg = (tmp_path / "map.svg").read_text()
    assert ">longitude</text>" in svg and "°</text>" in svg


def test_what_a_map_refuses(tmp_path: Path) -> None:
    labels, out = places(), tmp_path / "map.png"
    embedding = following(labels, 0.1)

    def changed(**columns: tuple[str, ...]) -> SampleLabels:
        return replace(labels, columns={**labels.columns, **columns})

    with pytest.raises(ConfigError, match="no column of latitude"):
        plot_map(embedding, replace(labels, columns={"pop": labels.columns["pop"]}), out)
    with pytest.raises(DataError, match="'north' is no number of degrees"):
        plot_map(embedding, changed(lon=("north", *labels.columns["lon"][1:])), out)
    with pytest.raises(DataError, match="'91'"):
        plot_map(embedding, changed(Latitude=("91", *labels.columns["Latitude"][1:])), out)
    with pytest.raises(MismatchError, match=r"no sample has coordinates.*has x0"):
        plot_map(Embedding(tuple(f"x{i}" for i in range(N)), embedding.mean), labels, out)
    with pytest.raises(MismatchError, match="blank"):
        plot_map(embedding, changed(lon=("",) * N), out)
    with pytest.raises(DataError, match=r"too few sites.*: 3"):
        plot_map(embedding, places(3), out)
    with pytest.raises(ConfigError, match="the embedding has 1"):
        plot_map(Embedding(labels.samples, embedding.mean[:, :1]), labels, out)
    with pytest.raises(ConfigError, match="axes 1 and 3"):
        plot_map(embedding, labels, out, options=AncestryOptions(axes=(0, 2)))
    assert not list(tmp_path.iterdir())
