"""The grouped legend outside the axes: a heading for each group with its count, its populations below.

Everything is laid out in points (1/72 inch) before anything is drawn, so that the figure can be made to fit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from genovi.plotting.figures import scaled, text_width
from genovi.plotting.palette import BACKDROP, GREY, Palette, Style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_FONT = 6.5
_LINE = 9.0
_SPACE = 5.0  # between groups
_SYMBOL = 10.0  # width kept for the marker
_COLUMN_GAP = 12.0
_LONGEST = 36  # characters


def font() -> float:
    """Font size of legends, points."""
    return scaled(_FONT)


def line() -> float:
    """Height of a line of a legend, points."""
    return scaled(_LINE)


@dataclass(frozen=True)
class Entry:
    """One line of the legend: a population, a heading or plain note (no style), or a space between groups (no text)."""

    text: str
    style: Style | None = None
    color: str = "black"
    plain: bool = False

    @property
    def height(self) -> float:
        return line() if self.text else _SPACE


@dataclass(frozen=True)
class Legend:
    """Entries arranged in columns.

    Attributes:
        columns: The entries of each column, top to bottom.
        widths: Width of each column, points.
        width: Of the whole, points.
        height: Of the tallest column, points.
    """

    columns: tuple[tuple[Entry, ...], ...]
    widths: tuple[float, ...]

    @property
    def width(self) -> float:
        return sum(self.widths) + _COLUMN_GAP * max(0, len(self.widths) - 1)

    @property
    def height(self) -> float:
        return max((sum(entry.height for entry in column) for column in self.columns), default=0.0)


def shorten(text: str) -> str:
    """``text``, cut where it is too long for a legend."""
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def legend_blocks(
    palette: Palette, counts: Mapping[str, int], unlabelled: int, reference: int = 0, note: str = ""
) -> list[list[Entry]]:
    """Entries of each group.

    Args:
        palette: Styles; populations without a sample are left out.
        counts: Samples of each population.
        unlabelled: Samples without a population.
        reference: Samples drawn in light grey behind the others.
        note: A last line, such as what ellipses show.
    """
    blocks = []
    for group, populations in palette.groups.items():
        shown = [p for p in populations if counts.get(p, 0)]
        if not shown:
            continue
        total = sum(counts[p] for p in shown)
        lines = [Entry(f"{shorten(p)} ({counts[p]:,})", palette.styles[p]) for p in shown]
        if palette.grouped:
            lines.insert(0, Entry(f"{shorten(group or 'no group')} ({total:,})", None, palette.heads[group]))
        blocks.append(lines)
    if unlabelled:
        blocks.append([Entry(f"no label ({unlabelled:,})", GREY)])
    if reference:
        blocks.append([Entry(f"reference ({reference:,})", Style(BACKDROP, BACKDROP, BACKDROP, "o", 0.6))])
    if note:
        blocks.append([Entry(note, plain=True)])
    return blocks


def arrange(blocks: list[list[Entry]], max_height: float) -> Legend:
    """Put blocks into as few columns as keep every column at most ``max_height`` points tall, then even them out.

    A group is kept together where it fits into a column; a longer one is continued in the next.
    """
    whole = _fill(blocks, max_height)
    total = sum(entry.height for column in whole for entry in column)
    if len(whole) > 1:
        longest = max(sum(entry.height for entry in block) for block in blocks)
        lowest = max(total / len(whole), longest if longest <= max_height else 0.0)
        for height in range(int(lowest), int(max_height), max(1, int(line()))):
            evened = _fill(blocks, height)
            if len(evened) <= len(whole):
                whole = evened
                break
    widths = tuple(max(_width(entry) for entry in column) for column in whole)
    return Legend(tuple(tuple(column) for column in whole), widths)


def _fill(blocks: list[list[Entry]], max_height: float) -> list[list[Entry]]:
    columns: list[list[Entry]] = []
    used = 0.0
    for block in blocks:
        size = sum(entry.height for entry in block)
        if columns and columns[-1] and used + _SPACE + size <= max_height:
            columns[-1].append(Entry(""))
            used += _SPACE
        elif not columns or size <= max_height or used + _SPACE + 3 * line() > max_height:
            columns.append([])
            used = 0.0
        else:
            columns[-1].append(Entry(""))
            used += _SPACE
        for entry in block:
            if used + entry.height > max_height and columns[-1]:
                columns.append([])
                used = 0.0
            columns[-1].append(entry)
            used += entry.height
    return columns


def _width(entry: Entry) -> float:
    if entry.style is None:
        return text_width(entry.text, font(), bold=not entry.plain)
    return _SYMBOL + text_width(entry.text, font())


def draw_legend(ax: Axes, legend: Legend, left: float, top: float, area: float = 16.0) -> None:
    """Draw ``legend`` with its upper left corner at (``left``, ``top``).

    Args:
        ax: Axes whose data units are points of the figure.
        legend: What to draw.
        left: Points from the figure's left edge.
        top: Points from the figure's lower edge.
        area: Of the markers, square points.
    """
    x = left
    for column, width in zip(legend.columns, legend.widths, strict=True):
        y = top
        for entry in column:
            middle = y - entry.height / 2
            if entry.style is not None:
                _symbol(ax, entry.style, x + 3.5, middle, area)
                ax.text(x + _SYMBOL, middle, entry.text, size=font(), va="center_baseline", parse_math=False)
            elif entry.text:
                weight = "normal" if entry.plain else "bold"
                text = ax.text(
                    x, middle, entry.text, size=font(), weight=weight, va="center_baseline", parse_math=False
                )
                if entry.color != "black":
                    text.set_color(entry.color)
            y -= entry.height
        x += width + _COLUMN_GAP


def _symbol(ax: Axes, style: Style, x: float, y: float, area: float) -> None:
    ax.scatter(
        [x],
        [y],
        s=area * style.area,
        c=style.color,
        marker=style.marker,
        edgecolors=style.edge,
        linewidths=style.line * area**0.5,
    )
