"""Labels find room: none on another, all inside, near their anchors."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genovi.plotting.placement import FARTHEST, SHORTEST, anchor_of, leader_end, place_labels, place_near

BOUNDS = (0.0, 0.0, 340.0, 300.0)


def overlapping(places: np.ndarray, sizes: np.ndarray) -> int:
    n = 0
    for i in range(len(places)):
        for j in range(i):
            n += bool(np.all(np.abs(places[i] - places[j]) < (sizes[i] + sizes[j]) / 2 - 1e-9))
    return n


def test_a_lone_label_stays_on_its_anchor() -> None:
    places = place_labels(np.array([[100.0, 80.0]]), np.array([[20.0, 7.0]]), BOUNDS)
    np.testing.assert_array_equal(places, [[100.0, 80.0]])


def test_labels_of_one_spot_are_spread_around_it() -> None:
    anchors = np.tile([[170.0, 150.0]], (26, 1))
    sizes = np.tile([[16.0, 7.0]], (26, 1))
    places = place_labels(anchors, sizes, BOUNDS)
    assert overlapping(places, sizes) == 0
    assert np.linalg.norm(places - anchors, axis=1).max() < 90


@given(seed=st.integers(0, 10_000), n=st.integers(1, 26), width=st.floats(0.02, 1.0))
def test_26_labels_never_overlap_and_stay_inside(seed: int, n: int, width: float) -> None:
    rng = np.random.default_rng(seed)
    anchors = np.array([170.0, 150.0]) + (rng.random((n, 2)) - 0.5) * np.array([330.0, 290.0]) * width
    sizes = np.column_stack([rng.uniform(12, 22, n), np.full(n, 7.0)])
    places = place_labels(anchors, sizes, BOUNDS, points=anchors)
    assert overlapping(places, sizes) == 0
    assert (places - sizes / 2 >= 0).all()
    assert (places + sizes / 2 <= [340, 300]).all()


def test_a_label_steps_aside_from_the_points_it_would_hide() -> None:
    rng = np.random.default_rng(0)
    cloud = np.array([170.0, 150.0]) + rng.normal(size=(300, 2)) * 4
    size = np.array([[18.0, 7.0]])
    place = place_labels(np.array([[170.0, 150.0]]), size, BOUNDS, points=cloud)
    hidden = np.all(np.abs(cloud - place) < size / 2, axis=1).mean()
    assert hidden < 0.1
    assert np.linalg.norm(place - [170, 150]) < 40


def test_the_same_input_gives_the_same_places() -> None:
    rng = np.random.default_rng(3)
    anchors, sizes = rng.random((20, 2)) * 100, np.tile([[16.0, 7.0]], (20, 1))
    np.testing.assert_array_equal(place_labels(anchors, sizes, BOUNDS), place_labels(anchors, sizes, BOUNDS))


@pytest.mark.parametrize("n", [1, 2, 1000])
def test_the_anchor_is_a_point_of_the_larger_part(n: int) -> None:
    rng = np.random.default_rng(n)
    large, small = rng.normal(size=(3 * n, 2)), rng.normal(size=(n, 2)) + 100
    anchor = anchor_of(np.concatenate([large, small]))
    assert np.abs(anchor).max() < 10
    assert (large == anchor).all(axis=1).any()


@given(seed=st.integers(0, 200), n=st.integers(1, 80), side=st.floats(20, 300))
@settings(max_examples=12, deadline=None)
def test_labels_without_room_nearby_are_left_out(seed: int, n: int, side: float) -> None:
    rng = np.random.default_rng(seed)
    anchors = rng.random((n, 2)) * side
    sizes = np.column_stack([rng.uniform(12, 30, n), np.full(n, 5.0)])
    kept, places = place_near(anchors, sizes, (0.0, 0.0, side, side), anchors)
    assert len(places) == len(kept)
    for k, place in zip(kept, places, strict=True):
        assert np.linalg.norm(anchors[k] - leader_end(anchors[k], place, sizes[k])) <= FARTHEST
    if side >= 200 and n <= 15:
        assert len(kept) == n
    shared = [
        np.prod(np.clip((sizes[a] + sizes[b]) / 2 - np.abs(p - q), 0, None))
        for i, (a, p) in enumerate(zip(kept, places, strict=True))
        for b, q in zip(kept[:i], places[:i], strict=True)
    ]
    assert max(shared, default=0.0) <= FARTHEST / 40 + 1e-9
    along = np.linspace(0, 1, 50)[:, None]
    for a, p in zip(kept, places, strict=True):
        line = anchors[a] + along * (leader_end(anchors[a], p, sizes[a]) - anchors[a])
        if np.linalg.norm(line[-1] - line[0]) > SHORTEST:
            struck = [(np.abs(line - q) < sizes[b] / 2 - 0.01).all(axis=1).any()
                      for b, q in zip(kept, places, strict=True) if b != a]  # fmt: skip
            assert not any(struck)


def test_leaders_do_not_cross_where_there_is_room() -> None:
    anchors = np.array([[160.0, 150.0], [166.0, 150.0], [163.0, 155.0], [163.0, 145.0]])
    cloud = np.array([163.0, 150.0]) + np.random.default_rng(1).normal(size=(400, 2)) * 5
    sizes = np.tile([[40.0, 7.0]], (4, 1))
    kept, places = place_near(anchors, sizes, BOUNDS, cloud)
    assert len(kept) == 4
    ends = [leader_end(a, p, s) for a, p, s in zip(anchors, places, sizes, strict=True)]
    for i in range(4):
        for j in range(i):
            ways = np.column_stack([ends[i] - anchors[i], anchors[j] - ends[j]])
            if abs(np.linalg.det(ways)) > 1e-9:
                t = np.linalg.solve(ways, anchors[j] - anchors[i])
                assert not ((t > 0) & (t < 1)).all()
