"""``genovi report`` as its user types it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from helpers import simulate_structure, write_vcf
from runs import cohort, write_panel, write_run


def test_a_run_that_training_wrote_is_reported(shell: Any, tmp_path: Path) -> None:
    matrix, populations = simulate_structure(1, 3, 20, 300, 0.2)
    write_vcf(tmp_path / "x.vcf", matrix)
    rows = zip(matrix.samples, populations, strict=True)
    (tmp_path / "x.tsv").write_text("sample\tpop\n" + "".join(f"{sample}\t{name}\n" for sample, name in rows))
    trained = shell("train", "x.vcf", "--out", "run", "--epochs", "2", "--all-contigs", "--indep-pairwise", "none")
    assert trained.exit_code == 0, trained.output
    result = shell("report", "run", "--labels", "x.tsv", "--out", "report.html")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("report.html: 60 samples, 3 populations, ")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "genovi report run --labels x.tsv --out report.html" in text
    assert "nearest-neighbour accuracy" in text
    log = (tmp_path / "report.log").read_text()
    assert "--labels x.tsv" in log
    assert result.stdout.strip() in log


def test_palette_files_hold_in_reports(shell: Any, tmp_path: Path) -> None:
    write_run(tmp_path / "run", cohort())
    write_panel(tmp_path / "x.tsv", cohort())
    assert shell("plot", "palette", "--labels", "x.tsv", "--out", "p.tsv").exit_code == 0
    palette = (tmp_path / "p.tsv").read_text().splitlines()
    row = next(line.split("\t") for line in palette if line.startswith("GBR"))
    color = next(cell for cell in row if cell.startswith("#"))
    (tmp_path / "p.tsv").write_text("\n".join(palette).replace(color, "#123456") + "\n")
    assert shell("report", "run", "--labels", "x.tsv", "--palette", "p.tsv", "--out", "r.html").exit_code == 0
    assert "#123456" in (tmp_path / "r.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["absent", "--out", "r.html"], 3, "not a genovi model (absent)"),
        (["panel", "--out", "r.html"], 3, "not a genovi model"),
        (["run", "--out", "r.pdf"], 2, "end --out in .html"),
        (["run", "--out", "r"], 2, "no suffix"),
        (["run", "--out", "there.html"], 2, "--force"),
        (["run", "--out", "panel/r.html"], 5, "cannot write"),
        (["run", "--labels", "absent", "--out", "r.html"], 3, "no such file"),
        (["run", "--labels", "strangers", "--out", "r.html"], 4, "the data have s0, s1, s2"),
        (["run", "--labels", "panel", "--color", "popp", "--out", "r.html"], 2, "did you mean 'pop'?"),
        (["run", "--color", "pop", "--out", "r.html"], 2, "needs labels"),
    ],
)
def test_report_refuses(shell: Any, tmp_path: Path, words: list[str], code: int, said: str) -> None:
    write_run(tmp_path / "run", cohort())
    write_panel(tmp_path / "panel", cohort())
    (tmp_path / "strangers").write_text("sample\tpop\nx1\tA\nx2\tB\n")
    (tmp_path / "there.html").write_text("mine")
    shell.refuses(code, said, "report", *words)


def test_force_overwrites(shell: Any, tmp_path: Path) -> None:
    write_run(tmp_path / "run", cohort())
    (tmp_path / "r.html").write_text("old")
    assert shell("report", "run", "--out", "r.html", "--force").exit_code == 0
    assert "no labels were given" in (tmp_path / "r.html").read_text(encoding="utf-8").lower()
