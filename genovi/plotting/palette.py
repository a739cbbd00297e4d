"""Colours and markers: a hue for each group; for each of its populations a way to fill it, and a marker.

Populations of one group differ in two things at once, so that they are told apart at print size while the hue stays
that of the group: the marker's shape, and how it is filled (solid, pale with an outline, light with a dark outline,
open). Shades alone, light or dark, would either be too close to one another or leave the family.

The hues are given in OKLCH. They were searched for such that both the fills and the outlines of different groups stay
apart, as OKLab distances, for normal vision, protanopia, deuteranopia and tritanopia (Machado et al. 2009, severity 1);
tests/plotting/test_palette.py holds how far. In alphabetical order the five groups of the 1000 Genomes Project get
their customary colours: AFR yellow, AMR red, EAS green, EUR blue, SAS purple.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from genovi.plotting.colors import Lch, mixed_with_white, to_hex, to_lch
from genovi.plotting.known import gnomad_colors, known_slots

HUES: tuple[Lch, ...] = (
    (0.700, 0.137, 78.0),
    (0.420, 0.123, 29.1),
    (0.580, 0.106, 178.0),
    (0.430, 0.231, 273.0),
    (0.780, 0.131, 300.0),
    (0.250, 0.050, 229.8),
    (0.468, 0.085, 317.8),
    (0.850, 0.145, 176.8),
    (0.678, 0.167, 277.6),
    (0.257, 0.074, 44.8),
    (0.339, 0.081, 242.0),
    (0.805, 0.150, 135.5),
)
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", "p", ">", "h", "*")
MOST_STYLES = 12 * len(HUES)  # with more of them nobody finds a population in the legend
_AREA = {"s": 0.80, "D": 0.68, "^": 1.05, "v": 1.05, "<": 1.05, ">": 1.05, "P": 1.15, "X": 1.15, "p": 1.1, "*": 1.5}
_PALE = 0.60  # share of white in a pale fill
_LIGHT = 0.50
# fills by place in the group: neighbours in the alphabet differ, and so do every fourth and every twelfth
_FILLS = (0, 1, 2, 3, 1, 0, 3, 2)
_DARK_OUTLINE = 0.20  # lightness
_OUTLINE_FROM = 0.62  # lightness from which a colour is too faint on paper to be an outline
_THIN, _BOLD = 0.06, 0.20  # width of outlines, in square roots of the marker's area
_TEXT = 0.46  # greatest lightness of text on white

NO_LABEL = "#9b9b9b"
BACKDROP = "#d2d2d2"


@dataclass(frozen=True)
class Style:
    """How the points of one population look.

    Attributes:
        color: Fill, "#rrggbb".
        edge: Outline, "#rrggbb".
        text: The same hue, dark enough to be read on white.
        marker: A matplotlib marker.
        area: Factor on the marker's area that makes all markers look equally large.
        line: Width of the outline, in square roots of the marker's area.
    """

    color: str
    edge: str
    text: str
    marker: str
    area: float = 1.0
    line: float = _THIN

    @property
    def outlined(self) -> bool:
        """Whether the outline is there to be seen, rather than to set off points from one another."""
        return self.line != _THIN

    @property
    def dot(self) -> str:
        """Colour of a point too small for an outline: white would not be seen."""
        return self.edge if self.color.lower() == "#ffffff" else self.color

    @property
    def small(self) -> Style:
        """A dot of the colour that a point too small for an outline has, for the legend."""
        return Style(self.dot, self.dot, self.text, "o", 0.7)

    @property
    def region(self) -> Style:
        """A patch that looks as the regions of a density do, for the legend."""
        return Style(mixed_with_white(self.text, 0.58), self.text, self.text, "s", _AREA["s"], 0.1)

    def faded(self, white: float) -> Style:
        """The same with a share of white in its colours."""
        return replace(self, color=mixed_with_white(self.color, white), edge=mixed_with_white(self.edge, white))


GREY = Style(NO_LABEL, NO_LABEL, "#555555", "o", 0.5)


@dataclass(frozen=True)
class Palette:
    """Styles of populations, arranged by group.

    Attributes:
        groups: Populations of each group, both in alphabetical order; the group "" holds those without one.
        styles: Style by population.
        heads: Text colour by group.
    """

    groups: dict[str, tuple[str, ...]]
    styles: dict[str, Style]
    heads: dict[str, str] = field(default_factory=dict)

    @property
    def grouped(self) -> bool:
        """Whether any population has a group."""
        return any(self.groups)


def make_palette(groups: Mapping[str, str], given: Mapping[str, Style] | None = None) -> Palette:
    """Give every population a style.

    The same mapping always gives the same styles, so figures made with one label file agree.

    Args:
        groups: Group of each population; "" where it has none. Without any group every population has a hue of its
            own for as long as there are hues, then another fill.
        given: Styles of populations, and of groups under their names, that are settled (from a palette file).
    """
    members: dict[str, list[str]] = {}
    for population in sorted(groups):
        members.setdefault(groups[population], []).append(population)
    names = sorted(members, key=lambda name: (name == "", name))
    styles: dict[str, Style] = {}
    heads: dict[str, str] = {}
    if names == [""]:
        hues = _base_colors(members[""])
        for i, population in enumerate(members[""]):
            rank = i // len(HUES) if len(hues) == len(HUES) else 0
            styles[population] = styled(hues[i % len(hues)], rank, i)
    else:
        hues = _base_colors([name for name in names if name])
        for slot, name in enumerate(names):
            base = hues[slot % len(hues)] if name else to_lch(NO_LABEL)
            for i, population in enumerate(members[name]):
                styles[population] = styled(base, i, i)
            heads[name] = readable(base)
    settled = dict(given or {})
    heads |= {name: settled[name].text for name in heads if name in settled}
    styles |= {population: settled[population] for population in styles if population in settled}
    return Palette({name: tuple(members[name]) for name in names}, styles, heads)


def _base_colors(names: list[str]) -> list[Lch]:
    """Base colour of each name: those that readers expect of known ones, else genovi's hues in order, all of them."""
    gnomad = gnomad_colors(names)
    if gnomad is not None:
        return [to_lch(gnomad[name]) for name in names]
    slots = known_slots(names)
    return list(HUES) if slots is None else [HUES[slots[name]] for name in names]


def hue(slot: int) -> str:
    """Base colour of the group at ``slot`` (from 0), "#rrggbb"; colours repeat after the twelfth."""
    return to_hex(HUES[slot % len(HUES)])


def styled(base: Lch, rank: int, marker: int) -> Style:
    """The style of the population at place ``rank`` (from 0) of a group of colour ``base``.

    Args:
        base: The group's colour.
        rank: Decides the fill: solid, pale, light with a dark outline, open, and again.
        marker: Place among the markers; after each round of them they meet other fills.
    """
    lightness, chroma, angle = base
    outline = to_hex((lightness - 0.14 if lightness > _OUTLINE_FROM else lightness, chroma, angle))
    solid = to_hex(base)
    color, edge, line = (
        (solid, to_hex((max(lightness - 0.22, 0.12), chroma, angle)), _THIN),
        (mixed_with_white(solid, _PALE), outline, _BOLD),
        (mixed_with_white(solid, _LIGHT), to_hex((_DARK_OUTLINE, chroma, angle)), _BOLD),
        ("#ffffff", outline, _BOLD),
    )[_FILLS[rank % 8] ^ (2 * (rank // 24 % 2))]
    symbol = MARKERS[marker % len(MARKERS)]
    return Style(color, edge, readable(base), symbol, _AREA.get(symbol, 1.0), line)


def plain_style(color: str, marker: str, edge: str | None = None) -> Style:
    """A style from a palette file: fill, marker and, where given, outline."""
    lightness, chroma, angle = to_lch(color)
    area = _AREA.get(marker, 1.0)
    if edge is None:
        thin = to_hex((max(lightness - 0.22, 0.12), chroma, angle))
        return Style(color, thin, readable(to_lch(color)), marker, area, _THIN)
    base = to_lch(edge)
    if base[0] < _OUTLINE_FROM / 2 and chroma > 0.01:  # a dark outline says little of the hue, a light fill half of it
        base = (2 * lightness - 1, 2 * chroma, angle)
    return Style(color, edge, readable(base), marker, area, _BOLD)


def readable(base: Lch) -> str:
    """A colour of the same hue that is read on white."""
    lightness, chroma, angle = base
    return to_hex((min(lightness - 0.08, _TEXT), chroma, angle))
