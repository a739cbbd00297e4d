"""What the ancestry figure shows, and what it refuses."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cohorts import POPULATIONS, cohort, drawn, ordered, panel, panels, texts
from matplotlib.collections import EllipseCollection

from genovi.embedding import Embedding
from genovi.errors import ConfigError, DataError, MismatchError, ResourceError
from genovi.labels import SampleLabels
from genovi.plotting.ancestry import ancestry_figure, plot_ancestry
from genovi.plotting.coloring import ColorBy
from genovi.plotting.composing import AncestryOptions
from genovi.plotting.figures import Sheet, style
from genovi.plotting.known import SUPER_POPULATIONS
from genovi.plotting.palette import GREY, make_palette
from genovi.plotting.panel import scatter

ELLIPSES = AncestryOptions(uncertainty="ellipse")


@pytest.fixture(autouse=True)
def fonts() -> Iterator[None]:
    with style():
        yield


def test_every_sample_is_drawn_once_in_the_style_of_its_population() -> None:
    embedding = cohort()
    figure, counts, unlabelled = ancestry_figure([embedding], labels=panel())
    (ax,) = panels(figure)
    np.testing.assert_allclose(drawn(ax), ordered(embedding.mean))
    palette = make_palette(POPULATIONS)
    pops = np.array(panel().columns["pop"])
    for population, look in palette.styles.items():
        np.testing.assert_allclose(drawn(ax, look), ordered(embedding.mean[pops == population]))
    assert counts == dict.fromkeys(POPULATIONS, 20)
    assert unlabelled == 0


def test_axes_have_equal_units_and_names() -> None:
    figure, _, _ = ancestry_figure([cohort()], labels=panel())
    (ax,) = panels(figure)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("Z1", "Z2")
    width, height = ax.get_window_extent().size
    x, y = np.ptp(ax.get_xlim()), np.ptp(ax.get_ylim())
    assert x / width == pytest.approx(y / height, rel=1e-9)


def test_every_population_is_named_beside_its_points_and_in_the_legend_with_counts() -> None:
    figure, _, _ = ancestry_figure([cohort()], labels=panel())
    said = texts(figure)
    for population in POPULATIONS:
        assert population in said
        assert f"{population} (20)" in said
    assert {"EUR (60)", "AFR (40)", "EAS (20)"} <= set(said)


def test_nothing_is_drawn_outside_the_page() -> None:
    for embeddings in ([cohort()], [cohort(), cohort(scale=1e-3)], [cohort(n_dimensions=1)], [cohort(n_dimensions=3)]):
        figure, _, _ = ancestry_figure(embeddings, labels=panel())
        page = figure.bbox
        for ax in figure.axes:
            if not ax.axison:
                for text in ax.texts:
                    box = text.get_window_extent()
                    assert box.x0 >= 0 and box.x1 <= page.x1 and box.y0 >= 0 and box.y1 <= page.y1, text.get_text()
            else:
                box = ax.get_tightbbox()
                assert box is not None
                assert box.x0 >= 0 and box.x1 <= page.x1 and box.y0 >= 0 and box.y1 <= page.y1


def test_samples_without_label_are_grey_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    labels = panel()
    fewer = SampleLabels(labels.samples[:-7], {k: v[:-7] for k, v in labels.columns.items()}, "panel")
    embedding = cohort()
    figure, counts, unlabelled = ancestry_figure([embedding], labels=fewer)
    assert unlabelled == 7
    assert counts["CHB"] == 13
    np.testing.assert_allclose(drawn(panels(figure)[0], GREY), ordered(embedding.mean[-7:]))
    assert "no label (7)" in texts(figure)
    assert "7 of 120 samples have no labels" in caplog.text


def test_colours_do_not_depend_on_which_samples_are_there() -> None:
    embedding = cohort()
    part = Embedding(embedding.samples[60:], embedding.mean[60:])  # no GBR, FIN, TSI
    all_of_them, _, _ = ancestry_figure([embedding], labels=panel())
    figure, _, _ = ancestry_figure([part], labels=panel())
    look = make_palette(POPULATIONS).styles["YRI"]
    np.testing.assert_allclose(drawn(panels(figure)[0], look), drawn(panels(all_of_them)[0], look))


def test_several_embeddings_stand_side_by_side_and_count_each_sample_once() -> None:
    embeddings = [cohort(method="ddvi"), cohort(method="umap", scale=3)]
    figure, counts, _ = ancestry_figure(embeddings, labels=panel())
    left, right = panels(figure)
    assert [left.get_title(loc="left"), right.get_title(loc="left")] == ["ddvi", "umap"]
    np.testing.assert_allclose(drawn(right), ordered(embeddings[1].mean))
    assert counts["GBR"] == 20


def test_panels_share_limits_when_asked_to() -> None:
    whole = cohort()
    part = Embedding(whole.samples[:20], whole.mean[:20], method="part")
    apart = panels(ancestry_figure([whole, part], labels=panel())[0])
    shared = panels(ancestry_figure([whole, part], labels=panel(), options=AncestryOptions(same_axes=True))[0])
    assert apart[0].get_xlim() != apart[1].get_xlim()
    assert shared[0].get_xlim() == shared[1].get_xlim()
    assert shared[0].get_ylim() == shared[1].get_ylim()
    assert all(low < z < high for (low, high), z in zip([shared[0].get_xlim()] * 120, whole.mean[:, 0], strict=True))


def test_spread_draws_one_standard_deviation_around_each_sample() -> None:
    embedding = cohort()
    figure, _, _ = ancestry_figure([embedding], labels=panel(), options=ELLIPSES)
    (ellipses,) = [c for c in panels(figure)[0].collections if isinstance(c, EllipseCollection)]
    assert len(ellipses.get_offsets()) == 120
    np.testing.assert_allclose(ellipses.get_widths(), 2 * 0.3)


def test_three_axes_are_drawn_as_all_pairs() -> None:
    embedding = cohort(n_dimensions=3)
    figure, _, _ = ancestry_figure([embedding], labels=panel())
    assert [(ax.get_xlabel(), ax.get_ylabel()) for ax in panels(figure)] == [("Z1", "Z2"), ("Z1", "Z3"), ("Z2", "Z3")]
    for ax, pair in zip(panels(figure), [(0, 1), (0, 2), (1, 2)], strict=True):
        np.testing.assert_allclose(drawn(ax), ordered(embedding.mean[:, pair]))


def test_the_axes_that_were_asked_for() -> None:
    embedding = cohort(n_dimensions=4)
    figure, _, _ = ancestry_figure([embedding], labels=panel(), options=AncestryOptions(axes=(3, 1)))
    (ax,) = panels(figure)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("Z4", "Z2")
    np.testing.assert_allclose(drawn(ax), ordered(embedding.mean[:, [3, 1]]))
    with pytest.raises(ConfigError, match="no axis 5"):
        ancestry_figure([embedding], labels=panel(), options=AncestryOptions(axes=(0, 4)))


def test_axes_that_are_not_drawn_are_named_in_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    ancestry_figure([cohort(n_dimensions=8)], labels=panel())
    assert "8 axes" in caplog.text


def test_one_axis_is_drawn_in_rows() -> None:
    embedding = cohort(n_dimensions=1)
    figure, _, _ = ancestry_figure([embedding], labels=panel(), options=ELLIPSES)
    (ax,) = panels(figure)
    assert [t.get_text() for t in ax.get_yticklabels()] == [
        f"{p} (20)" for p in ["LWK", "YRI", "CHB", "FIN", "GBR", "TSI"]
    ]
    np.testing.assert_allclose(np.sort(drawn(ax)[:, 0]), np.sort(embedding.mean[:, 0]))


def test_without_labels_samples_are_coloured_by_cluster() -> None:
    embedding = replace(cohort(), cluster=np.repeat([1, 2, 12], 40))
    _, counts, unlabelled = ancestry_figure([embedding])
    assert counts == {"cluster 01": 40, "cluster 02": 40, "cluster 12": 40}
    assert unlabelled == 0
    _, counts, unlabelled = ancestry_figure([cohort()])
    assert (len(counts), unlabelled) == (0, 120)


def test_a_population_in_two_groups_is_drawn_in_the_commoner_one(caplog: pytest.LogCaptureFixture) -> None:
    labels = panel()
    groups = ("AFR", *labels.columns["super_pop"][1:])
    figure, _, _ = ancestry_figure([cohort()], labels=replace(labels, columns={**labels.columns, "super_pop": groups}))
    assert "EUR (60)" in texts(figure)
    assert "1 of 6 values of pop have samples in several groups of super_pop (GBR)" in caplog.text


def test_80_populations_without_groups_and_odd_names() -> None:
    rng = np.random.default_rng(1)
    samples = tuple(f"s{i}" for i in range(400))
    names = [f"$x_{i} <&> a very long name of a population that goes on" for i in range(80)]
    labels = SampleLabels(samples, {"pop": tuple(names[i % 80] for i in range(400))}, "panel")
    figure, counts, _ = ancestry_figure([Embedding(samples, rng.normal(size=(400, 2)))], labels=labels)
    assert len(counts) == 80
    legend = [t for t in texts(figure) if t.endswith("(5)")]
    assert len(legend) == 80
    (ax,) = panels(figure)
    assert ax.get_window_extent().height > 0.4 * figure.bbox.height  # the legend does not crowd the panel out
    assert all(text.startswith("$x_") for text in legend)


@pytest.mark.parametrize("n", [1, 2])
def test_one_sample_and_samples_on_one_spot(n: int) -> None:
    embedding = Embedding(tuple(f"s{i}" for i in range(n)), np.zeros((n, 2)))
    figure, _, _ = ancestry_figure([embedding], labels=panel())
    assert len(drawn(panels(figure)[0])) == n


@pytest.mark.parametrize("suffix", [".png", ".pdf", ".svg"])
def test_the_same_input_gives_the_same_bytes(tmp_path: Path, suffix: str) -> None:
    one, two = tmp_path / f"1{suffix}", tmp_path / f"2{suffix}"
    for out in (one, two):
        summary = plot_ancestry([cohort()], out, labels=panel(), command="genovi plot ancestry x")
        assert (summary.samples, summary.populations, summary.unlabelled) == (120, 6, 0)
    assert one.read_bytes() == two.read_bytes()
    assert sorted(tmp_path.iterdir()) == [one, two]


def test_svg_text_stays_text_and_says_how_it_was_made(tmp_path: Path) -> None:
    out = tmp_path / "figure.svg"
    plot_ancestry([cohort()], out, labels=panel(), command="genovi plot ancestry toy --labels panel")
    svg = out.read_text(encoding="utf-8")
    assert re.search(r">GBR</text>", svg)
    assert re.search(r">GBR \(20\)</text>", svg)
    assert "genovi plot ancestry toy --labels panel" in svg
    assert "<dc:date>" not in svg


def test_many_points_become_a_bitmap_in_vector_files(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    n = 20_001
    embedding = Embedding(tuple(map(str, range(n))), rng.normal(size=(n, 2)))
    out = tmp_path / "figure.svg"
    plot_ancestry([embedding], out)
    assert "<image" in out.read_text(encoding="utf-8")
    assert out.stat().st_size < 2_000_000


@pytest.mark.parametrize("area", [0.8, 4.0])
def test_populations_are_seen_whatever_the_size_of_their_points(area: float) -> None:
    """Open markers are white with an outline, and points that are too small for one are not white."""
    from matplotlib.figure import Figure

    looks = make_palette(SUPER_POPULATIONS).styles.values()
    assert any(look.color == "#ffffff" for look in looks)
    ax = Figure().add_subplot()
    for look in looks:
        scatter(ax, np.zeros((3, 2)), look, area, False, 1.0)
    for drawn_points in ax.collections:
        outlined = drawn_points.get_linewidths()[0] > 0
        colors = [drawn_points.get_facecolors()[0, :3], drawn_points.get_edgecolors()[0, :3]][: 1 + outlined]
        assert min(color.min() for color in colors) < 0.93


def test_png_has_300_dots_per_inch_of_180_mm(tmp_path: Path) -> None:
    from PIL import Image

    out = tmp_path / "figure.png"
    plot_ancestry([cohort()], out, labels=panel())
    with Image.open(out) as image:
        assert image.size[0] == pytest.approx(180 / 25.4 * 300, abs=2)


def test_other_settings_of_matplotlib_do_not_matter(tmp_path: Path) -> None:
    import matplotlib

    plot_ancestry([cohort()], tmp_path / "1.png", labels=panel())
    with matplotlib.rc_context({"font.size": 20, "axes.facecolor": "black", "savefig.dpi": 50}):
        plot_ancestry([cohort()], tmp_path / "2.png", labels=panel())
    assert (tmp_path / "1.png").read_bytes() == (tmp_path / "2.png").read_bytes()


@pytest.mark.parametrize("name", ["figure.jpg", "figure", "figure.tsv"])
def test_unknown_suffix(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=r"\.png, \.pdf, \.svg"):
        plot_ancestry([cohort()], tmp_path / name, labels=panel())
    assert not list(tmp_path.iterdir())


def test_existing_file_is_kept_unless_forced(tmp_path: Path) -> None:
    out = tmp_path / "figure.png"
    out.write_text("mine")
    with pytest.raises(ConfigError, match="--force"):
        plot_ancestry([cohort()], out, labels=panel())
    assert out.read_text() == "mine"
    plot_ancestry([cohort()], out, labels=panel(), force=True)
    assert out.read_bytes().startswith(b"\x89PNG")


def test_unwritable_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ResourceError):
        plot_ancestry([cohort()], tmp_path / "file" / "figure.png", labels=panel())


def test_labels_of_other_samples(tmp_path: Path) -> None:
    labels = replace(panel(), samples=tuple(f"x{i}" for i in range(120)))
    with pytest.raises(MismatchError, match="no sample has labels"):
        plot_ancestry([cohort()], tmp_path / "figure.png", labels=labels)
    assert not list(tmp_path.iterdir())


def test_coordinates_that_are_not_finite(tmp_path: Path) -> None:
    embedding = cohort()
    embedding.mean[3, 1] = np.nan
    with pytest.raises(DataError, match="s3"):
        plot_ancestry([embedding], tmp_path / "figure.png", labels=panel())


def test_spread_without_standard_deviations(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no SD columns"):
        plot_ancestry([replace(cohort(), std=None)], tmp_path / "figure.png", labels=panel(), options=ELLIPSES)


def test_one_axis_beside_two() -> None:
    with pytest.raises(ConfigError, match="one axis"):
        ancestry_figure([cohort(), cohort(n_dimensions=1)], labels=panel())


def test_no_such_column() -> None:
    with pytest.raises(ConfigError, match="did you mean 'pop'"):
        ancestry_figure([cohort()], labels=panel(), options=AncestryOptions(by=ColorBy("popp")))


@pytest.mark.parametrize(("suffix", "lines"), [(".png", 1), (".pdf", 1), (".svg", 0)])
def test_letters_that_the_font_lacks_are_named_in_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, suffix: str, lines: int
) -> None:
    labels = SampleLabels(cohort().samples, {"pop": ("\u4e2d\u6587 \xe4\u2013", "B") * (len(cohort().samples) // 2)})
    figure = tmp_path / f"figure{suffix}"
    plot_ancestry([cohort()], figure, labels=labels)
    assert figure.stat().st_size > 1000
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == lines
    assert all("DejaVu Sans cannot draw \u4e2d \u6587: " in line and "--style FILE" in line for line in said)


def test_a_style_brings_the_font_that_has_them(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    family = tmp_path / "fonts.mplstyle"
    family.write_text("font.family: DejaVu Sans, Last Resort High-Efficiency\n")  # it comes with matplotlib
    labels = SampleLabels(cohort().samples, {"pop": ("\u4e2d", "B") * (len(cohort().samples) // 2)})
    options = AncestryOptions(sheet=Sheet(style=str(family)))
    plot_ancestry([cohort()], tmp_path / "figure.png", labels=labels, options=options)
    assert not [record for record in caplog.records if record.name == "genovi"]


def test_samples_outside_the_limits_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    embedding = cohort()
    x0, x1 = np.quantile(embedding.mean[:, 0], [0.25, 0.75])
    out = int(((embedding.mean[:, 0] < x0) | (embedding.mean[:, 0] > x1)).sum())
    some = AncestryOptions(limits=(x0, x1, -1e3, 1e3))
    summary = plot_ancestry([embedding], tmp_path / "some.svg", labels=panel(), options=some)
    assert summary.outside == out > 0
    assert summary.lines()[0].endswith(f" populations, {out} outside --limits")
    assert not caplog.records
    none = AncestryOptions(limits=(900.0, 901.0, 900.0, 901.0))
    summary = plot_ancestry([embedding], tmp_path / "none.svg", labels=panel(), options=none)
    assert summary.outside == len(embedding.samples)
    (said,) = (record.getMessage() for record in caplog.records)
    assert said.startswith(f"none of the {len(embedding.samples)} samples of ")
    assert f"from {embedding.mean[:, 0].min():.3g} to {embedding.mean[:, 0].max():.3g}" in said


def test_limits_count_a_sample_once_whatever_the_panels(tmp_path: Path) -> None:
    embedding = cohort()
    line = np.linspace(0.0, 1.0, len(embedding.samples))
    cube = replace(embedding, mean=np.column_stack([line, line, line]), std=None)
    summary = plot_ancestry([cube], tmp_path / "f.svg", options=AncestryOptions(limits=(0.0, 0.5, 0.0, 1.0)))
    assert summary.outside == (line > 0.5).sum()


@pytest.mark.parametrize("limits", [(0, np.inf, 0, 1), (-1e300, 1e300, 0, 1), (np.nan, 1, 0, 1), (1, 0, 0, 1)])
def test_limits_that_are_none(limits: tuple[float, float, float, float]) -> None:
    with pytest.raises(ConfigError, match="--limits"):
        AncestryOptions(limits=limits)


@pytest.mark.parametrize(("clusters", "said"), [(1, "1 cluster"), (3, "3 clusters")])
def test_clusters_are_not_called_populations(tmp_path: Path, clusters: int, said: str) -> None:
    embedding = replace(cohort(), cluster=np.arange(len(cohort().samples)) % clusters + 1)
    n = f"{len(embedding.samples):,}"
    for labels, by in ((None, ColorBy()), (None, ColorBy("CLUSTER")), (panel(), ColorBy("CLUSTER"))):
        options = AncestryOptions(by=by)
        summary = plot_ancestry([embedding], tmp_path / "f.svg", labels=labels, options=options, force=True)
        assert summary.lines() == [f"{tmp_path / 'f.svg'}: {n} samples, {said}"]


def test_a_query_without_labels_counts_no_populations(tmp_path: Path) -> None:
    query = replace(cohort(), samples=tuple(f"new{i}" for i in range(len(cohort().samples))), method="new")
    summary = plot_ancestry([cohort()], tmp_path / "f.svg", query=query.take(np.arange(1)))
    assert summary.lines() == [f"{tmp_path / 'f.svg'}: 1 sample"]
