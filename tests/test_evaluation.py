"""Scores: bounds and oracles, invariances, and small and awkward cohorts."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from helpers import real_data
from hypothesis import given, settings
from hypothesis import strategies as st

from genovi.embedding import Embedding
from genovi.errors import ConfigError, DataError, MismatchError
from genovi.evaluation import agreement, evaluate, inductive_knn, neighbourhood_scores
from genovi.labels import SampleLabels


def clouds(
    n_populations: int = 6, n_per: int = 30, spread: float = 0.05, seed: int = 0
) -> tuple[Embedding, SampleLabels]:
    """Populations p0, p1, ... on a circle; groups g0, g1 are its halves."""
    rng = np.random.default_rng(seed)
    truth = np.repeat(np.arange(n_populations), n_per)
    angle = 2 * np.pi * truth / n_populations
    mean = np.column_stack([np.cos(angle), np.sin(angle)]) + spread * rng.normal(size=(len(truth), 2))
    samples = tuple(f"s{i}" for i in range(len(truth)))
    pops = tuple(f"p{t}" for t in truth)
    groups = tuple(f"g{2 * t // n_populations}" for t in truth)
    return Embedding(samples, mean, method="test"), SampleLabels(samples, {"pop": pops, "super_pop": groups})


def test_perfect_separation_scores_one() -> None:
    embedding, labels = clouds()
    embedding = replace(embedding, cluster=np.repeat(np.arange(6), 30) + 1)
    scores = evaluate(embedding, labels)
    assert (scores.n_samples, scores.n_unlabelled, scores.mixture_components) == (180, 0, 6)
    assert scores.populations.knn_accuracy == 1.0
    assert scores.populations.knn_k == 20
    for result in (scores.populations.mixture, scores.populations.clusters):
        assert result is not None
        assert (result.n_clusters, result.purity) == (6, 1.0)
        assert np.allclose([result.completeness, result.nmi, result.ami, result.ari], 1.0)
    assert scores.groups is not None
    assert scores.groups.column == "super_pop"
    assert scores.groups.n_labels == 2
    assert scores.groups.mixture.purity == 1.0
    assert scores.groups.mixture.completeness < 0.5


def test_labels_unrelated_to_the_embedding_score_as_chance() -> None:
    embedding, labels = clouds()
    shuffled = tuple(np.random.default_rng(1).permutation(labels.column("pop")).tolist())
    scores = evaluate(embedding, replace(labels, columns={"pop": shuffled}))
    assert scores.populations.knn_accuracy < 0.3
    assert abs(scores.populations.mixture.ari) < 0.05
    assert abs(scores.populations.mixture.ami) < 0.05
    assert scores.groups is None


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 4), st.sampled_from("abcd")), min_size=2, max_size=40))
def test_agreement_matches_its_definitions(pairs: list[tuple[int, str]]) -> None:
    clusters = np.array([c for c, _ in pairs])
    labels = np.array([label for _, label in pairs])
    result = agreement(clusters, list(labels))

    def entropy(*parts: np.ndarray) -> float:
        counts = np.unique(np.stack([p.astype(str) for p in parts]), axis=1, return_counts=True)[1]
        share = counts / len(pairs)
        return float(-(share * np.log(share)).sum())

    h_c, h_l, joint = entropy(clusters), entropy(labels), entropy(clusters, labels)
    information = h_c + h_l - joint
    pure = sum(max(np.sum(labels[clusters == c] == label) for label in set(labels)) for c in set(clusters))
    assert result.n_clusters == len(set(clusters))
    assert result.purity == pytest.approx(pure / len(pairs))
    assert result.nmi == pytest.approx(information / ((h_c + h_l) / 2) if h_c + h_l > 0 else 1.0, abs=1e-9)
    assert result.completeness == pytest.approx(information / h_c if h_c > 0 else 1.0, abs=1e-9)
    assert max(result.ami, result.ari) <= 1 + 1e-9


def test_twenty_components_from_twenty_populations_on() -> None:
    for n_populations, expected in ((5, 5), (20, 20), (26, 20)):
        embedding, labels = clouds(n_populations, n_per=10)
        assert evaluate(embedding, labels).mixture_components == expected
    embedding, labels = clouds(10, n_per=2)
    assert evaluate(embedding, labels).mixture_components == 4


def test_read_out_is_that_of_the_protocol() -> None:
    from sklearn.mixture import GaussianMixture

    embedding, labels = clouds(24, n_per=20, spread=0.08)
    model = GaussianMixture(20, covariance_type="full", n_init=10, random_state=2)
    expected = agreement(model.fit_predict(embedding.mean), labels.column("pop"))
    result = evaluate(embedding, labels).populations.mixture
    assert result.nmi == pytest.approx(expected.nmi, abs=0.01)
    assert result.n_clusters == 20


@pytest.mark.parametrize("scale", [1e-4, 1e4])
def test_scores_do_not_depend_on_units(scale: float) -> None:
    embedding, labels = clouds(8, spread=0.15)
    expected = evaluate(embedding, labels)
    moved = evaluate(replace(embedding, mean=embedding.mean * scale + 7 * scale), labels)
    assert moved.populations.mixture.nmi == pytest.approx(expected.populations.mixture.nmi, abs=0.01)
    assert moved.populations.knn_accuracy == pytest.approx(expected.populations.knn_accuracy, abs=0.01)


def test_evaluation_repeats_itself_and_leaves_global_state_alone() -> None:
    embedding, labels = clouds(spread=0.3)
    np.random.seed(3)
    state = str(np.random.get_state())
    first = evaluate(embedding, labels, reference=embedding.mean)
    assert str(np.random.get_state()) == state
    np.random.seed(4)
    assert evaluate(embedding, labels, reference=embedding.mean) == first


def test_unlabelled_samples_are_left_out_and_counted() -> None:
    embedding, labels = clouds()
    outliers = Embedding(
        (*embedding.samples, "x1", "x2", "x3"), np.vstack([embedding.mean, np.full((3, 2), 1e3)]), method="test"
    )
    labels = SampleLabels(
        (*labels.samples, "x3", "elsewhere"),
        {"pop": (*labels.column("pop"), "", "p0"), "super_pop": (*labels.column("super_pop"), "", "g0")},
    )
    scores = evaluate(outliers, labels)
    assert (scores.n_samples, scores.n_unlabelled) == (180, 3)
    assert scores.populations == evaluate(embedding, labels).populations


def test_groups_may_be_blank_or_useless(caplog: pytest.LogCaptureFixture) -> None:
    embedding, labels = clouds()
    groups = tuple("" if i < 30 else g for i, g in enumerate(labels.column("super_pop")))
    partly = evaluate(embedding, replace(labels, columns={**labels.columns, "super_pop": groups}))
    assert partly.groups is not None
    assert (partly.groups.n_samples, partly.populations.n_samples) == (150, 180)
    with caplog.at_level(logging.INFO, "genovi"):
        same = evaluate(embedding, replace(labels, columns={**labels.columns, "super_pop": ("g",) * 180}))
    assert same.groups is None
    assert "fewer than two groups" in caplog.text


def test_small_populations_ask_fewer_neighbours(caplog: pytest.LogCaptureFixture) -> None:
    embedding, labels = clouds(8, n_per=5, spread=0.01)
    with caplog.at_level(logging.INFO, "genovi"):
        scores = evaluate(embedding, labels)
    assert scores.populations.knn_k == 4
    assert scores.populations.knn_accuracy == 1.0
    assert "4 instead of 20 nearest neighbours" in caplog.text
    assert scores.groups is not None
    assert scores.groups.knn_k == 16


def test_populations_of_one_sample_do_not_count_as_errors(caplog: pytest.LogCaptureFixture) -> None:
    embedding, labels = clouds(4, n_per=10)
    pops = ("alone", *labels.column("pop")[1:])
    with caplog.at_level(logging.INFO, "genovi"):
        scores = evaluate(embedding, replace(labels, columns={"pop": pops}))
    assert scores.populations.n_labels == 5
    assert scores.populations.knn_accuracy == 1.0
    assert "1 samples are alone in their pop" in caplog.text


def test_collapsed_embedding_is_bad_but_no_crash() -> None:
    embedding, labels = clouds()
    fst = np.abs(np.subtract.outer(np.arange(6.0), np.arange(6.0)))
    collapsed = replace(embedding, mean=np.zeros_like(embedding.mean))
    scores = evaluate(collapsed, labels, fst=([f"p{i}" for i in range(6)], fst))
    assert scores.populations.mixture.nmi < 0.05
    assert scores.populations.knn_accuracy < 0.4
    assert scores.fst_correlation is None


def test_trustworthiness_and_continuity() -> None:
    embedding, _ = clouds(spread=0.3)
    assert neighbourhood_scores(embedding, 5 * embedding.mean) == (1.0, 1.0)
    noise = np.random.default_rng(0).normal(size=(180, 5))
    trust, continuity = neighbourhood_scores(embedding, noise)
    assert 0.4 < trust < 0.6
    assert 0.4 < continuity < 0.6
    # Two far points of the reference torn onto one spot: the embedding lies about neighbours, but loses none.
    folded = replace(embedding, mean=np.abs(embedding.mean))
    trust, continuity = neighbourhood_scores(folded, embedding.mean)
    assert trust < continuity - 0.05
    tiny = Embedding(embedding.samples[:10], embedding.mean[:10])
    assert neighbourhood_scores(tiny, embedding.mean[:10]) == (1.0, 1.0)


def test_fst_correlation_is_the_rank_correlation_of_centroid_distances() -> None:
    samples = tuple(f"s{i}" for i in range(40))
    position = np.repeat([0.0, 1.0, 3.0, 7.0], 10)
    embedding = Embedding(samples, np.column_stack([position, np.tile([-0.1, 0.1], 20)]))
    labels = SampleLabels(samples, {"pop": tuple(np.repeat(list("abcd"), 10).tolist())})
    distance = np.abs(np.subtract.outer([7.0, 0.0, 1.0, 3.0], [7.0, 0.0, 1.0, 3.0]))
    order = ("d", "a", "b", "c")
    assert evaluate(embedding, labels, fst=(order, distance**2)).fst_correlation == pytest.approx(1.0)
    assert evaluate(embedding, labels, fst=(order, -distance)).fst_correlation == pytest.approx(-1.0)
    padded = np.full((5, 5), np.nan)
    padded[:4, :4] = distance
    assert evaluate(embedding, labels, fst=((*order, "z"), padded)).fst_correlation == pytest.approx(1.0)
    with pytest.raises(MismatchError, match="1 populations of the embedding have F_ST"):
        evaluate(embedding, labels, fst=(("a", "x", "y", "z"), distance))
    with pytest.raises(MismatchError, match="for 3 populations"):
        evaluate(embedding, labels, fst=(("a", "b", "c"), distance))


def test_inductive_knn() -> None:
    train, train_labels = clouds()
    test, test_labels = clouds(n_per=5, seed=1)
    truth = list(test_labels.column("pop"))
    result = inductive_knn(train, train_labels.column("pop"), test, truth)
    assert (result.accuracy, result.k, result.n_train, result.n_test, result.n_left_out) == (1.0, 20, 180, 30, 0)
    wrong = ["p1" if label == "p0" else label for label in truth]
    assert inductive_knn(train, train_labels.column("pop"), test, wrong).accuracy == pytest.approx(25 / 30)
    partly = ["", "elsewhere", *truth[2:]]
    result = inductive_knn(train, train_labels.column("pop"), test, partly)
    assert (result.accuracy, result.n_test, result.n_left_out) == (1.0, 28, 2)
    untrained = ["" if i % 2 else label for i, label in enumerate(train_labels.column("pop"))]
    assert inductive_knn(train, untrained, test, truth).k == 15


def test_inductive_knn_refuses_what_does_not_fit() -> None:
    train, labels = clouds()
    test, test_labels = clouds(n_per=5, seed=1)
    pops, truth = labels.column("pop"), test_labels.column("pop")
    with pytest.raises(MismatchError, match="2 axes, test embedding 3"):
        inductive_knn(train, pops, replace(test, mean=np.zeros((30, 3))), truth)
    with pytest.raises(MismatchError, match="differ in number"):
        inductive_knn(train, pops, test, truth[1:])
    with pytest.raises(MismatchError, match="no test sample has a label"):
        inductive_knn(train, pops, test, ["x"] * 30)
    with pytest.raises(DataError, match="all samples have the same label"):
        inductive_knn(train, ["p0"] * 180, test, truth)


def test_bad_input_is_refused() -> None:
    embedding, labels = clouds()
    with pytest.raises(DataError, match="all samples have the same pop, p"):
        evaluate(embedding, replace(labels, columns={"pop": ("p",) * 180}))
    with pytest.raises(DataError, match="differs for almost every sample"):
        evaluate(embedding, replace(labels, columns={"pop": embedding.samples}))
    few = tuple(p if i % 20 == 0 else "" for i, p in enumerate(labels.column("pop")))
    with pytest.raises(MismatchError, match="9 samples have a pop"):
        evaluate(embedding, replace(labels, columns={"pop": few}))
    with pytest.raises(MismatchError, match="no sample has labels"):
        evaluate(embedding, replace(labels, samples=tuple(f"y{i}" for i in range(180))))
    with pytest.raises(ConfigError, match="no label column 'tribe'"):
        evaluate(embedding, labels, population="tribe")
    with pytest.raises(MismatchError, match="for 180 samples"):
        evaluate(embedding, labels, reference=np.zeros((179, 3)))
    with pytest.raises(DataError, match="reference is not finite"):
        evaluate(embedding, labels, reference=np.full((180, 3), np.nan))
    broken = embedding.mean.copy()
    broken[7, 0] = np.inf
    with pytest.raises(DataError, match=r"not finite \(sample s7\)"):
        evaluate(replace(embedding, mean=broken), labels)


def test_everything_is_measured_at_once() -> None:
    embedding, labels = clouds()
    embedding = replace(embedding, cluster=np.repeat(np.arange(3), 60) + 1)
    fst = np.abs(np.subtract.outer(np.arange(6.0), np.arange(6.0)))
    scores = evaluate(embedding, labels, reference=embedding.mean, fst=([f"p{i}" for i in range(6)], fst))
    assert scores.populations.clusters is not None and scores.groups is not None and scores.groups.clusters is not None
    assert scores.populations.clusters.purity == 0.5
    assert scores.groups.clusters.n_clusters == 3
    assert (scores.trustworthiness, scores.continuity) == (1.0, 1.0)
    assert scores.fst_correlation is not None
    json.dumps(scores.to_dict(), allow_nan=False)  # plain numbers, no NumPy ones
    assert len(scores.rows()) == 18
    plain = evaluate(embedding, replace(labels, columns={"pop": labels.column("pop")}))
    assert (plain.groups, plain.trustworthiness, plain.continuity, plain.fst_correlation) == (None,) * 4


def test_importing_evaluation_loads_nothing_heavy() -> None:
    code = (
        "import sys, genovi.evaluation; print([m for m in ('sklearn', 'torch', 'numba', 'allel') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.verification
@pytest.mark.real
def test_continents_separate_in_real_principal_components() -> None:
    from bed_reader import open_bed

    from genovi.labels import read_labels

    with open_bed(real_data("kgp3/kgp3.bed")) as bed:
        dosages = bed.read(index=np.s_[::2, ::4], dtype="float32")
        samples = tuple(str(s) for s in bed.iid[::2])
    dosages = np.where(np.isnan(dosages), np.nanmean(dosages, axis=0), dosages)
    centred = dosages - dosages.mean(axis=0)
    values, vectors = np.linalg.eigh(centred @ centred.T)
    pcs = (vectors * np.sqrt(np.maximum(values, 0)))[:, ::-1][:, :8].astype(np.float64)
    scores = evaluate(Embedding(samples, pcs), read_labels(real_data("kgp3/labels.tsv")))
    assert scores.groups is not None
    assert scores.groups.knn_accuracy > 0.95
    assert 0.2 < scores.populations.knn_accuracy < 0.9
    assert scores.mixture_components == 20
