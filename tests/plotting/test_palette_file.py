"""Palette files: what is written is what figures show, and what people type into them is checked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cohorts import POPULATIONS, cohort, drawn, panel, panels
from matplotlib.markers import MarkerStyle

from genovi.errors import ConfigError, DataError, ResourceError
from genovi.plotting.ancestry import ancestry_figure
from genovi.plotting.coloring import ColorBy
from genovi.plotting.composing import AncestryOptions
from genovi.plotting.palette import MARKERS, make_palette
from genovi.plotting.palettefile import COLUMNS, read_palette, write_palette


def rgb(color: str) -> np.ndarray:
    return np.array([int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)])


def test_what_is_written_is_what_figures_show(tmp_path: Path) -> None:
    summary = write_palette(panel(), tmp_path / "palette.tsv")
    assert (summary.populations, summary.groups) == (6, 3)
    styles = read_palette(tmp_path / "palette.tsv")
    automatic = make_palette(POPULATIONS).styles
    assert set(styles) == {*POPULATIONS, "EUR", "AFR", "EAS"}
    for population, style in automatic.items():
        again = styles[population]
        assert (again.color, again.marker, again.outlined) == (style.color, style.marker, style.outlined)
        if style.outlined:
            assert again.edge == style.edge
        # names keep the colour of the family, whatever the outline
        written, automatic_text = (rgb(one.text) for one in (again, style))
        np.testing.assert_allclose(written, automatic_text, atol=0.12)
    lines = (tmp_path / "palette.tsv").read_text().splitlines()
    assert lines[0].split("\t") == list(COLUMNS)


def test_a_palette_decides(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "mine.tsv"
    path.write_text("population\tcolour\tmarker\nGBR\tSteelBlue\tD\nEUR\t#123456\t\n")
    styles = read_palette(path)
    assert (styles["GBR"].color, styles["GBR"].marker) == ("#4682b4", "D")
    figure, _, _ = ancestry_figure([cohort()], labels=panel(), options=AncestryOptions(by=ColorBy(styles=styles)))
    assert len(drawn(panels(figure)[0], styles["GBR"])) == 20
    assert "5 of 6 populations are not in the palette file" in caplog.text
    palette = make_palette(POPULATIONS, styles)
    assert palette.heads["EUR"] == styles["EUR"].text
    assert palette.styles["FIN"] == make_palette(POPULATIONS).styles["FIN"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("pop\tcolor\nGBR\tred\n", "no column population"),
        ("population\tshape\nGBR\to\n", "no column color"),
        ("population\tcolor\nGBR\treddish\n", "'reddish' is no colour"),
        ("population\tcolor\tedge\nGBR\tred\tnone at all\n", "'none at all' is no colour"),
        ("population\tcolor\tmarker\nGBR\tred\tx\n", "'x' is no filled marker"),
        ("population\tcolor\nGBR\tred\nGBR\tblue\n", "GBR is there twice"),
        ("", "empty"),
        ("population\n", "at least two columns"),
    ],
)
def test_files_that_are_no_palettes(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "mine.tsv"
    path.write_text(text)
    with pytest.raises(DataError, match=said):
        read_palette(path)
    with pytest.raises(DataError, match="no such file"):
        read_palette(tmp_path / "absent")


def test_all_markers_can_be_filled() -> None:
    assert all(MarkerStyle(marker).is_filled() for marker in MARKERS)
    assert len(set(MARKERS)) == 12


def test_writing_refuses(tmp_path: Path) -> None:
    (tmp_path / "there.tsv").write_text("mine")
    with pytest.raises(ConfigError, match="--force"):
        write_palette(panel(), tmp_path / "there.tsv")
    with pytest.raises(ResourceError):
        write_palette(panel(), tmp_path / "there.tsv" / "x.tsv")
    with pytest.raises(ConfigError, match="no label column 'x'"):
        write_palette(panel(), tmp_path / "new.tsv", color="x")
    write_palette(panel(), tmp_path / "there.tsv", force=True)
    assert (tmp_path / "there.tsv").read_text().startswith("population\t")
