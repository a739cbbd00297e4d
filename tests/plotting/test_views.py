"""Other views of an embedding: colour bars, facets, highlighted samples, new samples over a reference, uncertainty."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cohorts import POPULATIONS, cohort, drawn, ordered, panel, panels, texts
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.collections import EllipseCollection, PathCollection
from matplotlib.text import Text
from scipy.stats import multivariate_normal

from genovi.embedding import Embedding
from genovi.errors import ConfigError, DataError, MismatchError
from genovi.labels import SampleLabels
from genovi.plotting.ancestry import ancestry_figure
from genovi.plotting.coloring import ColorBy, Coloring
from genovi.plotting.composing import AncestryOptions, Turned, key_of
from genovi.plotting.figures import Sheet, style
from genovi.plotting.palette import BACKDROP, GREY, MOST_STYLES, Style, make_palette
from genovi.plotting.uncertainty import DRAWS, covariances, density_grid, draw_samples, mass_level

BACK = Style(BACKDROP, BACKDROP, BACKDROP, "o")


@pytest.fixture(autouse=True)
def fonts() -> Iterator[None]:
    with style():
        yield


def with_column(values: list[str], name: str = "age") -> SampleLabels:
    labels = panel()
    return replace(labels, columns={**labels.columns, name: tuple(values)})


def numbered(figure_axes: list) -> list[PathCollection]:
    return [
        c for ax in figure_axes for c in ax.collections if isinstance(c, PathCollection) and c.get_array() is not None
    ]


def test_numbers_get_a_colour_bar() -> None:
    values = [f"{i / 7:.3f}" for i in range(120)]
    values[3], values[4] = "NA", ""
    figure, counts, unlabelled = ancestry_figure(
        [cohort()], labels=with_column(values), options=AncestryOptions(by=ColorBy("age"))
    )
    (points,) = numbered(panels(figure))
    assert (points.norm.vmin, points.norm.vmax) == (0.0, 17.0)
    assert len(points.get_offsets()) == 118
    assert len(drawn(panels(figure)[0], GREY)) == 2
    assert "age" in [ax.get_title(loc="left") for ax in figure.axes]
    assert "no label (2)" in texts(figure)
    assert {"GBR", "CHB"} <= set(texts(figure))  # populations are still named
    assert (sum(counts.values()), unlabelled) == (120, 2)


def test_numbers_that_are_few_codes_are_categories() -> None:
    values = [str(i % 4) for i in range(120)]
    figure, counts, _ = ancestry_figure(
        [cohort()], labels=with_column(values), options=AncestryOptions(by=ColorBy("age"))
    )
    assert not numbered(panels(figure))
    assert counts == dict.fromkeys("0123", 30)
    figure, _, _ = ancestry_figure(
        [cohort()], labels=with_column(values), options=AncestryOptions(by=ColorBy("age", kind="numbers"))
    )
    assert numbered(panels(figure))


def test_columns_of_the_embedding_itself() -> None:
    embedding = replace(cohort(), misfit=np.linspace(0.5, 3.0, 120))
    figure, _, _ = ancestry_figure([embedding], options=AncestryOptions(by=ColorBy("MISFIT")))
    (points,) = numbered(panels(figure))
    assert (points.norm.vmin, points.norm.vmax) == (0.5, 3.0)
    with pytest.raises(ConfigError, match="no column MISSING"):
        ancestry_figure([embedding], options=AncestryOptions(by=ColorBy("MISSING")))
    with pytest.raises(ConfigError, match="needs labels"):
        ancestry_figure([embedding], options=AncestryOptions(by=ColorBy("pop")))


def test_words_are_no_numbers() -> None:
    with pytest.raises(ConfigError, match=r"'CHB'"):
        ancestry_figure([cohort()], labels=panel(), options=AncestryOptions(by=ColorBy("pop", kind="numbers")))
    blank = with_column(["5.5", *[""] * 119])
    with pytest.raises(DataError, match="no number"):
        part = Embedding(("s1", "s2"), np.zeros((2, 2)))
        ancestry_figure([part], labels=blank, options=AncestryOptions(by=ColorBy("age", kind="numbers")))
    with pytest.raises(ConfigError, match="auto, categories, numbers"):
        ColorBy(kind="words")


def test_more_categories_than_styles() -> None:
    n = MOST_STYLES + 1
    samples = tuple(f"s{i}" for i in range(n))
    labels = SampleLabels(samples, {"pop": samples}, "panel")
    with pytest.raises(ConfigError, match=rf"has {n} values.*{MOST_STYLES}"):
        ancestry_figure(
            [Embedding(samples, np.zeros((n, 2)))], labels=labels, options=AncestryOptions(by=ColorBy("pop"))
        )


def test_facets_show_each_value_over_all_others() -> None:
    embedding = cohort()
    figure, _, _ = ancestry_figure([embedding], labels=panel(), options=AncestryOptions(facet="super_pop"))
    shown = panels(figure)
    assert [ax.get_title(loc="left") for ax in shown] == ["AFR (40)", "EAS (20)", "EUR (60)"]
    of = np.array([POPULATIONS[p] == "EAS" for p in panel().columns["pop"]])
    look = make_palette(POPULATIONS).styles["CHB"]
    np.testing.assert_allclose(drawn(shown[1], look), ordered(embedding.mean[of]))
    np.testing.assert_allclose(drawn(shown[1], BACK), ordered(embedding.mean[~of]))
    assert len({ax.get_xlim() for ax in shown}) == 1


def test_facets_refuse() -> None:
    with pytest.raises(ConfigError, match="needs labels"):
        ancestry_figure([cohort()], options=AncestryOptions(facet="pop"))
    many = with_column([f"v{i}" for i in range(120)])
    with pytest.raises(ConfigError, match="120 values"):
        ancestry_figure([cohort()], labels=many, options=AncestryOptions(facet="age"))
    with pytest.raises(ConfigError, match="one embedding"):
        ancestry_figure([cohort(), cohort()], labels=panel(), options=AncestryOptions(facet="pop"))
    with pytest.raises(ConfigError, match="needs two axes"):
        ancestry_figure([cohort(n_dimensions=1)], labels=panel(), options=AncestryOptions(facet="pop"))


def test_highlighted_samples_are_ringed_named_and_the_others_fade(caplog: pytest.LogCaptureFixture) -> None:
    embedding = cohort()
    figure, _, _ = ancestry_figure(
        [embedding], labels=panel(), options=AncestryOptions(highlight=("s5", "s70", "elsewhere"))
    )
    (ax,) = panels(figure)
    rings = [c for c in ax.collections if isinstance(c, PathCollection) and np.allclose(c.get_edgecolor()[0][:3], 0)]
    places = np.concatenate([np.asarray(c.get_offsets()) for c in rings])
    np.testing.assert_allclose(ordered(places), ordered(embedding.mean[[5, 70]]))
    assert {"s5", "s70"} <= set(texts(figure))
    assert "elsewhere" in caplog.text
    assert len(drawn(ax, make_palette(POPULATIONS).styles["GBR"])) == 0  # not in full colour
    with pytest.raises(MismatchError, match="asked for x1"):
        ancestry_figure([embedding], labels=panel(), options=AncestryOptions(highlight=("x1",)))


def test_new_samples_stand_over_a_grey_reference() -> None:
    reference = cohort()
    query = Embedding(("n1", "n2"), np.array([[0.0, 0.0], [9.0, 9.0]]), method="new")
    figure, counts, unlabelled = ancestry_figure([reference], labels=panel(), query=query)
    (ax,) = panels(figure)
    np.testing.assert_allclose(drawn(ax, BACK), ordered(reference.mean))
    assert (dict(counts), unlabelled) == ({"new": 2}, 0)
    said = texts(figure)
    assert {"new (2)", "reference (120)", "GBR", "CHB"} <= set(said)
    low, high = ax.get_xlim()
    assert low < 0 and high > 9


def test_new_samples_with_labels_have_their_colours() -> None:
    whole = cohort()
    reference, query = Embedding(whole.samples[:60], whole.mean[:60]), Embedding(whole.samples[60:], whole.mean[60:])
    figure, counts, _ = ancestry_figure([reference], labels=panel(), query=query)
    assert counts == {"YRI": 20, "LWK": 20, "CHB": 20}
    look = make_palette(POPULATIONS).styles["CHB"]
    np.testing.assert_allclose(drawn(panels(figure)[0], look), ordered(whole.mean[100:]))


def test_a_query_of_another_model() -> None:
    with pytest.raises(MismatchError, match="query has 3 axes, the reference 2"):
        ancestry_figure([cohort()], labels=panel(), query=cohort(n_dimensions=3))
    with pytest.raises(ConfigError, match="one embedding"):
        ancestry_figure([cohort(), cohort()], query=cohort())


def test_ellipses_turn_with_the_embedding() -> None:
    embedding = replace(cohort(), std=np.tile([[0.5, 0.1]], (120, 1)))
    quarter = np.array([[0.0, -1.0], [1.0, 0.0]])
    turned = Turned(replace(embedding, mean=embedding.mean @ quarter.T), quarter)
    figure, _, _ = ancestry_figure([turned], labels=panel(), options=AncestryOptions(uncertainty="ellipse"))
    (ellipses,) = [c for c in panels(figure)[0].collections if isinstance(c, EllipseCollection)]
    np.testing.assert_allclose(ellipses.get_widths(), 1.0)
    np.testing.assert_allclose(ellipses.get_heights(), 0.2)
    np.testing.assert_allclose(np.abs(ellipses.get_angles()), 90)


def test_draws_have_the_posterior_moments() -> None:
    figure, _, _ = ancestry_figure([cohort()])
    n = 4000
    covariance = np.tile(np.array([[0.5, 0.3], [0.3, 0.4]]), (n, 1, 1))
    draws = draw_samples(panels(figure)[0], np.tile([[1.0, -2.0]], (n, 1)), covariance, ["#000000"] * n, 7.0)
    assert draws.shape == (n, DRAWS, 2)
    flat = draws.reshape(-1, 2)
    np.testing.assert_allclose(flat.mean(axis=0), [1.0, -2.0], atol=0.02)
    np.testing.assert_allclose(np.cov(flat.T), covariance[0], atol=0.02)


@settings(max_examples=20)
@given(seed=st.integers(0, 1000), n=st.integers(1, 30))
def test_the_density_is_the_mean_of_the_gaussians(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    points, std = rng.normal(size=(n, 2)), rng.uniform(0.2, 0.5, size=(n, 2))
    angle = rng.uniform(0, np.pi)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    covariance = covariances(std, rotation, (0, 1))
    x, y, density = density_grid(points, covariance)
    grid = np.stack(np.meshgrid(x, y), axis=-1)
    exact = np.mean([multivariate_normal(m, c).pdf(grid) for m, c in zip(points, covariance, strict=True)], axis=0)
    np.testing.assert_allclose(density, exact, atol=0.02 * exact.max())
    assert density.sum() * (x[1] - x[0]) * (y[1] - y[0]) == pytest.approx(1.0, abs=0.01)
    level = mass_level(density, 0.5)
    assert density[density >= level].sum() / density.sum() == pytest.approx(0.5, abs=0.02)


def test_densities_replace_the_points() -> None:
    figure, _, _ = ancestry_figure([cohort()], labels=panel(), options=AncestryOptions(uncertainty="density"))
    (ax,) = panels(figure)
    assert len(drawn(ax)) == 0
    assert len(ax.collections) == 2 * len(POPULATIONS)
    assert {"GBR", "CHB"} <= set(texts(figure))


@pytest.mark.parametrize("kind", ["ellipse", "density", "samples"])
@pytest.mark.parametrize("n_dimensions", [1, 2, 3])
def test_every_kind_of_uncertainty_in_every_dimension(kind: str, n_dimensions: int) -> None:
    one = Embedding(("a",), np.zeros((1, n_dimensions)), np.zeros((1, n_dimensions)))
    for embedding, labels in ((cohort(n_dimensions=n_dimensions, n_per=20), panel()), (one, None)):
        figure, _, _ = ancestry_figure([embedding], labels=labels, options=AncestryOptions(uncertainty=kind))
        figure.draw_without_rendering()


def test_unknown_uncertainty_and_limits() -> None:
    with pytest.raises(ConfigError, match="ellipse, density, samples"):
        AncestryOptions(uncertainty="cloud")
    with pytest.raises(ConfigError, match="--limits"):
        AncestryOptions(limits=(1, 0, 0, 1))


def test_limits_hold_whatever_the_data() -> None:
    options = AncestryOptions(limits=(-10, 10, -5, 5))
    one, two = (
        panels(ancestry_figure([cohort(scale=scale)], labels=panel(), options=options)[0])[0] for scale in (1, 0.1)
    )
    assert (one.get_xlim(), one.get_ylim()) == (two.get_xlim(), two.get_ylim())
    assert one.get_xlim()[0] <= -10 and one.get_xlim()[1] >= 10


@pytest.mark.parametrize("size", ["column", "page", "120x90", "100"])
@pytest.mark.parametrize("n_dimensions", [1, 2, 3])
def test_the_figure_has_the_size_that_was_asked_for(size: str, n_dimensions: int) -> None:
    sheet = Sheet.parse(size)
    figure, _, _ = ancestry_figure([cohort(n_dimensions)], labels=panel(), options=AncestryOptions(sheet=sheet))
    width, height = figure.get_size_inches() * 25.4
    assert width == pytest.approx({"column": 85, "page": 180, "120x90": 120, "100": 100}[size])
    if "x" in size:
        assert height == pytest.approx(90)
    for ax in panels(figure):
        box = ax.get_tightbbox()
        assert box is not None
        assert box.x0 >= 0 and box.x1 <= figure.bbox.x1 and box.y0 >= 0 and box.y1 <= figure.bbox.y1


@pytest.mark.parametrize("size", ["", "x", "large", "10x10", "85x", "1e9", "-3x5", "nan"])
def test_sizes_that_are_none(size: str) -> None:
    with pytest.raises(ConfigError, match="40 to 2000 mm"):
        Sheet.parse(size)


def test_a_sheet_too_small_for_its_legend() -> None:
    samples = tuple(f"s{i}" for i in range(80))
    labels = SampleLabels(samples, {"pop": tuple(f"population number {i}" for i in range(80))}, "panel")
    embedding = Embedding(samples, np.random.default_rng(0).normal(size=(80, 2)))
    small = AncestryOptions(sheet=Sheet.parse("50x50"), by=ColorBy("pop"))
    with pytest.raises(ConfigError, match=r"50 x 50 mm is too small.*--no-legend"):
        ancestry_figure([embedding], labels=labels, options=small)
    figure, _, _ = ancestry_figure([embedding], labels=labels, options=replace(small, legend=False))
    assert len(drawn(panels(figure)[0])) == 80


def test_without_names_and_legend() -> None:
    figure, _, _ = ancestry_figure([cohort()], labels=panel(), options=AncestryOptions(names=False, legend=False))
    assert not texts(figure)


@pytest.mark.parametrize("size", ["page", "column"])
def test_the_name_of_a_colour_bar_stays_on_the_sheet(size: str) -> None:
    name = "Age at recruitment of the sample in completed years, as the questionnaire of the second visit has it"
    labels = with_column([str(i + 0.5) for i in range(120)], name)
    options = AncestryOptions(by=ColorBy(name), sheet=Sheet.parse(size))
    figure, _, _ = ancestry_figure([cohort()], labels=labels, options=options)
    figure.canvas.draw()
    found = figure.findobj(lambda artist: isinstance(artist, Text) and artist.get_text().startswith(name[:6]))
    written = [text for text in found if text.get_visible()]
    assert len(written) == 1
    box, sheet = written[0].get_window_extent(figure.canvas.get_renderer()), figure.bbox
    assert sheet.x0 <= box.x0 < box.x1 <= sheet.x1
    assert sheet.y0 <= box.y0 < box.y1 <= sheet.y1


def test_the_legend_of_densities_shows_patches_as_there_are_no_markers() -> None:
    figure, _, _ = ancestry_figure([cohort()], labels=panel(), options=AncestryOptions(uncertainty="density"))
    patches = [one for one in figure.axes[-1].collections if isinstance(one, PathCollection)]
    assert len(patches) == len(POPULATIONS)
    assert len({one.get_paths()[0].vertices.tobytes() for one in patches}) == 1
    fills = {tuple(one.get_facecolor()[0]) for one in patches}
    assert len(fills) == len(set(POPULATIONS.values()))  # a hue for each group, as in the panel


def test_the_legend_of_very_many_samples_shows_the_colours_of_their_dots() -> None:
    n = 300_000
    names = np.resize(np.array(list(POPULATIONS), dtype=object), n)
    coloring = Coloring(make_palette(POPULATIONS), (names,))
    for count, small in ((n, True), (2500, False)):
        shown = replace(coloring, populations=(names[:count],))
        counts = Counter(names[:count])
        key = key_of(shown, counts, 0, AncestryOptions(sheet=Sheet.parse("column")))
        styles = {entry.text.split()[0]: entry.style for block in key.blocks for entry in block if entry.style}
        for name, look in coloring.palette.styles.items():
            assert styles[name] == (look.small if small else look)


def test_components_of_plink2_are_read_and_keep_their_name(tmp_path: Path) -> None:
    embedding = cohort(n_dimensions=4)
    embedding.write_eigenvec(tmp_path / "pca.eigenvec")
    read = Embedding.read_tsv(tmp_path / "pca.eigenvec")
    assert (read.samples, read.method, read.axis) == (embedding.samples, "pca", "PC")
    np.testing.assert_allclose(read.mean, embedding.mean, rtol=1e-5)
    figure, _, _ = ancestry_figure([read], labels=panel(), options=AncestryOptions(axes=(2, 0)))
    (ax,) = panels(figure)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("PC3", "PC1")


@pytest.mark.parametrize("scale", [1e-3, 0.01, 1.0, 300.0, 50_000.0])
def test_names_of_axes_stay_on_the_sheet_whatever_the_numbers(scale: float) -> None:
    embeddings = [cohort(scale=scale), cohort(scale=scale)]
    figure, _, _ = ancestry_figure(embeddings, labels=panel())
    figure.canvas.draw()
    for ax in panels(figure):
        assert ax.yaxis.label.get_window_extent().x0 >= 0
