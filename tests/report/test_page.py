"""A report: everything of a run is in it, nothing of genotypes, hosts or names that it should not say."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from helpers import REPO
from runs import NASTY, cohort, write_panel, write_run

from genovi.embedding import Embedding
from genovi.errors import ConfigError, DataError, MismatchError, ResourceError
from genovi.labels import read_labels
from genovi.manifest import FORMAT_VERSION
from genovi.plotting.coloring import ColorBy, color_samples
from genovi.plotting.colors import to_lch
from genovi.plotting.palette import make_palette
from genovi.report.charts import Chart, Curve, Rule, draw
from genovi.report.gathering import gather, read_run
from genovi.report.page import report_page, write_report
from genovi.report.payload import on_dark, to_json
from genovi.report.sections import repeat_command

MANIFEST = '{"format": "genovi model", "format_version": %d}'


class Reader(HTMLParser):
    """Elements, scripts and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.words: list[str] = []
        self.links: list[str] = []
        self._inside: dict[str, str | None] | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "script":
            self._inside = dict(attrs)
            self.scripts.append((dict(attrs), ""))
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_endtag(self, tag: str) -> None:
        if tag == "script":
            self._inside = None

    def handle_data(self, data: str) -> None:
        if self._inside is not None:
            attributes, text = self.scripts[-1]
            self.scripts[-1] = attributes, text + data
        else:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    @property
    def data(self) -> dict[str, object]:
        return json.loads(next(text for attributes, text in self.scripts if attributes.get("id") == "data"))


def decoded(text: object, dtype: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(str(text)), dtype=dtype)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("runs") / "my-run", cohort())


@pytest.fixture(scope="module")
def panel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_panel(tmp_path_factory.mktemp("labels") / "toy.panel", cohort())


@pytest.fixture(scope="module")
def page(run: Path, panel: Path) -> str:
    return report_page(gather(read_run(run), read_labels(panel), ColorBy()), "genovi report run")


def test_everything_of_the_run_is_there(page: str) -> None:
    text = Reader(page).text
    for words in (
        "my-run", "samples 120", "3,750", "GRCh38", "\N{MINUS SIGN}31.25", "nearest-neighbour accuracy",
            "purity, mixture of 4",
        "Most similar reference populations", "1,250", "too rare", "too <few>", "noise floor 2",
            "3 components lie above",
        "best: epoch 40", "early stop", "genovi train x.vcf --out run --seed 7", "abc123", "torch", "2401.02739",
        "holds no genotypes", "genovi report run",
    ):  # fmt: skip
        assert words in text, words


def test_what_is_private_stays_out(page: str) -> None:
    assert "secret1" not in page  # samples that quality control removed
    assert "hostname-of-somebody" not in page


def test_the_file_needs_nothing_else_and_runs_nothing_else(page: str) -> None:
    reader = Reader(page)
    assert [link for link in reader.links if not link.startswith("#")] == []
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', page)
    assert policy is not None
    allowed = policy[1].replace("&#x27;", "'")
    assert allowed.startswith("default-src 'none'")
    running = [text for attributes, text in reader.scripts if attributes.get("type") is None]
    assert len(running) == 2
    for text in running:
        assert base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() in allowed
        assert not re.search("</script|<!--", text, re.IGNORECASE)


def test_data_are_the_embedding(page: str, run: Path) -> None:
    data = Reader(page).data
    embedding = Embedding.read_tsv(run / "embedding.tsv")
    assert data["samples"] == list(embedding.samples)
    for name, columns in (("mean", embedding.mean), ("std", embedding.std)):
        assert columns is not None
        for text, values in zip(data[name], columns.T, strict=True):  # type: ignore[call-overload]
            np.testing.assert_allclose(decoded(text, "<f4"), values, rtol=1e-7)
    np.testing.assert_array_equal(decoded(data["cluster"], "<u2"), embedding.cluster)
    names = [style["name"] for style in data["populations"]]  # type: ignore[attr-defined]
    assert names == ["LWK", "YRI", "FIN", "GBR"]  # by group, as in the legend
    codes = decoded(data["population"], "<u2")
    assert [names[code - 1] for code in codes[::30]] == ["GBR", "FIN", "YRI", "LWK"]


def test_populations_keep_the_colours_of_figures(page: str, run: Path, panel: Path) -> None:
    drawn = color_samples([Embedding.read_tsv(run / "embedding.tsv")], read_labels(panel), ColorBy()).palette.styles
    for style in Reader(page).data["populations"]:  # type: ignore[attr-defined]
        expected = drawn[style["name"]]
        assert (style["color"], style["edge"], style["marker"]) == (expected.color, expected.edge, expected.marker)


def test_names_from_outside_are_inert(tmp_path: Path) -> None:
    embedding = cohort(names=[name for name in NASTY if name.strip()])
    populations = {NASTY[0]: "<i>group</i>", NASTY[1]: "<i>group</i>", "A": "B&C", "D": "B&C"}
    run = write_run(tmp_path / "<b>run", embedding, command="genovi train '<img src=x onerror=alert(1)>.vcf'")
    labels = read_labels(write_panel(tmp_path / "p.tsv", embedding, populations))
    page = report_page(gather(read_run(run), labels, ColorBy()), "genovi report '<script>'")
    reader = Reader(page)
    assert len(reader.scripts) == 3
    assert reader.data["samples"] == list(embedding.samples)
    assert NASTY[0] in reader.text  # as text, in the confusion matrix
    for tag in ("<i>", "<b>run", "<img"):
        assert tag not in re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)
    assert "<script>alert" not in page


def test_json_cannot_leave_its_element() -> None:
    text = to_json({"a": "</script><!-- & \u2028"})
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == {"a": "</script><!-- & \u2028"}


def test_without_labels_clusters_are_shown(run: Path) -> None:
    reader = Reader(report_page(gather(read_run(run), None, ColorBy())))
    assert "No labels were given" in reader.text
    assert reader.data["column"] is None
    assert [s["name"] for s in reader.data["populations"]] == [f"cluster {k}" for k in range(1, 5)]  # type: ignore[attr-defined]


def with_ages(panel: Path, path: Path) -> Path:
    """The panel with the age of all samples but the first."""
    head, *rows = panel.read_text().splitlines()
    ages = ["NA", *(f"{20 + i / 4}" for i in range(1, len(rows)))]
    path.write_text("\n".join([f"{head}\tage", *(f"{row}\t{age}" for row, age in zip(rows, ages, strict=True))]) + "\n")
    return path


def test_columns_of_numbers_can_be_shown(run: Path, panel: Path, tmp_path: Path) -> None:
    labels = read_labels(with_ages(panel, tmp_path / "ages.tsv"))
    plain, by_age = (gather(read_run(run), labels, ColorBy(color)) for color in (None, "age"))
    assert plain.judgement is not None
    assert by_age.judgement is not None
    assert by_age.judgement.confusion.names == plain.judgement.confusion.names  # populations stay populations
    data = Reader(report_page(by_age)).data
    numbers = {one["name"]: decoded(one["values"], "<f4") for one in data["numbers"]}  # type: ignore[attr-defined]
    assert list(numbers) == ["age", "MISSING", "MISFIT", "CLUSTER_PROB"]
    np.testing.assert_allclose(numbers["age"][1:], 20 + np.arange(1, 120) / 4)
    assert np.isnan(numbers["age"][0])
    assert (data["shown"], data["column"]) == ("age", "pop")
    assert Reader(report_page(plain)).data["shown"] == ""


def test_numbers_without_populations(run: Path, panel: Path, tmp_path: Path) -> None:
    path = tmp_path / "ages.tsv"
    rows = [line.split("\t") for line in with_ages(panel, path).read_text().splitlines()]
    path.write_text("".join(f"{row[0]}\t{row[-1]}\n" for row in rows))
    content = gather(read_run(run), read_labels(path), ColorBy("age"))
    assert (content.shown, content.column, content.judgement) == ("age", None, None)
    names = [one["name"] for one in Reader(report_page(content)).data["populations"]]  # type: ignore[attr-defined]
    assert names == [f"cluster {k}" for k in range(1, 5)]


def test_outlines_are_seen_on_dark_ground() -> None:
    ground = to_lch("#1a1e23")[0]
    assert "--plot: #1a1e23" in (REPO / "genovi/report/assets/report.css").read_text()
    groups = {f"p{i}": f"g{i % 12}" for i in range(144)}
    for style in make_palette(groups).styles.values():
        dark = on_dark(style)
        assert to_lch(dark["edge"])[0] > ground + 0.35
        assert (dark["color"] == "#1a1e23") == (style.color == "#ffffff")


def test_labels_that_cannot_judge_still_colour(run: Path, tmp_path: Path) -> None:
    panel = tmp_path / "one.tsv"
    panel.write_text("sample\tpop\n" + "".join(f"s{i}\tA\n" for i in range(60)))
    reader = Reader(report_page(gather(read_run(run), read_labels(panel), ColorBy())))
    assert "all samples have the same pop" in reader.text
    assert reader.data["unlabelled"]["count"] == 60  # type: ignore[index]
    assert reader.data["similar"] is None


def test_confusion_counts_every_labelled_sample_once(run: Path, panel: Path) -> None:
    content = gather(read_run(run), read_labels(panel), ColorBy())
    assert content.judgement is not None
    table = content.judgement.confusion
    assert table.names == ("LWK", "YRI", "FIN", "GBR")
    np.testing.assert_array_equal(table.counts.sum(axis=1), 30)
    assert np.trace(table.counts) / 120 == content.judgement.populations["nearest-neighbour accuracy"].value


@pytest.mark.parametrize(
    ("typed", "repeated"),
    [
        ("genovi train a.vcf --out r", "genovi train a.vcf --out r --seed 7"),
        ("genovi train a.vcf --seed 3", "genovi train a.vcf --seed 3"),
        ("genovi train a.vcf --seed=3", "genovi train a.vcf --seed=3"),
        ("", ""),
    ],
)
def test_the_command_repeats_the_run(tmp_path: Path, typed: str, repeated: str) -> None:
    assert repeat_command(read_run(write_run(tmp_path / "run", cohort(), typed))) == repeated


def test_a_report_is_repeatable_and_has_no_date(run: Path, tmp_path: Path) -> None:
    one, two = (write_report(run, tmp_path / f"{k}.html", command="genovi report").path for k in (1, 2))
    assert one.read_bytes() == two.read_bytes()
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["1.html", "2.html"]


def test_one_and_three_axes(tmp_path: Path) -> None:
    for axes in (1, 3):
        run = write_run(tmp_path / f"run{axes}", cohort(axes=axes))
        data = Reader(report_page(gather(read_run(run), None, ColorBy()))).data
        assert len(data["mean"]) == axes  # type: ignore[arg-type]


def test_qc_of_the_manifest_serves_where_names_were_left_out(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", cohort())
    (run / "qc.json").unlink()
    assert [step.removed for step in read_run(run).filters] == [0, 3, 1250]


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda run: (run / "model.json").unlink(), "not a genovi model"),
        (lambda run: (run / "model.json").write_text(MANIFEST % 99), "newer genovi"),
        (lambda run: (run / "model.json").write_text(MANIFEST % FORMAT_VERSION), "n_axes is not there"),
        (lambda run: (run / "model.json").write_text(MANIFEST % 1), "cannot be brought to format version 2"),
        (lambda run: (run / "model.safetensors").write_bytes(b"no"), "damaged run"),
        (lambda run: (run / "model.safetensors").unlink(), "damaged run"),
        (lambda run: (run / "qc.json").write_text("{}"), "damaged run"),
        (lambda run: (run / "qc.json").write_text("{"), "damaged run"),
        (lambda run: (run / "history.csv").unlink(), "no history.csv"),
        (lambda run: (run / "embedding.tsv").unlink(), "no such file"),
    ],
)  # fmt: skip
def test_a_damaged_run_is_refused(tmp_path: Path, damage: object, said: str) -> None:
    run = write_run(tmp_path / "run", cohort())
    damage(run)  # type: ignore[operator]
    with pytest.raises(DataError, match=said):
        write_report(run, tmp_path / "report.html")
    assert not list(tmp_path.glob("report*"))


def test_bad_wishes_are_refused(run: Path, panel: Path, tmp_path: Path) -> None:
    there = tmp_path / "there.html"
    there.write_text("mine")
    strangers = tmp_path / "strangers.tsv"
    strangers.write_text("sample\tpop\nx1\tA\nx2\tB\n")
    with pytest.raises(ConfigError, match=r"end --out in \.html"):
        write_report(run, tmp_path / "report.pdf")
    with pytest.raises(ConfigError, match="output exists"):
        write_report(run, there)
    with pytest.raises(ResourceError, match="cannot write"):
        write_report(run, there / "report.html")
    with pytest.raises(MismatchError, match=r"column 'sample'.*the data have s0, s1, s2.*the labels have x1, x2"):
        write_report(run, tmp_path / "report.html", labels=read_labels(strangers))
    with pytest.raises(ConfigError, match="did you mean 'pop'"):
        write_report(run, tmp_path / "report.html", labels=read_labels(panel), by=ColorBy(color="popp"))
    many = tmp_path / "many.tsv"
    many.write_text("sample\tpop\n" + "".join(f"s{i}\tp{i}\n" for i in range(200)))
    wide = write_run(tmp_path / "wide", cohort(50))
    with pytest.raises(ConfigError, match="200 values"):
        write_report(wide, tmp_path / "report.html", labels=read_labels(many))
    assert there.read_text() == "mine"
    assert not (tmp_path / "report.html").exists()


def test_size_of_2504_samples(tmp_path: Path) -> None:
    embedding = cohort(626)
    run = write_run(tmp_path / "run", embedding)
    labels = read_labels(write_panel(tmp_path / "p.tsv", embedding))
    assert write_report(run, tmp_path / "report.html", labels=labels).size < 6e6


def test_a_chart_draws_its_numbers() -> None:
    x = np.array([1.0, 2, 3, 4])
    curve = Curve("a<b", x, np.array([1.0, 10, np.nan, 1000]), 1)
    svg = draw(Chart("t", "x", "y", [curve], [Rule("edge", y=10.0)], log=True))
    assert "a&lt;b" in svg
    (points,) = re.findall(r'points="([^"]+)"', svg)
    places = [tuple(map(float, point.split(","))) for point in points.split()]
    assert len(places) == 3  # what is not finite is left out
    assert places[1][1] == pytest.approx((2 * places[0][1] + places[2][1]) / 3, abs=0.15)  # decades are equal steps
    (rule,) = re.findall(r'class="rule" x1="[\d.]+" y1="([\d.]+)" x2', svg.split("</ul>")[1])
    assert float(rule) == pytest.approx(places[1][1], abs=0.1)


@pytest.mark.parametrize("values", [[5.0], [5.0, 5.0], [np.nan, np.nan], [-1e9, 1e9], [1e-12, 2e-12]])
def test_a_chart_of_any_numbers_is_finite(values: list[float]) -> None:
    curve = Curve("c", np.arange(len(values), dtype=float), np.array(values), 1)
    assert "nan" not in draw(Chart("t", "x", "y", [curve]))


def test_a_user_without_a_home_gets_a_page() -> None:
    """As in a container that runs under a number of which its system knows nothing."""
    script = (
        "import pwd\n"
        "def unknown(number): raise KeyError(number)\n"
        "pwd.getpwuid = unknown\n"
        "from genovi.report.page import _library\n"
        "assert 'Bokeh' in _library()\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "HOME"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
