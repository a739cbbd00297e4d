"""What people hand over by mistake: one line that says so, the right exit code, and nothing left behind."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from helpers import bgzf, matrix_of, simulate_structure, vcf_text, write_vcf
from typer.testing import CliRunner

from genovi.genotypes.matrix import GenotypeMatrix
from genovi.genotypes.writing import write_plink1
from genovi_cli.app import app

FAST = ["--epochs", "2", "--batch-size", "32", "--steps", "1", "--device", "cpu", "--threads", "1", "--seed", "1"]


def cohort() -> GenotypeMatrix:
    return simulate_structure(4, 3, 12, 200, 0.15, 0.01)[0]


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what works: ``good.vcf.gz``, ``panel.tsv`` and the model ``run``."""
    folder = tmp_path_factory.mktemp("good")
    matrix = cohort()
    write_vcf(folder / "good.vcf.gz", matrix, "bgzf")
    rows = [f"{name}\tpop{i % 3}" for i, name in enumerate(matrix.samples)]
    (folder / "panel.tsv").write_text("\n".join(["sample\tpop", *rows]) + "\n")
    words = ["train", str(folder / "good.vcf.gz"), "--out", str(folder / "run"), *FAST]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    return folder


@pytest.fixture(autouse=True)
def here(good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Each test types in a folder of its own with links to what works, which must not change."""
    monkeypatch.chdir(tmp_path)
    before = snapshot(good)
    for path in good.iterdir():
        (tmp_path / path.name).symlink_to(path)
    yield tmp_path
    assert snapshot(good) == before


def snapshot(folder: Path) -> dict[str, bytes]:
    """Content of everything below ``folder``, hidden files included; folders have none."""
    paths = [path for path in folder.rglob("*") if not path.is_symlink()]
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b"" for path in paths}


def refused(code: int, said: str, *words: object) -> None:
    """The command ends with ``code`` and one line that holds ``said``, after counts at most, and changes no file."""
    before = snapshot(Path())
    result = CliRunner().invoke(app, [str(word) for word in words], prog_name="genovi")
    check(result.exit_code, result.stdout, result.stderr, code, said)
    assert snapshot(Path()) == before


def check(found: int, stdout: str, stderr: str, code: int, said: str) -> None:
    assert found == code, stderr
    assert "Traceback" not in stderr
    lines = stderr.splitlines()
    assert [line for line in lines if line.startswith("genovi: error: ")] == lines[-1:]
    assert said.lower() in lines[-1].lower()
    assert len(lines[-1]) < 500
    assert stdout == ""


def edited(change: Callable[[list[str]], list[str]], text: str | None = None) -> bytes:
    """The good VCF with the fields of each record changed."""
    lines = (text or vcf_text(cohort())).splitlines()
    rows = [line if line.startswith("#") else "\t".join(change(line.split("\t"))) for line in lines]
    return ("\n".join(rows) + "\n").encode()


def header() -> list[str]:
    return [line for line in vcf_text(cohort()).splitlines(keepends=True) if line.startswith("#")]


def sites_only() -> bytes:
    lines = [line if line.startswith("##") else "\t".join(line.split("\t")[:8]) for line in
             vcf_text(cohort()).splitlines()]  # fmt: skip
    return ("\n".join(lines) + "\n").encode()


# Content, and a word of what is said about it.
UNREADABLE: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "empty"),
    "only white space": (lambda: b"\n\n", "not a VCF"),
    "empty gzip": (lambda: gzip.compress(b""), "bad.vcf"),
    "text": (lambda: b"sample\tpop\na\tb\n", "not a VCF"),
    "bytes": (lambda: bytes(range(256)) * 9, "not a VCF"),
    "tabix index": (lambda: bgzf(b"TBI\x01" + b"\0" * 40), "tabix index"),
    "picture": (lambda: b"\x89PNG\r\n\x1a\n" + b"\0" * 40, "PNG"),
    "header without records": (lambda: "".join(header()).encode(), "no variants"),
    "no #CHROM line": (lambda: edited(lambda f: f).replace(b"#CHROM", b"##CHROM"), "#CHROM"),
    "truncated BGZF": (lambda: bgzf(edited(lambda f: f))[:4000], "truncated"),
    "BGZF without its last block": (lambda: bgzf(edited(lambda f: f))[:-28], "truncated"),
    "truncated gzip": (lambda: gzip.compress(edited(lambda f: f))[:3000], "truncated"),
    "truncated text": (lambda: edited(lambda f: f)[:9000], "columns"),
    "no samples": (sites_only, "no samples"),
    "no GT": (lambda: edited(lambda f: [*f[:8], "DP", *["7"] * (len(f) - 9)]), "GT"),
    "duplicate names": (lambda: edited(lambda f: f).replace(b"\ts2\t", b"\ts1\t", 1), "'s1' occurs twice"),
    "too few columns": (lambda: edited(lambda f: f[:20]), "line 24"),
    "too many columns": (lambda: edited(lambda f: [*f, "0/1"]), "line 24"),
    "position in words": (lambda: edited(lambda f: [f[0], "here", *f[2:]]), "POS 'here'"),
    "genotype in words": (lambda: edited(lambda f: [*f[:-1], "AG"]), "sample 's36'"),
    "spaces for tabs": (lambda: edited(lambda f: f).replace(b"\t", b" "), "tabs"),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_files_that_hold_no_genotypes(name: str) -> None:
    make, said = UNREADABLE[name]
    Path("bad.vcf").write_bytes(make())
    refused(3, said, "info", "bad.vcf")
    refused(3, said, "train", "bad.vcf", "--out", "new", *FAST)
    refused(3, said, "embed", "run", "bad.vcf", "--out", "new")
    refused(3, "bad.vcf", "embed", "run", "bad.vcf", "--out", "new", "--quiet")


@pytest.mark.parametrize("name", ["absent.vcf", "", "folder", "good.vcf.gz/x.vcf"])
def test_paths_that_are_no_files(name: str) -> None:
    Path("folder").mkdir()
    refused(3, name, "info", name)
    refused(3, name, "train", name, "--out", "new", *FAST)
    refused(3, name, "embed", "run", name, "--out", "new")


def test_one_bad_file_among_good_ones_is_named() -> None:
    Path("bad.vcf").write_bytes(edited(lambda f: f)[:9000])
    refused(3, "bad.vcf", "train", "good.vcf.gz", "bad.vcf", "--out", "new", *FAST)
    refused(2, "twice", "train", "good.vcf.gz", "good.vcf.gz", "--out", "new", *FAST)
    write_vcf(Path("fewer.vcf"), cohort().take_samples(np.arange(20)))
    refused(4, "s21", "train", "good.vcf.gz", "fewer.vcf", "--out", "new", *FAST)


@pytest.mark.parametrize("suffix", [".bed", ".bim", ".fam"])
def test_incomplete_plink_filesets(suffix: str) -> None:
    write_plink1(cohort(), Path("set"))
    whole = Path(f"set{suffix}").read_bytes()
    Path(f"set{suffix}").write_bytes(whole[: len(whole) // 2])
    refused(3, "set.", "train", "set.bed", "--out", "new", *FAST)
    Path(f"set{suffix}").unlink()
    for words in (["info"], ["train", "--out", "new", *FAST], ["embed", "--out", "new", "run"]):
        refused(3, "set", *words, "set.fam" if suffix == ".bed" else "set.bed")


SMALL: dict[str, tuple[Callable[[], GenotypeMatrix], list[str], str]] = {
    "one sample": (lambda: cohort().take_samples(np.array([3])), [], "only 1 sample to train on"),
    "few samples": (lambda: cohort().take_samples(np.arange(9)), [], "at least 10"),
    "fewer samples than axes": (cohort, ["--pcs", "36"], "--pcs 36"),
    "fewer variants than axes": (lambda: cohort().take_variants(np.arange(12)), ["--pcs", "20"], "--pcs 20"),
    "nobody varies": (lambda: matrix_of(np.zeros((50, 20), dtype=np.int8)), [], "monomorphic removed 50 of 50"),
    "nothing observed": (lambda: matrix_of(np.full((50, 20), -1, dtype=np.int8)), [], "--mind removed 20 of 20"),
    "nothing observed, all allowed": (
        lambda: matrix_of(np.full((50, 20), -1, dtype=np.int8)), ["--mind", "1", "--geno", "1"], "monomorphic"
    ),
    "too rare": (lambda: matrix_of(np.eye(30, dtype=np.int8)), ["--maf", "0.05"], "--maf removed 30 of 30"),
    "too many gaps": (lambda: simulate_structure(1, 2, 10, 50, 0.1, 0.3)[0], [], "--mind removed 20 of 20"),
    "gaps in all variants": (lambda: simulate_structure(1, 2, 10, 50, 0.1, 0.3)[0], ["--mind", "1"], "--geno removed"),
    "other chromosomes": (cohort, ["--chr", "X"], "--chr"),
}  # fmt: skip


@pytest.mark.parametrize("name", SMALL)
def test_cohorts_of_which_nothing_is_left(name: str) -> None:
    make, options, said = SMALL[name]
    write_vcf(Path("small.vcf"), make())
    refused(3, said, "train", "small.vcf", "--out", "new", *options, *FAST)


@pytest.mark.parametrize("option", ["--keep", "--extract"])
def test_lists_that_name_nothing_of_the_input(option: str) -> None:
    Path("list.txt").write_text("nobody\nnothing\n")
    refused(3, option, "train", "good.vcf.gz", "--out", "new", option, "list.txt", *FAST)
    Path("list.txt").write_text("")
    refused(3, "list.txt", "train", "good.vcf.gz", "--out", "new", option, "list.txt", *FAST)


def test_new_samples_that_do_not_fit_the_model() -> None:
    matrix = cohort()
    write_vcf(Path("few.vcf"), matrix.take_variants(np.arange(0, 200, 5)))
    refused(4, "--min-overlap", "embed", "run", "few.vcf", "--out", "new")
    Path("multi.vcf").write_bytes(edited(lambda f: [*f[:4], "AA,CC,GG", *f[5:]]))
    refused(4, "ambiguous", "embed", "run", "multi.vcf", "--out", "new")
    Path("named.vcf").write_bytes(edited(lambda f: [*f[:2], ".", *f[3:]]))
    refused(
        4, "no variant has an identifier (named.vcf)", "embed", "run", "named.vcf", "--out", "new", "--match-by", "id"
    )
    Path("gaps.vcf").write_bytes(edited(lambda f: [*f[:11], "./.", *f[12:]]))
    refused(4, "gaps.vcf: s3)", "embed", "run", "gaps.vcf", "--out", "new")


def no_model(name: str, good: Path) -> Path:
    """Something called RUN that is none."""
    path = Path("none")
    if name in ("empty folder", "only a manifest", "newer", "damaged"):
        path.mkdir()
    if name == "file":
        path.write_text("x")
    if name in ("only a manifest", "newer", "damaged"):
        manifest = json.loads((good / "run" / "model.json").read_text())
        (path / "model.json").write_text(json.dumps(manifest | ({"format_version": 99} if name == "newer" else {})))
    if name == "damaged":
        (path / "variants.tsv.gz").write_bytes((good / "run" / "variants.tsv.gz").read_bytes())
        (path / "model.safetensors").write_bytes((good / "run" / "model.safetensors").read_bytes()[:5000])
    return path


@pytest.mark.parametrize("name", ["absent", "file", "empty folder", "only a manifest", "newer", "damaged"])
def test_runs_that_are_no_models(name: str, good: Path) -> None:
    run = no_model(name, good)
    refused(3, "none", "embed", run, "good.vcf.gz", "--out", "new")
    refused(3, "none", "plot", "training", run, "--out", "new.png")
    refused(3, "none", "plot", "ancestry", run, "--out", "new.png")
    refused(3, "none", "evaluate", run, "--labels", "panel.tsv")


def test_arguments_in_each_others_place() -> None:
    refused(3, "good.vcf.gz", "embed", "good.vcf.gz", "run", "--out", "new")
    refused(3, "run", "train", "run", "--out", "new", *FAST)
    refused(3, "good.vcf.gz", "plot", "ancestry", "good.vcf.gz", "--out", "new.png")
    refused(3, "panel.tsv", "evaluate", "panel.tsv", "--labels", "run/embedding.tsv")
    refused(3, "model.json", "embed", "run/model.json", "good.vcf.gz", "--out", "new")


LABELS: dict[str, tuple[int, bytes, str]] = {
    "nobody matches": (4, b"sample\tpop\nx1\tA\nx2\tB\n", "no sample has labels"),
    "empty": (3, b"", "labels.tsv"),
    "header only": (3, b"sample\tpop\n", "labels.tsv"),
    "bytes": (3, bytes(range(256)), "labels.tsv"),
    "the genotypes": (3, bgzf(b"##fileformat=VCFv4.2\n"), "labels.tsv"),
}


@pytest.mark.parametrize("name", LABELS)
def test_labels_that_label_nobody(name: str) -> None:
    code, content, said = LABELS[name]
    Path("labels.tsv").write_bytes(content)
    for words in (
        ["train", "good.vcf.gz", "--out", "new", *FAST],
        ["plot", "ancestry", "run/embedding.tsv", "--out", "new.png"],
        ["evaluate", "run/embedding.tsv"],
    ):
        refused(code, said, *words, "--labels", "labels.tsv")


EMBEDDINGS: dict[str, bytes] = {
    "empty": b"",
    "header only": b"IID\tZ1\tZ2\n",
    "no coordinates": b"IID\tpop\na\tA\n",
    "not a number": b"IID\tZ1\tZ2\na\t1\tx\n",
    "cut off": b"IID\tZ1\tZ2\na\t1\t2\nb\t3\n",
    "duplicate names": b"IID\tZ1\tZ2\na\t1\t2\na\t3\t4\n",
    "bytes": bytes(range(256)),
}


@pytest.mark.parametrize("name", EMBEDDINGS)
def test_files_that_are_no_embeddings(name: str) -> None:
    Path("bad.tsv").write_bytes(EMBEDDINGS[name])
    refused(3, "bad.tsv", "plot", "ancestry", "bad.tsv", "--labels", "panel.tsv", "--out", "new.png")
    refused(3, "bad.tsv", "evaluate", "bad.tsv", "--labels", "panel.tsv")
    refused(3, "bad.tsv", "evaluate", "bad.tsv", "--labels", "panel.tsv", "--json", "new.json")


# How each figure and the report are asked for; EMBEDDING is replaced by what is wrong with it.
PICTURES: dict[str, list[str]] = {
    "ancestry": ["plot", "ancestry", "EMBEDDING"],
    "query": ["plot", "ancestry", "run/embedding.tsv", "--query", "EMBEDDING"],
    "compare": ["plot", "compare", "run/embedding.tsv", "EMBEDDING"],
    "map": ["plot", "map", "EMBEDDING", "--coordinates", "places.tsv", "--permutations", "0"],
    "training": ["plot", "training", "run"],
    "latent": ["plot", "latent", "run"],
    "posterior": ["plot", "posterior", "run", "good.vcf.gz", "--sample", "s1"],
    "palette": ["plot", "palette", "--labels", "panel.tsv"],
    "report": ["report", "run"],
}
OF_EMBEDDINGS = ("ancestry", "query", "compare", "map")
SUFFIX = {"palette": ".tsv", "report": ".html"}


def picture(name: str, embedding: str = "run/embedding.tsv") -> list[str]:
    """The words that ask for it, without labels and output."""
    rows = [f"s{i}\t{i % 50}\t{i % 90}" for i in range(1, 301)]
    Path("places.tsv").write_text("\n".join(["sample\tlatitude\tlongitude", *rows]) + "\n")
    return [embedding if word == "EMBEDDING" else word for word in PICTURES[name]]


def embedding_of(path: str, n: int) -> None:
    """An embedding file of samples s1, s2, ..."""
    rows = [f"s{i}\t{i % 7}\t{i % 11}" for i in range(1, n + 1)]
    Path(path).write_text("\n".join(["IID\tZ1\tZ2", *rows]) + "\n")


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_of_an_unknown_suffix_or_without_a_place(name: str) -> None:
    words = picture(name)
    Path("file").write_text("mine")
    for out in ("fig.gif", "fig", "fig.png.zip"):
        refused(2, Path(out).suffix or "suffix" if name != "palette" else ".tsv", *words, "--out", out)
    refused(5, "cannot write", *words, "--out", f"file/fig{SUFFIX.get(name, '.png')}")
    Path("there" + SUFFIX.get(name, ".png")).write_text("mine")
    refused(2, "--force", *words, "--out", "there" + SUFFIX.get(name, ".png"))


@pytest.mark.parametrize("name", [*OF_EMBEDDINGS, "report"])
def test_pictures_with_labels_of_nobody_name_both_sides(name: str) -> None:
    Path("nobody.tsv").write_text("sample\tpop\nx1\tA\nx2\tB\n")
    words = [*picture(name), "--labels", "nobody.tsv", "--out", "new/fig" + SUFFIX.get(name, ".png")]
    refused(4, "column 'sample'): the data have s1, s2, s3, ...; the labels have x1, x2", *words)


@pytest.mark.parametrize("name", [*OF_EMBEDDINGS, "palette"])
def test_pictures_of_more_categories_than_colours(name: str) -> None:
    embedding_of("wide.tsv", 300)
    words = [*picture(name, "wide.tsv")]
    Path("many.tsv").write_text("\n".join(["sample\tpop", *(f"s{i}\tpop{i}" for i in range(1, 301))]) + "\n")
    words = [word if word != "panel.tsv" else "many.tsv" for word in words]
    more = [] if name == "palette" else ["--labels", "many.tsv"]
    refused(2, "has 300 values (many.tsv): no more than", *words, *more, "--out", f"fig{SUFFIX.get(name, '.png')}")


@pytest.mark.parametrize("value", ["nan", ""])
@pytest.mark.parametrize("name", OF_EMBEDDINGS)
def test_pictures_of_coordinates_that_are_no_numbers(name: str, value: str) -> None:
    embedding_of("bad.tsv", 5)
    Path("bad.tsv").write_text(Path("bad.tsv").read_text().replace("s2\t2\t", f"s2\t{value}\t"))
    refused(3, "bad.tsv, line 3", *picture(name, "bad.tsv"), "--out", "fig.png")


def test_pictures_of_one_point() -> None:
    embedding_of("one.tsv", 1)
    for name in ("ancestry", "compare", "query"):
        result = CliRunner().invoke(app, [*picture(name, "one.tsv"), "--out", f"{name}.png"])
        assert result.exit_code == 0, result.output
    refused(3, "fewer than 4", *picture("map", "one.tsv"), "--out", "fig.png")
    refused(4, "at least 3", "plot", "compare", "one.tsv", "run/embedding.tsv", "--align", "--out", "fig.png")


def test_outputs_that_cannot_be_written() -> None:
    Path("file").write_text("mine")
    for words in (
        ["train", "good.vcf.gz", *FAST, "--out", "file/run"],
        ["embed", "run", "good.vcf.gz", "--out", "file/new"],
        ["plot", "ancestry", "run/embedding.tsv", "--out", "file/fig.png"],
        ["plot", "training", "run", "--out", "file/fig.png"],
        ["evaluate", "run/embedding.tsv", "--labels", "panel.tsv", "--json", "file/scores.json"],
    ):
        refused(5, "cannot write", *words)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may write everywhere")
def test_outputs_in_a_folder_without_permission() -> None:
    Path("locked").mkdir(mode=0o500)
    refused(5, "permission denied", "train", "good.vcf.gz", *FAST, "--out", "locked/run")
    refused(5, "permission denied", "embed", "run", "good.vcf.gz", "--out", "locked/new")


def test_outputs_that_exist_stay_unless_forced() -> None:
    for name in ("fig.png", "new.embedding.tsv", "scores.json", "taken"):
        Path(name).write_text("mine")
    for words in (
        ["train", "good.vcf.gz", *FAST, "--out", "run"],
        ["train", "good.vcf.gz", *FAST, "--out", "taken"],
        ["embed", "run", "good.vcf.gz", "--out", "new"],
        ["plot", "ancestry", "run/embedding.tsv", "--out", "fig.png"],
        ["plot", "training", "run", "--out", "fig.png"],
        ["evaluate", "run/embedding.tsv", "--labels", "panel.tsv", "--json", "scores.json"],
    ):
        refused(2, "--force", *words)


def test_force_does_not_empty_a_folder_of_somebody_else() -> None:
    Path("thesis").mkdir()
    Path("thesis", "chapter1.tex").write_text("mine")
    refused(2, "did not write", "train", "good.vcf.gz", *FAST, "--out", "thesis", "--force")
    refused(2, "did not write", "train", "good.vcf.gz", *FAST, "--out", ".", "--force")


def test_inputs_are_never_overwritten() -> None:
    Path("mine.embedding.tsv").write_bytes(Path("run/embedding.tsv").read_bytes())
    for words in (
        ["plot", "ancestry", "mine.embedding.tsv", "--out", "mine.embedding.tsv"],
        ["evaluate", "mine.embedding.tsv", "--labels", "panel.tsv", "--json", "mine.embedding.tsv"],
    ):
        refused(2, "", *words)


def test_devices_that_are_not_there() -> None:
    import torch

    absent = "cuda" if torch.backends.mps.is_available() else "mps"  # no machine has both
    refused(5, "--device auto", "train", "good.vcf.gz", "--out", "new", "--epochs", "1", "--device", absent)
    refused(5, "--device auto", "embed", "run", "good.vcf.gz", "--out", "new", "--device", absent)
    refused(2, "auto, cpu, cuda", "train", "good.vcf.gz", "--out", "new", "--device", "gpu")


def test_training_that_diverges() -> None:
    refused(4, "try --lr 5.0e-03", "train", "good.vcf.gz", "--out", "new", *FAST, "--batch-size", "9", "--lr", "1e30")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["info", "absent.vcf"], 3, "no such file"),
        (["train", "bad.vcf", "--out", "new", *FAST], 3, "columns"),
        (["embed", "run", "few.vcf", "--out", "new"], 4, "--min-overlap"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_a_shell_sees_the_same(words: list[str], code: int, said: str) -> None:
    Path("bad.vcf").write_bytes(edited(lambda f: f)[:9000])
    write_vcf(Path("few.vcf"), cohort().take_variants(np.arange(0, 200, 5)))
    before = snapshot(Path())
    done = subprocess.run([sys.executable, "-m", "genovi", *words], capture_output=True, text=True, check=False)
    check(done.returncode, done.stdout, done.stderr, code, said)
    assert snapshot(Path()) == before
