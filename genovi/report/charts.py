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
    """

    title: str
    x: str
    y: str
    curves: Sequence[Curve]
    rules: Sequence[Rule] = ()
    log: bool = False


@dataclass(frozen=True)
class _Frame:
    """Where numbers lie on paper; y0 and y1 are powers of ten where the axis is logarithmic."""

    x0: float
    x1: float
    y0: float
    y1: float
    log: bool

    def across(self, x: float) -> float:
        return _LEFT + (x - self.x0) / (self.x1 - self.x0) * (_WIDTH - _RIGHT - _LEFT)

    def down(self, y: float) -> float:
        y = math.log10(y) if self.log else y
        return _HEIGHT - _BOTTOM - (y - self.y0) / (self.y1 - self.y0) * (_HEIGHT - _BOTTOM - _TOP)


def draw(chart: Chart) -> str:
    """The chart as a figure element, with its legend."""
    frame = _frame(chart)
    left, right, top, bottom = _LEFT, _WIDTH - _RIGHT, _TOP, _HEIGHT - _BOTTOM
    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(chart.title)}">',
        *_axes(chart, frame),
        f'<svg x="{left}" y="{top}" width="{right - left}" height="{bottom - top}" '  # clips what lies outside
        f'viewBox="{left} {top} {right - left} {bottom - top}">',
    ]
    for rule in chart.rules:
        x1, x2 = (left, right) if rule.x is None else (frame.across(rule.x),) * 2
        y1, y2 = (top, bottom) if rule.y is None else (frame.down(rule.y),) * 2
        parts.append(f'<line class="rule" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>')
    for curve in chart.curves:
        seen = np.isfinite(curve.y)
        points = [
            (frame.across(float(x)), frame.down(float(y))) for x, y in zip(curve.x[seen], curve.y[seen], strict=True)
        ]
        parts.append(_dots(points, curve.slot) if curve.dots else _line(_thinned(points), curve.slot))
    return "".join(['<figure class="chart">', _legend(chart), *parts, "</svg></svg></figure>"])


def _frame(chart: Chart) -> _Frame:
    x = np.concatenate([curve.x for curve in chart.curves])
    late = [curve.y[0 if curve.dots else len(curve.y) // 20 :] for curve in chart.curves]  # without the first fall
    y = np.concatenate([part[np.isfinite(part)] for part in late])
    y = np.concatenate([y, [rule.y for rule in chart.rules if rule.y is not None]]).astype(np.float64)
    y = np.log10(y) if chart.log else y
    low, high = (float(y.min()), float(y.max())) if len(y) else (0.0, 1.0)
    margin = 0.06 * (high - low) or 0.5
    aside = 0.0 if chart.curves[0].dots is False else 0.02 * float(np.ptp(x))  # room for whole dots at the ends
    aside = aside if np.ptp(x) else 0.5
    return _Frame(float(x.min()) - aside, float(x.max()) + aside, low - margin, high + margin, chart.log)


def _axes(chart: Chart, frame: _Frame) -> list[str]:
    left, right, top, bottom = _LEFT, _WIDTH - _RIGHT, _TOP, _HEIGHT - _BOTTOM
    parts = []
    for tick in _ticks(frame.x0, frame.x1, whole=True):
        x = frame.across(tick)
        parts.append(f'<line class="axis" x1="{x:.1f}" y1="{bottom}" x2="{x:.1f}" y2="{bottom + 4}"/>')
        parts.append(f'<text x="{x:.1f}" y="{bottom + 17}" text-anchor="middle">{_number(tick)}</text>')
    for tick in _powers(frame.y0, frame.y1) if chart.log else _ticks(frame.y0, frame.y1):
        y = frame.down(tick)
        parts.append(f'<line class="grid" x1="{left}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{_number(tick)}</text>')
    middle = (top + bottom) / 2
    return [
        *parts,
        f'<line class="axis" x1="{left}" y1="{bottom}" x2="{right}" y2="{bottom}"/>',
        f'<text x="{(left + right) / 2}" y="{_HEIGHT - 6}" text-anchor="middle">{escape(chart.x)}</text>',
        f'<text transform="translate(13 {middle}) rotate(-90)" text-anchor="middle">{escape(chart.y)}</text>',
    ]


def _number(value: float) -> str:
    return f"{value:,.10g}".replace("-", "\N{MINUS SIGN}")


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
