"""Groups stay apart for colour-blind readers, and every population of a group looks different."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genovi.plotting.palette import hue, make_palette

# Machado, Oliveira and Fernandes (2009), severity 1, on linear RGB
VISION = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
}
TO_LMS = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)
PANEL = {
    "AFR": "ACB ASW ESN GWD LWK MSL YRI",
    "AMR": "CLM MXL PEL PUR",
    "EAS": "CDX CHB CHS JPT KHV",
    "EUR": "CEU FIN GBR IBS TSI",
    "SAS": "BEB GIH ITU PJL STU",
}
THOUSAND_GENOMES = {population: group for group, line in PANEL.items() for population in line.split()}


def seen(color: str, vision: str) -> np.ndarray:
    """A colour "#rrggbb" as somebody sees it, in OKLab."""
    rgb = np.array([int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return TO_LAB @ np.cbrt(TO_LMS @ np.clip(VISION[vision] @ linear, 0, 1))


def closest(colors: list[str], vision: str) -> float:
    return min(np.linalg.norm(seen(a, vision) - seen(b, vision)) for a, b in combinations(colors, 2))


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize(("n", "distance"), [(5, 0.17), (8, 0.14), (12, 0.10)])
def test_hues_of_groups_stay_apart(vision: str, n: int, distance: float) -> None:
    assert closest([hue(slot) for slot in range(n)], vision) >= distance


def test_the_measure_notices_colours_that_deuteranopes_confuse() -> None:
    red, green = "#c8503c", "#7d7a1e"
    assert closest([red, green], "normal") > 0.1
    assert closest([red, green], "deuteranopia") < 0.07


@pytest.mark.parametrize("vision", VISION)
def test_shades_of_one_group_are_not_taken_for_another_group(vision: str) -> None:
    styles = make_palette(THOUSAND_GENOMES).styles
    for a, b in combinations(THOUSAND_GENOMES, 2):
        if THOUSAND_GENOMES[a] != THOUSAND_GENOMES[b]:
            apart = np.linalg.norm(seen(styles[a].color, vision) - seen(styles[b].color, vision))
            assert apart > 0.03, (a, b)  # 0.02 is just noticeable


def test_the_usual_colours_of_the_1000_genomes_groups() -> None:
    names = {"AFR": (75, 95), "AMR": (25, 45), "EAS": (160, 180), "EUR": (255, 275), "SAS": (300, 320)}
    palette = make_palette(THOUSAND_GENOMES)
    for group, (low, high) in names.items():
        for population in palette.groups[group]:
            _, a, b = seen(palette.styles[population].color, "normal")
            assert low <= np.degrees(np.arctan2(b, a)) % 360 <= high, population


def test_populations_of_a_group_differ_in_marker_and_neighbours_in_shade() -> None:
    palette = make_palette(THOUSAND_GENOMES)
    for populations in palette.groups.values():
        styles = [palette.styles[p] for p in populations]
        assert len({s.marker for s in styles}) == len(styles)
        for one, next_one in pairwise(styles):
            assert abs(seen(one.color, "normal")[0] - seen(next_one.color, "normal")[0]) > 0.04


def test_text_is_dark_enough_to_read_on_white() -> None:
    for style in make_palette(THOUSAND_GENOMES).styles.values():
        assert seen(style.text, "normal")[0] < 0.5


def test_without_groups_every_population_has_a_hue_of_its_own() -> None:
    palette = make_palette({f"p{i:02d}": "" for i in range(12)})
    assert not palette.grouped
    assert len({s.color for s in palette.styles.values()}) == 12


def test_the_order_of_the_mapping_does_not_matter() -> None:
    backwards = dict(reversed(THOUSAND_GENOMES.items()))
    assert make_palette(backwards).styles == make_palette(THOUSAND_GENOMES).styles


@given(
    st.dictionaries(st.text(min_size=1, max_size=4), st.sampled_from([f"g{i}" for i in range(30)] + [""]), max_size=90)
)
def test_every_population_gets_a_style_whatever_there_is(groups: dict[str, str]) -> None:
    palette = make_palette(groups)
    assert set(palette.styles) == set(groups)
    assert sorted(p for members in palette.groups.values() for p in members) == sorted(groups)
    assert all(len(s.color) == len(s.edge) == len(s.text) == 7 for s in palette.styles.values())
    by_hue: dict[str, list[tuple[str, str]]] = {}
    for population, style in palette.styles.items():
        by_hue.setdefault(groups[population], []).append((style.color, style.marker))
    for looks in by_hue.values():
        if len(looks) <= 12:
            assert len(set(looks)) == len(looks)
