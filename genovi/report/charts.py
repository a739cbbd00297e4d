"""Line charts as SVG text: colours come from the page's style sheet, so that they follow light and dark."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

_WIDTH, _HEIGHT = 560, 270
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 14, 12, 40
_MOST_POINTS = 800  # of a curve: more cannot be seen


@dataclass(frozen=True)
class Curve:
    """One line of a chart.

    Attributes:
        name: In the legend.
        x: Abscissae, shape (n,), float64.
        y: Ordinates, shape (n,), float64; those that are not finite are left out.
        slot: Colour and dashes, from 1; see report.css.
        dots: Draw points instead of a line.
    """

    name: str
    x: np.ndarray
    y: np.ndarray
    slot: int
    dots: bool = False


@dataclass(frozen=True)
class Rule:
    """A straight line across a chart: horizontal at ``y`` or vertical at ``x``."""

    name: str
    y: float | None = None
    x: float | None = None


@dataclass(frozen=True)
class Chart:
    """A chart.

    Attributes:
        title: What it shows, for those who cannot see it.
        x: Name of the horizontal axis.
        y: Name of the vertical axis.
        curves: Lines.
        rules: Lines across.
        log: Logarithmic vertical axis.
        low: Lower end of the vertical axis; None for that of the data.
    """

    title: str
    x: str
    y: str
    curves: Sequence[Curve]
    rules: Sequence[Rule] = ()
    log: bool = False
    low: float | None = None


def draw(chart: Chart) -> str:
    """The chart as a figure element, with its legend."""
    xs, ys = _limits(chart)
    left, right, top, bottom = _LEFT, _WIDTH - _RIGHT, _TOP, _HEIGHT - _BOTTOM

    def across(x: float) -> float:
        return left + (x - xs[0]) / (xs[1] - xs[0]) * (right - left)

    def down(y: float) -> float:
        y = math.log10(y) if chart.log else y
        return bottom - (y - ys[0]) / (ys[1] - ys[0]) * (bottom - top)

    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(chart.title)}">',
        *_axes(chart, xs, ys, across, down),
        f'<svg x="{left}" y="{top}" width="{right - left}" height="{bottom - top}" '
        f'viewBox="{left} {top} {right - left} {bottom - top}">',
    ]
    for rule in chart.rules:
        ends = (
            (left, down(rule.y), right, down(rule.y))
            if rule.y is not None
            else (across(rule.x or 0.0), top, across(rule.x or 0.0), bottom)
        )
        parts.append('<line class="rule" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>'.format(*ends))
    for curve in chart.curves:
        seen = np.isfinite(curve.y)
        points = [(across(float(x)), down(float(y))) for x, y in zip(curve.x[seen], curve.y[seen], strict=True)]
        parts.append(_dots(points, curve.slot) if curve.dots else _line(_thinned(points), curve.slot))
    return "".join(['<figure class="chart">', _legend(chart), *parts, "</svg></svg></figure>"])


def _limits(chart: Chart) -> tuple[tuple[float, float], tuple[float, float]]:
    """Ends of both axes; those of a logarithmic one as powers of ten."""
    x = np.concatenate([curve.x for curve in chart.curves])
    late = [curve.y[0 if curve.dots else len(curve.y) // 20 :] for curve in chart.curves]  # without the first fall
    y = np.concatenate([part[np.isfinite(part)] for part in late])
    y = np.concatenate([y, [rule.y for rule in chart.rules if rule.y is not None]]).astype(np.float64)
    y = np.log10(y) if chart.log else y
    low, high = (float(y.min()), float(y.max())) if len(y) else (0.0, 1.0)
    margin = 0.06 * (high - low) or 0.5
    low = low - margin if chart.low is None else chart.low
    x_low, x_high = float(x.min()), float(x.max())
    return (x_low, x_high) if x_high > x_low else (x_low - 0.5, x_high + 0.5), (low, high + margin)


def _axes(chart, xs, ys, across, down) -> list[str]:  # type: ignore[no-untyped-def]
    left, right, top, bottom = _LEFT, _WIDTH - _RIGHT, _TOP, _HEIGHT - _BOTTOM
    parts = []
    for tick in _ticks(*xs, whole=True):
        x = across(tick)
        parts.append(f'<line class="axis" x1="{x:.1f}" y1="{bottom}" x2="{x:.1f}" y2="{bottom + 4}"/>')
        parts.append(f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{tick:,.10g}</text>')
    for tick in _powers(*ys) if chart.log else _ticks(*ys):
        y = down(tick)
        parts.append(f'<line class="grid" x1="{left}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}"/>')
        label = f"{tick:,.10g}".replace("-", "−")
        parts.append(f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{label}</text>')
    middle = (top + bottom) / 2
    return [
        *parts,
        f'<line class="axis" x1="{left}" y1="{bottom}" x2="{right}" y2="{bottom}"/>',
        f'<text x="{(left + right) / 2}" y="{_HEIGHT - 6}" text-anchor="middle">{escape(chart.x)}</text>',
        f'<text transform="translate(13 {middle}) rotate(-90)" text-anchor="middle">{escape(chart.y)}</text>',
    ]


def _ticks(low: float, high: float, whole: bool = False) -> list[float]:
    """About five round numbers in [low, high]."""
    rough = (high - low) / 5
    step = 10 ** math.floor(math.log10(rough))
    step = next(step * m for m in (1, 2, 5, 10) if step * m >= rough)
    step = max(step, 1) if whole else step
    first = math.ceil(low / step)
    return [round(k * step, 10) for k in range(first, math.floor(high / step + 1e-9) + 1)]


def _powers(low: float, high: float) -> list[float]:
    """1, 2, 5 times powers of ten between 10^low and 10^high; of many, the powers alone."""
    found = [m * 10.0**e for e in range(math.floor(low), math.ceil(high) + 1) for m in (1, 2, 5)]
    found = [value for value in found if low <= math.log10(value) <= high]
    return found if len(found) <= 8 else [value for value in found if f"{value:e}".startswith("1.0")]


def _thinned(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    step = max(1, len(points) // _MOST_POINTS)
    return points if step == 1 else [*points[:-1:step], points[-1]]


def _line(points: list[tuple[float, float]], slot: int) -> str:
    if len(points) == 1:
        return _dots(points, slot)
    return f'<polyline class="curve s{slot}" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in points)}"/>'


def _dots(points: list[tuple[float, float]], slot: int) -> str:
    return "".join(f'<circle class="dot s{slot}" cx="{x:.1f}" cy="{y:.1f}" r="3.2"/>' for x, y in points)


def _legend(chart: Chart) -> str:
    entries = []
    for curve in chart.curves:
        mark = (
            f'<circle class="dot s{curve.slot}" cx="12" cy="6" r="3.2"/>'
            if curve.dots
            else f'<line class="curve s{curve.slot}" x1="0" y1="6" x2="24" y2="6"/>'
        )
        entries.append((mark, curve.name))
    entries += [('<line class="rule" x1="0" y1="6" x2="24" y2="6"/>', rule.name) for rule in chart.rules]
    keys = (f'<li><svg width="24" height="12" aria-hidden="true">{m}</svg>{escape(n)}</li>' for m, n in entries)
    return f'<ul class="key">{"".join(keys)}</ul>'
