"""Groups stay apart for colour-blind readers, and every population of a group looks different."""

from __future__ import annotations

import logging
from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genovi.labels import SampleLabels
from genovi.plotting.coloring import grouped_populations
from genovi.plotting.palette import HUES, hue, make_palette, styled

# Machado, Oliveira and Fernandes (2009), severity 1, on linear RGB
VISION = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
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
@pytest.mark.parametrize(("n", "distance"), [(5, 0.13), (8, 0.115), (12, 0.088)])
def test_fills_of_groups_stay_apart(vision: str, n: int, distance: float) -> None:
    assert closest([hue(slot) for slot in range(n)], vision) >= distance


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize(("n", "distance"), [(5, 0.117), (8, 0.115), (12, 0.078)])
def test_outlines_of_groups_stay_apart(vision: str, n: int, distance: float) -> None:
    outlines = [styled(HUES[slot], rank=3, marker=0).edge for slot in range(n)]
    assert closest(outlines, vision) >= distance


def test_the_measure_notices_colours_that_deuteranopes_confuse() -> None:
    red, green = "#c8503c", "#7d7a1e"
    assert closest([red, green], "normal") > 0.1
    assert closest([red, green], "deuteranopia") < 0.07


@pytest.mark.parametrize("vision", VISION)
def test_populations_of_different_groups_differ_in_fill_or_outline(vision: str) -> None:
    styles = make_palette(THOUSAND_GENOMES).styles
    for a, b in combinations(THOUSAND_GENOMES, 2):
        if THOUSAND_GENOMES[a] != THOUSAND_GENOMES[b]:
            fill = np.linalg.norm(seen(styles[a].color, vision) - seen(styles[b].color, vision))
            outline = np.linalg.norm(seen(styles[a].edge, vision) - seen(styles[b].edge, vision))
            assert max(fill, outline) > 0.06, (a, b)  # 0.02 is just noticeable


def test_the_usual_colours_of_the_1000_genomes_groups() -> None:
    names = {"AFR": (70, 95), "AMR": (25, 45), "EAS": (160, 180), "EUR": (255, 275), "SAS": (295, 320)}
    for hidden in ([], ["AFR"], ["AFR", "EAS", "SAS"]):  # whichever groups there are
        palette = make_palette({p: g for p, g in THOUSAND_GENOMES.items() if g not in hidden})
        for group, (low, high) in names.items():
            if group not in hidden:
                _, a, b = seen(palette.styles[palette.groups[group][0]].color, "normal")
                assert low <= np.degrees(np.arctan2(b, a)) % 360 <= high, group


def test_populations_of_a_group_differ_in_marker_and_neighbours_in_fill() -> None:
    palette = make_palette(THOUSAND_GENOMES)
    for populations in palette.groups.values():
        styles = [palette.styles[p] for p in populations]
        assert len({s.marker for s in styles}) == len(styles)
        for one, next_one in pairwise(styles):
            apart = np.linalg.norm(seen(one.color, "normal") - seen(next_one.color, "normal"))
            outlines = np.linalg.norm(seen(one.edge, "normal") - seen(next_one.edge, "normal"))
            assert max(apart, outlines) > 0.08


def test_48_populations_of_one_group_all_look_different() -> None:
    styles = make_palette({f"p{i:02d}": "g" for i in range(48)}).styles.values()
    assert len({(s.color, s.edge, s.marker) for s in styles}) == 48


def test_gnomad_groups_have_the_colours_of_its_browser() -> None:
    styles = make_palette(dict.fromkeys(["afr", "nfe", "fin", "eas", "sas", "remaining"], "")).styles
    assert styles["nfe"].color == "#6aa5cd"
    assert styles["afr"].color == "#941494"
    # in capitals they are groups of the 1000 Genomes Project
    assert make_palette(dict.fromkeys(["AFR", "EUR", "EAS"], "")).styles["AFR"].color == hue(0)


def test_regions_are_known_by_name() -> None:
    heads = make_palette({"x": "Sub-Saharan Africa", "y": "Europe", "z": "East Asia"}).heads
    assert heads["Europe"] == make_palette({"x": "EUR"}).heads["EUR"]
    mixed = make_palette({"x": "Europe", "y": "Elsewhere"})  # not all are known: in order
    assert mixed.styles["y"].color == hue(0)


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
    by_hue: dict[str, list[tuple[str, str, str]]] = {}
    for population, style in palette.styles.items():
        by_hue.setdefault(groups[population], []).append((style.color, style.edge, style.marker))
    for looks in by_hue.values():
        if len(looks) <= 12:
            assert len(set(looks)) == len(looks)


def labelled(*populations: str) -> SampleLabels:
    """Two samples of each."""
    names = [name for name in populations for _ in range(2)]
    return SampleLabels(tuple(f"s{i}" for i in range(len(names))), {"pop": tuple(names)}, "mine.tsv")


def test_populations_of_hapmap_find_their_group() -> None:
    groups = grouped_populations(labelled("CEU", "YRI", "ASW", "MEX", "CHD", "MKK"))
    assert groups == {"CEU": "EUR", "YRI": "AFR", "ASW": "AFR", "MEX": "AMR", "CHD": "EAS", "MKK": "AFR"}


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (
            ("CEU", "YRI", "Bavarians"),
            "2 of 3 values of pop are populations of 1000 Genomes, but not Bavarians: none is",
        ),
        (("CEU", "YRI", "MXL"), ""),
        (("FIN", "Bavarians", "Saxons"), ""),  # a chance agreement
        (("Bavarians", "Saxons"), ""),
    ],
)
def test_a_name_that_keeps_others_from_their_group_is_said(
    names: tuple[str, ...], said: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "genovi"):
        groups = grouped_populations(labelled(*names))
    assert all(groups.values()) == ("MXL" in names)
    assert caplog.text.count("1000 Genomes") == bool(said)
    assert said in caplog.text
