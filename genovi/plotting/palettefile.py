"""Palette files: the colours of a project's populations, the same in all of its figures.

A tab-separated table with a header, one row for each population (or group), that people may edit:

    population   name as in the label file
    group        what it belongs to; for the reader, labels decide (optional)
    color        fill, "#rrggbb" or a name that matplotlib knows
    edge         outline; blank for a thin one of a darker shade (optional)
    marker       a matplotlib marker such as o s ^ D v P X; blank for genovi's choice (optional)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from genovi.errors import ConfigError, DataError
from genovi.files import atomic_path, check_writable
from genovi.labels import SampleLabels
from genovi.plotting.coloring import check_styles, grouped_populations
from genovi.plotting.figures import counted
from genovi.plotting.palette import MARKERS, Palette, Style, make_palette, plain_style
from genovi.tables import read_lines, split_table

SUFFIXES = (".tsv", ".txt")
COLUMNS = ("population", "group", "color", "edge", "marker")


@dataclass(frozen=True)
class PaletteSummary:
    """A palette file that was written: its path, and how many populations and groups it names."""

    path: Path
    populations: int
    groups: int

    def lines(self) -> list[str]:
        """One line for people."""
        return [
            f"{self.path}: colours and markers of "
            f"{counted(self.populations, 'population')} in {counted(self.groups, 'group')}"
        ]


def write_palette(
    labels: SampleLabels, out: Path, *, color: str | None = None, group: str | None = None, force: bool = False
) -> PaletteSummary:
    """Write the styles that figures with these labels have, for people to change.

    Args:
        labels: Labels of samples.
        out: The palette file.
        color: Label column of populations; None takes the one that looks like it.
        group: Label column of what they belong to; None takes the one that looks like it.
        force: Overwrite ``out``.

    Raises:
        ConfigError: no such column, more populations than can be told apart, another suffix, or ``out`` exists.
        ResourceError: ``out`` cannot be written.
    """
    if Path(out).suffix.lower() not in SUFFIXES:
        fix = f"let --out end in one of {', '.join(SUFFIXES)}"
        raise ConfigError("a palette is a table", where=out, why="its columns have tabs between them", fix=fix)
    check_writable(Path(out), force)
    groups = grouped_populations(labels, color, group)
    check_styles(set(groups), color or labels.default_population_column(), labels.source)
    palette = make_palette(groups)
    rows = [_row(population, name, palette.styles[population]) for name, members in palette.groups.items()
            for population in members]  # fmt: skip
    heads = [name for name in palette.groups if name and name not in palette.styles]
    alone = make_palette(dict.fromkeys(heads, "")).styles
    rows += [_row(name, "", alone[name]) for name in heads]
    with atomic_path(Path(out)) as temporary:
        lines = ["\t".join(row) for row in [COLUMNS, *rows]]
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return PaletteSummary(Path(out), len(palette.styles), len(heads))


def _row(population: str, group: str, style: Style) -> tuple[str, ...]:
    return population, group, style.color, style.edge if style.outlined else "", style.marker


def read_palette(path: Path) -> dict[str, Style]:
    """Style of each population (and group) that a palette file names.

    Raises:
        DataError: it cannot be read, has no columns population and color, names a population twice, or holds what is
            no colour or marker.
    """
    path = Path(path)
    header, rows = split_table(read_lines(path), path)
    columns = {name.strip().lower().replace("colour", "color"): j for j, name in enumerate(header)}
    absent = [name for name in ("population", "color") if name not in columns]
    if absent:
        raise DataError(
            f"palette file has no column {absent[0]}",
            where=path,
            why=f"columns are {', '.join(header)}",
            fix="write one with genovi plot palette --labels PANEL --out palette.tsv",
        )
    styles: dict[str, Style] = {}
    for number, cells in rows:
        row = {name: cells[j] for name, j in columns.items()}
        where = f"{path}, line {number}"
        if row["population"] in styles:
            raise DataError(f"{row['population']} is there twice", where=where, fix="keep one of the lines")
        marker = _marker(row.get("marker", ""), len(styles), where)
        edge = _color(row["edge"], where) if row.get("edge") else None
        styles[row["population"]] = plain_style(_color(row["color"], where), marker, edge)
    return styles


def _color(text: str, where: str) -> str:
    from matplotlib.colors import is_color_like, to_hex

    if not is_color_like(text):
        raise DataError(f"{text!r} is no colour", where=where, fix="write #rrggbb or a name such as steelblue")
    return str(to_hex(text))


def _marker(text: str, place: int, where: str) -> str:
    from matplotlib.lines import Line2D

    if not text:
        return MARKERS[place % len(MARKERS)]
    filled = [str(marker) for marker in Line2D.filled_markers]
    if text not in filled:
        raise DataError(f"{text!r} is no filled marker", where=where, fix=f"write one of {' '.join(filled)}")
    return text


def unused(styles: Mapping[str, Style], palette: Palette) -> list[str]:
    """Populations of ``palette`` that a palette file does not name."""
    return [population for population in palette.styles if population not in styles]
