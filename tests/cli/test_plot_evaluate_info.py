"""The commands that need no model: plot, evaluate, info."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from helpers import simulate_structure, write_vcf

from genovi.embedding import Embedding
from genovi.training.monitor import EpochRecord


@pytest.fixture
def vcf(tmp_path: Path) -> Path:
    return write_vcf(tmp_path / "toy.vcf.gz", simulate_structure(1, 2, 10, 50, 0.1, missing=0.1)[0], "bgzf")


@pytest.fixture
def history(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    table = pd.DataFrame(
        np.random.default_rng(0).normal(size=(20, len(EpochRecord.columns()))), columns=EpochRecord.columns()
    )
    table.assign(epoch=range(1, 21)).to_csv(folder / "history.csv", index=False)
    return folder


@pytest.mark.parametrize("suffix", ["png", "pdf", "svg"])
def test_plot_ancestry_draws_and_says_so(shell: Any, embedding: Path, panel: Path, tmp_path: Path, suffix: str) -> None:
    result = shell("plot", "ancestry", embedding, "--labels", panel, "--spread", "--out", f"fig.{suffix}")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == f"fig.{suffix}: 120 samples, 4 populations\n"
    assert (tmp_path / f"fig.{suffix}").stat().st_size > 1000


def test_plot_ancestry_records_what_was_typed(shell: Any, embedding: Path, panel: Path, tmp_path: Path) -> None:
    shell("plot", "ancestry", embedding, "--labels", panel, "--color", "super_pop", "--out", "fig.svg")
    assert f"genovi plot ancestry {embedding} --labels {panel} --color super_pop" in (tmp_path / "fig.svg").read_text()


def test_plot_ancestry_names_samples_without_label(shell: Any, embedding: Path, panel: Path) -> None:
    panel.write_text("\n".join(panel.read_text().splitlines()[:-2]) + "\n")
    result = shell("plot", "ancestry", embedding, "--labels", panel, "--out", "fig.png")
    assert result.exit_code == 0
    assert "Warning: 2 of 120 samples have no labels in toy.panel: s118, s119" in result.stderr
    assert "2 without label in grey" in result.stdout


def test_plot_ancestry_of_a_run_is_titled_by_its_folder(
    shell: Any, embedding: Path, panel: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "my-run"
    folder.mkdir()
    (folder / "embedding.tsv").write_text(embedding.read_text())
    files = [folder / "embedding.tsv", embedding]
    result = shell("plot", "ancestry", *files, "--labels", panel, "--same-axes", "--out", "f.svg")
    assert result.exit_code == 0
    svg = (tmp_path / "f.svg").read_text()
    assert ">my-run</text>" in svg
    assert ">toy</text>" in svg


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["absent.tsv", "--labels", "PANEL", "--out", "f.png"], 3, "no such file (absent.tsv)"),
        (["OTHER", "--labels", "PANEL", "--out", "f.png"], 3, "not an embedding file"),
        (["EMBEDDING", "--labels", "absent", "--out", "f.png"], 3, "no such file (absent)"),
        (["EMBEDDING", "--labels", "PANEL", "--out", "f.jpg"], 2, ".png, .pdf, .svg"),
        (["EMBEDDING", "--labels", "PANEL", "--out", "f"], 2, "no suffix"),
        (["EMBEDDING", "--labels", "PANEL", "--color", "popp", "--out", "f.png"], 2, "did you mean 'pop'?"),
        (["EMBEDDING", "--labels", "PANEL", "--group", "x", "--out", "f.png"], 2, "no label column 'x'"),
        (["EMBEDDING", "--labels", "OTHER", "--out", "f.png"], 4, "no sample has labels"),
        (["EMBEDDING", "--labels", "PANEL", "--out", "PANEL/f.png"], 5, "cannot write"),
        (["NAN", "--labels", "PANEL", "--out", "f.png"], 3, "line 3, sample s1"),
        (["run", "--out", "f.png"], 3, "type run/embedding.tsv"),
        (["EMBEDDING", "--query", "run", "--out", "f.png"], 3, "type run/embedding.tsv"),
        (["EMBEDDING", "--align-to", "run", "--out", "f.png"], 3, "type run/embedding.tsv"),
    ],
)
def test_plot_ancestry_refuses(
    shell: Any, embedding: Path, panel: Path, tmp_path: Path, words: list[str], code: int, said: str
) -> None:
    other, nan = tmp_path / "other.tsv", tmp_path / "nan.tsv"
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "embedding.tsv").write_text(embedding.read_text())
    other.write_text("sample\tpop\nx1\tA\nx2\tB\n")
    nan.write_text("IID\tZ1\tZ2\ns0\t1\t2\ns1\tnan\t3\n")
    paths = {"EMBEDDING": embedding, "PANEL": panel, "OTHER": other, "NAN": nan}
    typed = [str(paths.get(word, word)).replace("PANEL", str(panel)) for word in words]
    shell.refuses(code, said, "plot", "ancestry", *typed)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--color", "MISSING"], 2, "no column MISSING"),
        (["--color", "pop"], 2, "needs labels"),
        (["--color", "age", "--labels", "NUMBERS", "--color-as", "no"], 2, "auto, categories, numbers"),
        (["--color", "word", "--labels", "NUMBERS", "--color-as", "numbers"], 2, "column word is not numbers"),
        (["--color", "id", "--labels", "NUMBERS", "--size", "60x60", "--color-as", "categories"], 2, "too small"),
        (["--uncertainty", "cloud"], 2, "ellipse, density, samples"),
        (["--uncertainty", "density", "--spread"], 2, "contradict"),
        (["--size", "10x10"], 2, "40 to 2000 mm"),
        (["--size", "40x40", "--labels", "PANEL"], 2, "too small"),
        (["--style", "absent.mplstyle"], 3, "no such style (absent.mplstyle)"),
        (["--style", "PANEL"], 3, "not a matplotlib style"),
        (["--style", "IMAGE"], 3, "not a matplotlib style"),
        (["--palette", "absent.tsv"], 3, "no such file (absent.tsv)"),
        (["--palette", "PANEL"], 3, "no column population"),
        (["--highlight", "x7,x8"], 4, "asked for x7, x8"),
        (["--highlight", ","], 2, "names no sample"),
        (["--highlight", "EMPTY"], 3, "no samples on the list"),
        (["--facet", "pop"], 2, "needs labels"),
        (["--facet", "nope", "--labels", "PANEL"], 2, "no label column 'nope'"),
        (["--facet", "id", "--color", "word", "--labels", "NUMBERS"], 2, "120 values"),
        (["--axes", "1"], 2, "two numbers"),
        (["--axes", "1,1"], 2, "two different axes"),
        (["--axes", "1,3"], 2, "no axis 3"),
        (["--limits", "0,1,2"], 2, "four numbers"),
        (["--limits", "1,0,0,1"], 2, "end above its start"),
        (["--limits", "nan,0,0,1"], 2, "end above its start"),
        (["--align-to", "absent.tsv"], 3, "no such file"),
        (["--align-to", "STRANGERS"], 4, "only 0 samples in common"),
        (["--query", "absent.tsv"], 3, "no such file"),
        (["--query", "LINE"], 2, "one axis and of more"),
    ],
)
def test_plot_ancestry_refuses_options(
    shell: Any, embedding: Path, panel: Path, tmp_path: Path, words: list[str], code: int, said: str
) -> None:
    (tmp_path / "numbers.tsv").write_text(
        "sample\tid\tage\tword\n" + "".join(f"s{i}\tn{i}\t{i / 7:.2f}\tyes\n" for i in range(120))
    )
    (tmp_path / "image").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)))
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "embedding.tsv").write_text(embedding.read_text())
    (tmp_path / "line.tsv").write_text("IID\tZ1\nn1\t0\n")
    (tmp_path / "strangers.tsv").write_text("IID\tZ1\tZ2\nn1\t0\t0\nn2\t1\t1\nn3\t2\t1\n")
    paths = {name.upper(): str(tmp_path / name) for name in ("image", "empty")}
    paths |= {"PANEL": str(panel), "NUMBERS": "numbers.tsv", "LINE": "line.tsv", "STRANGERS": "strangers.tsv"}
    shell.refuses(
        code, said, "plot", "ancestry", embedding, *(paths.get(word, word) for word in words), "--out", "f.png"
    )


def test_plot_ancestry_with_everything(shell: Any, embedding: Path, panel: Path, tmp_path: Path) -> None:
    (tmp_path / "own.mplstyle").write_text("font.size: 9\naxes.linewidth: 1.5\nbackend: pdf\n")
    (tmp_path / "ids.txt").write_text("s3\ns77\n")
    (tmp_path / "new.tsv").write_text("IID\tZ1\tZ2\tSD1\tSD2\nn1\t1\t1\t0.2\t0.1\nn2\t11\t9\t0.2\t0.4\n")
    assert shell("plot", "palette", "--labels", panel, "--out", "palette.tsv").stdout == (
        "palette.tsv: colours and markers of 4 populations in 2 groups\n"
    )
    look = ["--labels", panel, "--palette", "palette.tsv", "--style", "own.mplstyle", "--size", "140x120"]
    for k, words in enumerate(
        [
            ["--highlight", "ids.txt", "--uncertainty", "samples", "--align-to", embedding],
            ["--query", "new.tsv", "--uncertainty", "ellipse", "--highlight", "n1", "--limits=-5,15,-5,15"],
            ["--facet", "super_pop", "--no-names", "--no-legend"],
        ]
    ):
        result = shell("plot", "ancestry", embedding, *look, *words, "--out", f"{k}.svg")
        assert (result.exit_code, result.stderr) == (0, ""), result.stderr
        svg = (tmp_path / f"{k}.svg").read_text()
        assert 'width="396.850394pt" height="340.157480pt"' in svg.replace("340.15748pt", "340.157480pt")
    assert (
        "Procrustes correlation 1.0000 over 120 shared samples"
        in shell("plot", "ancestry", embedding, "--align-to", embedding, "--out", "a.pdf").stdout
    )


def test_plot_compare(shell: Any, embedding: Path, panel: Path, tmp_path: Path) -> None:
    lines = [line.split("\t") for line in embedding.read_text().splitlines()]
    turned = [[iid, z2, f"-{z1}".replace("--", ""), s2, s1] for iid, z1, z2, s1, s2 in lines[1:]]
    (tmp_path / "other.tsv").write_text("\n".join("\t".join(line) for line in [lines[0], *turned]) + "\n")
    result = shell("plot", "compare", embedding, "other.tsv", "--labels", panel, "--align", "--out", "f.svg")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        "f.svg: 120 samples, 4 populations",
        "other: Procrustes correlation 1.0000 over 120 shared samples",
    ]
    assert ">toy</text>" in (tmp_path / "f.svg").read_text()
    shell.refuses(2, "nothing to compare", "plot", "compare", embedding, "--out", "g.svg")
    shell.refuses(2, ".svg", "plot", "compare", embedding, "other.tsv", "--out", "g.gif")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "embedding.tsv").write_text(embedding.read_text())
    (tmp_path / "line.tsv").write_text("IID\tZ1\ns1\t0\ns2\t1\ns3\t2\n")
    shell.refuses(4, "onto 2", "plot", "compare", embedding, "line.tsv", "--align", "--out", "g.svg")


def test_plot_map(shell: Any, embedding: Path, panel: Path, tmp_path: Path) -> None:
    table = "pop\tlat\tlon\n" + "".join(f"{p}\t{k}\t{k * k}\n" for k, p in enumerate(["GBR", "FIN", "YRI", "LWK"]))
    (tmp_path / "places.tsv").write_text(table)
    words = ["plot", "map", embedding, "--coordinates", "places.tsv", "--labels", panel]
    result = shell(*words, "--permutations", "99", "--out", "map.svg")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("map.svg: 120 samples of 4 sites\nProcrustes correlation with the map 0.")
    assert "(99 permutations of sites)" in result.stdout
    assert "p =" not in shell(*words, "--permutations", "0", "--out", "2.svg").stdout
    shell.refuses(2, "from 0 to 1,000,000", *words, "--permutations", "-1", "--out", "3.svg")
    shell.refuses(2, ".svg", *words, "--out", "3.gif")
    shell.refuses(2, "no column of latitude", "plot", "map", embedding, "--coordinates", panel, "--out", "3.svg")
    shell.refuses(4, "no sample has coordinates", *words[:5], "--out", "3.svg")
    shell.refuses(3, "no such file", "plot", "map", embedding, "--coordinates", "absent", "--out", "3.svg")


def test_plot_palette_refuses(shell: Any, panel: Path, tmp_path: Path) -> None:
    Path("there.tsv").write_text("mine")
    shell.refuses(2, "--force", "plot", "palette", "--labels", panel, "--out", "there.tsv")
    shell.refuses(3, "no such file", "plot", "palette", "--labels", "absent", "--out", "p.tsv")
    shell.refuses(2, "no label column", "plot", "palette", "--labels", panel, "--color", "x", "--out", "p.tsv")
    shell.refuses(5, "cannot write", "plot", "palette", "--labels", panel, "--out", panel / "p.tsv")


def test_plot_keeps_an_existing_figure_unless_forced(shell: Any, embedding: Path, tmp_path: Path) -> None:
    figure = tmp_path / "fig.png"
    figure.write_text("mine")
    shell.refuses(2, "--force", "plot", "ancestry", embedding, "--out", figure)
    assert figure.read_text() == "mine"
    assert shell("plot", "ancestry", embedding, "--out", figure, "--force").exit_code == 0
    assert figure.read_bytes().startswith(b"\x89PNG")


def test_plot_training(shell: Any, history: Path, tmp_path: Path) -> None:
    result = shell("plot", "training", history, "--out", "fig.pdf")
    assert (result.exit_code, result.stderr) == (0, "")
    assert (tmp_path / "fig.pdf").read_bytes().startswith(b"%PDF")
    shell.refuses(3, "it holds no history.csv; give the folder", "plot", "training", tmp_path, "--out", "other.pdf")
    shell.refuses(2, "--force", "plot", "training", history, "--out", "fig.pdf")
    shell.refuses(2, ".svg", "plot", "training", history, "--out", "fig.doc")


def test_evaluate_prints_a_table_and_writes_json(shell: Any, embedding: Path, panel: Path, tmp_path: Path) -> None:
    result = shell("evaluate", embedding, "--labels", panel, "--json", "scores.json")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("toy: 120 samples, 2 axes\n")
    assert "nearest-neighbour accuracy" in result.stdout
    record = json.loads((tmp_path / "scores.json").read_text())
    assert record["scores"]["n_samples"] == 120
    assert record["scores"]["groups"]["knn_accuracy"] == 1.0
    assert record["provenance"]["command"].startswith("genovi evaluate ")
    assert record["provenance"]["finished"]


def test_evaluate_other_columns(shell: Any, embedding: Path, panel: Path) -> None:
    result = shell("evaluate", embedding, "--labels", panel, "--color", "super_pop", "--group", "super_pop")
    assert result.exit_code == 0
    assert "super_pop" in result.stdout.splitlines()[1]


def test_evaluate_against_genotypes_and_training_samples(shell: Any, panel: Path, tmp_path: Path) -> None:
    matrix, populations = simulate_structure(2, n_populations=4, n_per=30, n_variants=400, fst=0.2)
    matrix = replace(matrix, samples=tuple(f"s{i}" for i in range(120)))
    write_vcf(tmp_path / "cohort.vcf", matrix)
    place = np.unique(populations, return_inverse=True)[1][:, None] * np.array([[3.0, 1.0]])
    noise = np.random.default_rng(0).normal(size=(120, 2))
    for name, which in (("train", slice(0, None, 2)), ("new", slice(1, None, 2))):
        Embedding(matrix.samples[which], (place + noise)[which]).write_tsv(tmp_path / f"{name}.tsv")
    genotypes = ["--train", "train.tsv", "--genotypes", "cohort.vcf", "--json", "scores.json"]
    result = shell("evaluate", "new.tsv", "--labels", panel, *genotypes)
    assert result.exit_code == 0, result.output
    record = json.loads((tmp_path / "scores.json").read_text())
    accuracy = record["transfer"]["accuracy"]
    assert accuracy > 0.7
    last = result.stdout.splitlines()[-1]
    assert last.split() == ["accuracy", "by", "15", "nearest", "of", "60", "training", "samples", f"{accuracy:.3f}"]
    for measure in ("trustworthiness", "continuity", "fst_correlation"):
        assert f"{record['scores'][measure]:.3f}" in result.stdout
    assert "rank correlation of centroid distances with F_ST" in result.stdout


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["absent.tsv", "--labels", "PANEL"], 3, "no such file"),
        (["EMBEDDING", "--labels", "PANEL", "--train", "absent.tsv"], 3, "no such file (absent.tsv)"),
        (["EMBEDDING", "--labels", "PANEL", "--train", "other.tsv"], 3, "not an embedding"),
        (["EMBEDDING", "--labels", "PANEL", "--train", "run"], 3, "type run/embedding.tsv"),
        (["run", "--labels", "PANEL"], 3, "type run/embedding.tsv"),
        (["EMBEDDING", "--labels", "run"], 3, "this is a folder, not a table of labels (run)"),
        (["EMBEDDING", "--labels", "PANEL", "--train", "line.tsv"], 4, "training embedding has 1 axes"),
        (["EMBEDDING", "--labels", "PANEL", "--genotypes", "absent.vcf"], 3, "no such file (absent.vcf)"),
        (
            ["EMBEDDING", "--labels", "PANEL", "--genotypes", "other.vcf"],
            4,
            "samples of the embedding have no genotype",
        ),
        (["EMBEDDING", "--labels", "absent"], 3, "no such file"),
        (["EMBEDDING", "--labels", "PANEL", "--color", "nope"], 2, "no label column"),
        (["EMBEDDING", "--labels", "OTHER"], 4, "no sample has labels"),
        (["EMBEDDING", "--labels", "PANEL", "--json", "PANEL"], 2, "--force"),
        (["EMBEDDING", "--labels", "PANEL", "--json", "PANEL/x.json"], 5, "cannot write"),
    ],
)
def test_evaluate_refuses(
    shell: Any, embedding: Path, panel: Path, tmp_path: Path, words: list[str], code: int, said: str
) -> None:
    (tmp_path / "other.tsv").write_text("sample\tpop\nx1\tA\nx2\tB\n")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "embedding.tsv").write_text(embedding.read_text())
    (tmp_path / "line.tsv").write_text("IID\tZ1\n" + "".join(f"s{i}\t{i}\n" for i in range(120)))
    write_vcf(tmp_path / "other.vcf", simulate_structure(1, 2, 10, 50, 0.1)[0])
    paths = {"EMBEDDING": str(embedding), "OTHER": "other.tsv"}
    typed = [paths.get(word, word).replace("PANEL", str(panel)) for word in words]
    shell.refuses(code, said, "evaluate", *typed)


def test_info_says_what_is_there(shell: Any, vcf: Path) -> None:
    result = shell("info", vcf)
    assert result.exit_code == 0
    assert f"{vcf}: VCF (BGZF), 20 samples, 50 variants" in result.stdout
    assert "samples           20\n" in result.stdout


def test_info_as_json(shell: Any, vcf: Path) -> None:
    result = shell("info", vcf, "--json")
    record = json.loads(result.stdout)
    assert (record["n_samples"], record["n_variants"]) == (20, 50)
    assert 0.05 < record["missing_share"] < 0.15


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("absent.vcf", None, "no such file"),
        ("empty.vcf", b"", "empty"),
        ("table.tsv", b"sample\tpop\na\tb\n", "table.tsv"),
        ("noise.vcf.gz", bytes(range(256)), "noise.vcf.gz"),
    ],
)
def test_info_refuses(shell: Any, tmp_path: Path, name: str, content: bytes | None, said: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    shell.refuses(3, said, "info", name)


def test_info_of_a_truncated_file(shell: Any, vcf: Path) -> None:
    vcf.write_bytes(vcf.read_bytes()[:-60])
    shell.refuses(3, "toy.vcf.gz", "info", vcf)
