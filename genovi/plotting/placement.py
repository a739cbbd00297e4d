"""Placing text labels near their anchors: beside the points rather than on them, and never on one another.

Every label has the same candidate places: on its anchor, and on rings around it. A place costs its distance from the
anchor, the number of points that the label would hide there, the labels and leaders that its leader (the line from the
anchor to the label) would cross, and, far more, what it shares with other labels. Labels take the cheapest place in
turn, those in the thick of things first, until none wants to move. All lengths are points of print (1/72 inch); nothing
is random.
"""

from __future__ import annotations

import numpy as np

_RADII = (0.0, 2.0, 5.0, 9.0, 14.0, 20.0, 27.0, 35.0, 44.0, 54.0, 66.0, 80.0, 96.0)
_ANGLES = np.deg2rad(np.arange(0, 360, 15))
_ROUNDS = 6
FARTHEST = 42.0  # points between an anchor and its label, in a small panel less:
_OF_WIDTH = 0.15  # share of the panel's width
_CELL = 2.0  # side of the cells in which points are counted
_MARKER = np.array([(0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)])  # a point's marker covers more than one cell
_RADIUS = 1.5  # of a marker
_HIDDEN = 2.0  # cost of hiding a cell that has points, as a distance
_ON_ANCHOR = 8.0  # cost of hiding the anchor, as a distance
_OVERLAP = 40.0  # cost of a square point shared with another label, as a distance
_STRUCK = 45.0  # cost of a leader through another label, as a distance: a name that needs one is left out
_CROSSED = 12.0  # cost of two leaders that cross, as a distance
_TRIED = 24  # places at a time
SHORTEST = 4.0  # a leader is drawn from this length on


def place_labels(
    anchors: np.ndarray,
    sizes: np.ndarray,
    bounds: tuple[float, float, float, float],
    points: np.ndarray | None = None,
    gap: float = 1.5,
    farthest: float = _RADII[-1],
    radius: float = _RADIUS,
) -> np.ndarray:
    """Positions of label centres.

    Args:
        anchors: Points that the labels belong to, shape (n, 2), float64.
        sizes: Widths and heights of the labels, shape (n, 2), float64.
        bounds: (left, bottom, right, top) that the boxes stay inside, if they fit.
        points: What should stay visible, shape (m, 2), float64; None for nothing.
        gap: Distance kept between boxes.
        farthest: Greatest distance between an anchor and the outline of its label.
        radius: Of the points' markers.

    Returns:
        shape (n, 2), float64. Boxes may still touch where there is no room for all of them.
    """
    anchors = np.asarray(anchors, dtype=np.float64)
    half = (np.asarray(sizes, dtype=np.float64) + gap) / 2
    n = len(anchors)
    counts = _Counts(points if points is not None else np.empty((0, 2)), bounds, radius)
    places = [_candidates(anchors[i], half[i], bounds, farthest) for i in range(n)]
    costs = [
        np.linalg.norm(places[i] - anchors[i], axis=1) + _HIDDEN * counts.inside(places[i], half[i]) for i in range(n)
    ]
    if points is not None:  # where all samples are on one spot, the name must not hide it
        for i in range(n):
            costs[i] += _ON_ANCHOR * np.all(np.abs(places[i] - anchors[i]) < half[i], axis=1)
    chosen = np.array([places[i][int(np.argmin(costs[i]))] for i in range(n)]).reshape(n, 2)
    crowded = np.argsort([-np.exp(-np.linalg.norm(anchors - a, axis=1) / 20.0).sum() for a in anchors], kind="stable")
    for _ in range(_ROUNDS):
        before = chosen.copy()
        for i in crowded:
            others = np.arange(n) != i
            shared = _shared(places[i], half[i], chosen[others], half[others])
            cost = costs[i] + _OVERLAP * shared
            chosen[i] = _cheapest(cost, anchors[i], places[i], half[i], (anchors[others], chosen[others], half[others]))
        if np.array_equal(chosen, before):
            break
    return chosen


def place_near(
    anchors: np.ndarray,
    sizes: np.ndarray,
    bounds: tuple[float, float, float, float],
    points: np.ndarray,
    radius: float = _RADIUS,
) -> tuple[np.ndarray, np.ndarray]:
    """``place_labels`` for as many labels as find room near their anchors.

    Where some find no place within ``FARTHEST`` (or that share of the width) that is not on another or on a leader,
    those that are worst off are left out and the others placed again, until all that are left do.

    Returns:
        Places of the labels that are left among those given, shape (m,), int64, and their positions, shape (m, 2).
    """
    kept = np.arange(len(anchors))
    farthest = min(FARTHEST, _OF_WIDTH * (bounds[2] - bounds[0]))
    while len(kept):
        places = place_labels(anchors[kept], sizes[kept], bounds, points, farthest=farthest, radius=radius)
        cost = np.array([np.linalg.norm(anchors[i] - leader_end(anchors[i], p, sizes[i]))
                         for i, p in zip(kept, places, strict=True)])  # fmt: skip
        half = sizes[kept] / 2
        for k in range(len(kept)):
            others = np.arange(len(kept)) != k
            cost[k] += _OVERLAP * _shared(places[k : k + 1], half[k], places[others], half[others])[0]
            rest = (anchors[kept][others], places[others], half[others])
            cost[k] += _tangles(anchors[kept[k]], places[k : k + 1], half[k], *rest)[0]
        worst = np.flatnonzero(cost > farthest)
        if not len(worst):
            return kept, places
        leave = worst[np.argsort(-cost[worst], kind="stable")][: max(1, len(worst) // 3)]
        kept = np.delete(kept, leave)
    return kept, np.empty((0, 2))


def leader_end(anchor: np.ndarray, place: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Where a line from ``anchor`` meets the box of ``size`` around ``place``; arrays of shape (..., 2)."""
    return np.clip(anchor, place - size / 2, place + size / 2)


def _candidates(
    anchor: np.ndarray, half: np.ndarray, bounds: tuple[float, float, float, float], farthest: float
) -> np.ndarray:
    """Centres of boxes whose outline is at each of the distances from ``anchor``, kept inside ``bounds``."""
    directions = np.column_stack([np.cos(_ANGLES), np.sin(_ANGLES)])
    # the way from a box's centre to its outline, along each direction
    with np.errstate(divide="ignore"):
        reach = np.minimum(half[0] / np.abs(directions[:, 0]), half[1] / np.abs(directions[:, 1]))
    rings = [anchor + directions * (reach + radius)[:, None] for radius in _RADII[1:] if radius <= farthest]
    centres = np.concatenate([anchor[None, :], *rings])
    low = np.array(bounds[:2]) + half
    return np.clip(centres, low, np.maximum(np.array(bounds[2:]) - half, low))


def _shared(centres: np.ndarray, half: np.ndarray, others: np.ndarray, other_half: np.ndarray) -> np.ndarray:
    """Area that a box at each of ``centres`` shares with the other boxes, shape (n_centres,)."""
    if not len(others):
        return np.zeros(len(centres))
    overlap = half + other_half[None] - np.abs(centres[:, None, :] - others[None, :, :])
    return np.prod(np.clip(overlap, 0.0, 2 * np.minimum(half, other_half)[None]), axis=2).sum(axis=1)


_Others = tuple[np.ndarray, np.ndarray, np.ndarray]  # anchors, centres and half sizes of the other labels


def _cheapest(cost: np.ndarray, anchor: np.ndarray, centres: np.ndarray, half: np.ndarray, rest: _Others) -> np.ndarray:
    """The centre that is cheapest when tangles are counted, too: they cost much to find, so few places are tried."""
    order = np.argsort(cost, kind="stable")
    best, least = order[0], np.inf
    for first in range(0, len(order), _TRIED):
        if cost[order[first]] >= least:
            break
        tried = order[first : first + _TRIED]
        total = cost[tried] + _tangles(anchor, centres[tried], half, *rest)
        if total.min() < least:
            best, least = tried[int(np.argmin(total))], total.min()
    return np.asarray(centres[best])


def _tangles(
    anchor: np.ndarray,
    centres: np.ndarray,
    half: np.ndarray,
    other_anchors: np.ndarray,
    others: np.ndarray,
    other_half: np.ndarray,
) -> np.ndarray:
    """Cost of leaders through labels and of leaders that cross, a box at each of ``centres``; shape (n_centres,)."""
    ends, other_ends = leader_end(anchor, centres, 2 * half), leader_end(other_anchors, others, 2 * other_half)
    drawn = np.linalg.norm(ends - anchor, axis=1) > SHORTEST
    other_drawn = np.linalg.norm(other_ends - other_anchors, axis=1) > SHORTEST
    mine, theirs = anchor[None, None, :], other_anchors[None, :, :]
    to, to_theirs = ends[:, None, :], other_ends[None, :, :]
    struck = _meets(mine, to, others[None, :, :], other_half[None, :, :]) & drawn[:, None]
    struck_by = _meets(theirs, to_theirs, centres[:, None, :], half) & other_drawn[None, :]
    both = drawn[:, None] & other_drawn[None, :]
    crossed = (_side(mine, to, theirs) != _side(mine, to, to_theirs)) & both
    crossed &= _side(theirs, to_theirs, mine) != _side(theirs, to_theirs, to)
    return np.asarray(_STRUCK * (struck.sum(axis=1) + struck_by.sum(axis=1)) + _CROSSED * crossed.sum(axis=1))


def _meets(start: np.ndarray, end: np.ndarray, centre: np.ndarray, half: np.ndarray) -> np.ndarray:
    """Whether lines from ``start`` to ``end`` go through boxes; arrays of shape (..., 2) that broadcast."""
    way = end - start
    way = np.where(np.abs(way) < 1e-9, 1e-9, way)
    middle, reach = (centre - start) / way, half / np.abs(way)
    first, last = middle - reach, middle + reach
    enters, leaves = np.maximum(first[..., 0], first[..., 1]), np.minimum(last[..., 0], last[..., 1])
    return np.asarray((enters < leaves) & (enters < 1.0) & (leaves > 0.0))


def _side(start: np.ndarray, end: np.ndarray, point: np.ndarray) -> np.ndarray:
    """Whether points lie at the left of the way from ``start`` to ``end``; arrays of shape (..., 2) that broadcast."""
    way, to = end - start, point - start
    return np.asarray(way[..., 0] * to[..., 1] - way[..., 1] * to[..., 0] > 0)


class _Counts:
    """Cells that hold points, summed so that any box is counted in constant time."""

    def __init__(self, points: np.ndarray, bounds: tuple[float, float, float, float], radius: float) -> None:
        self._origin = np.array(bounds[:2])
        self._shape = np.maximum(np.ceil((np.array(bounds[2:]) - self._origin) / _CELL).astype(int), 1)
        grid = np.zeros(self._shape, dtype=np.int64)
        for shift in radius * _MARKER:
            cells = self._cell(points + shift)
            grid[cells[:, 0], cells[:, 1]] = 1
        self._sums = np.pad(grid.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))

    def _cell(self, positions: np.ndarray) -> np.ndarray:
        cells = np.floor((positions - self._origin) / _CELL).astype(int)
        return np.clip(cells, 0, self._shape - 1)

    def inside(self, centres: np.ndarray, half: np.ndarray) -> np.ndarray:
        """Occupied cells below a box at each of ``centres``, shape (n_centres,)."""
        low, high = self._cell(centres - half), self._cell(centres + half) + 1
        s = self._sums
        return s[high[:, 0], high[:, 1]] - s[low[:, 0], high[:, 1]] - s[high[:, 0], low[:, 1]] + s[low[:, 0], low[:, 1]]


def anchor_of(points: np.ndarray) -> np.ndarray:
    """The point in the thick of a cloud: the one whose median distance to the others is smallest.

    Unlike the mean or the median of each axis, it never falls into the gap of a cloud that has two parts.

    Args:
        points: shape (n, 2), float64; of more than 400 an even selection is used.

    Returns:
        shape (2,), float64, one of the points.
    """
    chosen = points[:: -(-len(points) // 400)]
    distances = np.sqrt(((chosen[:, None, :] - chosen[None, :, :]) ** 2).sum(axis=2))
    return chosen[int(np.argmin(np.median(distances, axis=1)))]
