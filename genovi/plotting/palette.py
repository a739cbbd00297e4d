"""Colours and markers: one hue for each group, one shade and marker for each of its populations.

The hues are given in OKLCH (lightness L in [0, 1], chroma C, hue h in degrees; B. Ottosson, "A perceptual color space
for image processing", 2020). They were chosen to stay apart, as OKLab distances, for normal vision, protanopia and
deuteranopia (Machado et al. 2009, severity 1): at least 0.17 between any two of the first five, 0.14 between the first
eight and 0.10 between all twelve. In alphabetical order the five groups of the 1000 Genomes Project get their
customary colours: AFR yellow, AMR red, EAS green, EUR blue, SAS purple.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

# (L, C, h)
_HUES = (
    (0.79, 0.158, 85.0),
    (0.44, 0.150, 35.0),
    (0.609, 0.100, 171.3),
    (0.476, 0.200, 267.4),
    (0.72, 0.190, 312.0),
    (0.479, 0.072, 219.7),
    (0.324, 0.150, 335.0),
    (0.82, 0.087, 335.7),
    (0.549, 0.119, 80.0),
    (0.22, 0.0, 276.3),
    (0.85, 0.080, 117.8),
    (0.684, 0.157, 60.0),
)
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p", "<", ">", "h", "*")
_AREA = {"s": 0.80, "D": 0.68, "^": 1.05, "v": 1.05, "<": 1.05, ">": 1.05, "P": 1.15, "X": 1.15, "p": 1.1, "*": 1.5}
_SHADES = 4  # more levels of lightness in one hue are not told apart; the markers do the rest
_SPAN = 0.20  # of lightness, between the darkest and the lightest shade of a group

NO_LABEL = "#9b9b9b"


@dataclass(frozen=True)
class Style:
    """How the points of one population look.

    Attributes:
        color: Fill, "#rrggbb".
        edge: Outline, a darker shade of the fill.
        text: The same hue, dark enough to be read on white.
        marker: A matplotlib marker.
        area: Factor on the marker's area that makes all markers look equally large.
    """

    color: str
    edge: str
    text: str
    marker: str
    area: float = 1.0


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
    heads: dict[str, str]

    @property
    def grouped(self) -> bool:
        """Whether any population has a group."""
        return any(self.groups)


def make_palette(groups: Mapping[str, str]) -> Palette:
    """Give every population a style.

    The same mapping always gives the same styles, so figures made with one label file agree.

    Args:
        groups: Group of each population; "" where it has none. Without any group every population has a hue of its
            own for as long as there are hues, then a shade.
    """
    members: dict[str, list[str]] = {}
    for population in sorted(groups):
        members.setdefault(groups[population], []).append(population)
    names = sorted(members, key=lambda name: (name == "", name))
    styles: dict[str, Style] = {}
    heads: dict[str, str] = {}
    if names == [""]:
        populations = members[""]
        levels = -(-len(populations) // len(_HUES))
        for i, population in enumerate(populations):
            styles[population] = _style(i % len(_HUES), i // len(_HUES), levels, i)
    else:
        for slot, name in enumerate(names):
            for i, population in enumerate(members[name]):
                styles[population] = _style(slot, i, len(members[name]), i)
            heads[name] = _readable(slot)
    return Palette({name: tuple(members[name]) for name in names}, styles, heads)


def hue(slot: int) -> str:
    """Base colour of the group at ``slot`` (from 0), "#rrggbb"; colours repeat after the twelfth."""
    return _hex(*_HUES[slot % len(_HUES)])


def _style(slot: int, rank: int, n: int, marker: int) -> Style:
    lightness, chroma, angle = _HUES[slot % len(_HUES)]
    levels = min(n, _SHADES)
    # neighbours in the alphabet are neighbours in the legend: give them shades far apart (0, 2, 1, 3)
    level = ((0, 2, 1, 3) if levels == _SHADES else range(levels))[rank % levels]
    offset = (level / (levels - 1) - 0.5) * _SPAN if levels > 1 else 0.0
    # light hues grow darker and dark hues lighter rather than leave the range that shows on paper
    centre = lightness + 0.25 * (0.6 - lightness) if levels > 1 else lightness
    shade = min(max(centre + offset, 0.20), 0.86)
    symbol = _MARKERS[marker % len(_MARKERS)]
    return Style(
        color=_hex(shade, chroma, angle),
        edge=_hex(max(shade - 0.22, 0.12), chroma, angle),
        text=_readable(slot),
        marker=symbol,
        area=_AREA.get(symbol, 1.0),
    )


def _readable(slot: int) -> str:
    lightness, chroma, angle = _HUES[slot % len(_HUES)]
    return _hex(min(lightness - 0.08, 0.46), chroma, angle)


def _hex(lightness: float, chroma: float, angle: float) -> str:
    """OKLCH to "#rrggbb"; chroma is reduced until the colour can be shown."""
    while True:
        rgb = _linear_rgb(lightness, chroma, angle)
        if chroma < 1e-3 or all(-1e-4 <= value <= 1 + 1e-4 for value in rgb):
            break
        chroma *= 0.97
    return "#" + "".join(f"{round(255 * _gamma(min(max(value, 0.0), 1.0))):02x}" for value in rgb)


def _linear_rgb(lightness: float, chroma: float, angle: float) -> tuple[float, float, float]:
    a, b = chroma * math.cos(math.radians(angle)), chroma * math.sin(math.radians(angle))
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    return (
        4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short,
    )


def _gamma(value: float) -> float:
    return 12.92 * value if value <= 0.0031308 else 1.055 * value ** (1 / 2.4) - 0.055
