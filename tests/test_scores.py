"""Scores as JSON and as a table: every measure that was taken, no other."""

from __future__ import annotations

import json
from dataclasses import replace

from genovi.scores import Agreement, LabelScores, Scores

MIXTURE = Agreement(n_clusters=6, purity=0.91, completeness=0.92, nmi=0.93, ami=0.94, ari=0.95)
CLUSTERS = Agreement(n_clusters=3, purity=0.51, completeness=0.52, nmi=0.53, ami=0.54, ari=0.55)
POPULATIONS = LabelScores("pop", 6, 180, knn_accuracy=0.987654, knn_k=20, mixture=MIXTURE, clusters=CLUSTERS)
GROUPS = LabelScores("super_pop", 2, 170, knn_accuracy=1.0, knn_k=19, mixture=CLUSTERS, clusters=MIXTURE)
FULL = Scores(
    method="ddvi",
    n_dimensions=2,
    n_samples=180,
    n_unlabelled=4,
    mixture_components=6,
    populations=POPULATIONS,
    groups=GROUPS,
    trustworthiness=0.81,
    continuity=0.82,
    fst_correlation=0.83,
)


def test_all_scores_are_json() -> None:
    record = json.loads(json.dumps(FULL.to_dict(), allow_nan=False))
    assert record["method"] == "ddvi"
    assert record["populations"]["mixture"]["nmi"] == 0.93
    assert record["groups"]["clusters"]["n_clusters"] == 6
    assert record["trustworthiness"] == 0.81
    assert json.loads(json.dumps(replace(FULL, groups=None).to_dict()))["groups"] is None


def test_all_scores_are_rows_of_a_table() -> None:
    table = {name: (populations, groups) for name, populations, groups in FULL.rows()}
    assert table["column"] == ("pop", "super_pop")
    assert table["samples"] == ("180", "170")
    assert table["nearest-neighbour accuracy"] == ("0.988", "1.000")
    assert table["NMI, mixture of 6"] == ("0.930", "0.530")
    assert table["purity, own 3 clusters"] == ("0.510", "0.910")
    assert table["continuity"] == ("0.820", "")
    assert table["rank correlation of centroid distances with F_ST"] == ("0.830", "")
    assert len(table) == len(FULL.rows()) == 18


def test_what_was_not_measured_has_no_row() -> None:
    plain = replace(
        FULL,
        populations=replace(POPULATIONS, clusters=None),
        groups=None,
        trustworthiness=None,
        continuity=None,
        fst_correlation=None,
    )
    assert len(plain.rows()) == 10
    assert all(groups == "" for _, _, groups in plain.rows())


def test_what_rounds_to_zero_has_no_sign() -> None:
    table = {name: value for name, value, _ in replace(FULL, fst_correlation=-0.0004).rows()}
    assert "0.000" in table.values()
    assert "-0.000" not in table.values()
