"""The main job through the command line, on a simulated cohort small enough to train in seconds."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from helpers import simulate_structure, with_children, write_vcf

from genovi.embedding import Embedding
from genovi.errors import ConfigError
from genovi.genotypes.hardyweinberg import HardyWeinberg
from genovi.genotypes.matrix import GenotypeMatrix
from genovi_cli.commands.train import parse_hwe, parse_indep_pairwise

FAST = ("--epochs", "12", "--batch-size", "32", "--device", "cpu", "--threads", "1", "--steps", "2")
RUN_FILES = {
    "model.safetensors",
    "model.json",
    "variants.tsv.gz",
    "history.csv",
    "qc.json",
    "embedding.tsv",
    "genovi.log",
}


def cohort() -> tuple[GenotypeMatrix, np.ndarray]:
    return simulate_structure(seed=4, n_populations=3, n_per=30, n_variants=400, fst=0.15, missing=0.01)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``all.vcf.gz``, ``new.vcf``, ``panel.tsv`` and a run of the first 75 samples."""
    from typer.testing import CliRunner

    from genovi_cli.app import app

    folder = tmp_path_factory.mktemp("trained")
    matrix, pops = cohort()
    old, new = np.arange(90) % 6 != 0, np.arange(90) % 6 == 0
    write_vcf(folder / "old.vcf.gz", matrix.take_samples(old), "bgzf")
    write_vcf(folder / "new.vcf", matrix.take_samples(new))
    rows = [f"{s}\t{p}" for s, p in zip(matrix.samples, pops, strict=True)]
    (folder / "panel.tsv").write_text("\n".join(["sample\tpop", *rows]) + "\n")
    words = [
        "train",
        folder / "old.vcf.gz",
        "--labels",
        folder / "panel.tsv",
        "--out",
        folder / "run",
        "--seed",
        "3",
        *FAST,
    ]
    result = CliRunner().invoke(app, [str(word) for word in words], prog_name="genovi")
    assert result.exit_code == 0, result.output
    return folder


def test_a_run_has_its_files_and_no_others(trained: Path) -> None:
    assert {path.name for path in (trained / "run").iterdir()} == RUN_FILES
    assert not [path for path in trained.iterdir() if path.name.startswith(".")]


def test_the_embedding_has_the_samples_in_input_order(trained: Path) -> None:
    embedding = Embedding.read_tsv(trained / "run" / "embedding.tsv")
    assert embedding.samples == tuple(f"s{i + 1}" for i in range(90) if i % 6 != 0)
    assert embedding.n_dimensions == 2
    assert embedding.std is not None
    assert (embedding.std > 0).all()


def test_the_log_says_what_was_done(trained: Path) -> None:
    log = (trained / "run" / "genovi.log").read_text()
    for line in (
        "  --epochs 12",
        "  --maf 0.01",
        "  --indep-pairwise 50 5 0.2",
        "  --autosome",
        "Random number seed: 3",
    ):
        assert line in log.splitlines()
    assert "labels for 75 of 75 samples" in log
    assert "--mind: 0 of 75 samples removed" in log
    assert "epoch 12 of at most 12" in log
    manifest = json.loads((trained / "run" / "model.json").read_text())
    assert "old.vcf.gz" in json.dumps(manifest)  # the digest of the input


def test_no_sample_is_named_in_the_model(trained: Path) -> None:
    run = trained / "run"
    assert "s11" not in (run / "model.json").read_text()
    assert "s11" not in gzip.decompress((run / "variants.tsv.gz").read_bytes()).decode()


def test_training_history_can_be_drawn(shell: Any, trained: Path) -> None:
    history = pd.read_csv(trained / "run" / "history.csv")
    assert history["epoch"].tolist() == list(range(1, len(history) + 1))
    assert shell("plot", "training", trained / "run", "--out", "fig.png").exit_code == 0


def test_the_same_seed_gives_the_same_embedding(shell: Any, trained: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        assert shell("train", trained / "old.vcf.gz", "--out", name, "--seed", "3", *FAST).exit_code == 0
    first = (tmp_path / "a" / "embedding.tsv").read_bytes()
    assert first == (tmp_path / "b" / "embedding.tsv").read_bytes()
    assert first == (trained / "run" / "embedding.tsv").read_bytes()  # labels make no difference
    assert shell("train", trained / "old.vcf.gz", "--out", "c", "--seed", "4", *FAST).exit_code == 0
    assert first != (tmp_path / "c" / "embedding.tsv").read_bytes()


def test_a_seed_that_was_drawn_is_recorded(shell: Any, trained: Path, tmp_path: Path) -> None:
    assert shell("train", trained / "old.vcf.gz", "--out", "run", *FAST).exit_code == 0
    lines = (tmp_path / "run" / "genovi.log").read_text().splitlines()
    (seed,) = [line.removeprefix("  --seed ") for line in lines if line.startswith("  --seed ")]
    assert f"Random number seed: {seed}" in lines
    assert json.loads((tmp_path / "run" / "model.json").read_text())["seed"] == int(seed)


def test_quality_control_options_reach_the_library(shell: Any, trained: Path, tmp_path: Path) -> None:
    (tmp_path / "few.txt").write_text("\n".join(f"s{i}" for i in range(2, 60)) + "\n")
    (tmp_path / "drop.txt").write_text("v1\nv2\nv3\n")
    words = [
        "--maf",
        "0.05",
        "--geno",
        "0.2",
        "--mind",
        "0.3",
        "--indep-pairwise",
        "20",
        "2",
        "0.5",
        "--keep",
        "few.txt",
    ]
    words += ["--exclude", "drop.txt", "--chr", "1-5", "--build", "GRCh38", "--no-long-range-ld", "--all-contigs"]
    result = shell("train", trained / "old.vcf.gz", "--out", "run", *words, *FAST)
    assert result.exit_code == 0, result.output
    used = json.dumps(json.loads((tmp_path / "run" / "qc.json").read_text()))
    for setting in ('"maf": 0.05', '"geno": 0.2', '"mind": 0.3', '"indep_pairwise": [20, 2, 0.5]', '"n_exclude": 3'):
        assert setting in used
    for setting in ('"autosomes_only": false', '"long_range_ld": false', '"chromosomes": ["1", "2", "3", "4", "5"]'):
        assert setting in used
    assert "  --indep-pairwise 20 2 0.5" in (tmp_path / "run" / "genovi.log").read_text().splitlines()


def test_relatives_and_hardy_weinberg_from_the_command_line(shell: Any, tmp_path: Path) -> None:
    matrix = with_children(simulate_structure(4, 2, 20, 600, 0.05)[0], [(0, 1), (3, 3)])
    write_vcf(tmp_path / "a.vcf", matrix)
    result = shell("train", "--king-cutoff", "0.177", "--hwe", "1e-9", "0.001", "midp", "keep-fewhet", "a.vcf",
                   "--out", "run", *FAST)  # fmt: skip
    assert result.exit_code == 0, result.output
    assert Embedding.read_tsv(tmp_path / "run" / "embedding.tsv").samples == matrix.samples
    qc = json.loads((tmp_path / "run" / "qc.json").read_text())
    assert qc["thresholds"]["king_cutoff"] == 0.177
    assert qc["thresholds"]["hwe"] == {"p": 1e-9, "k": 0.001, "midp": True, "keep_fewhet": True}
    log = (tmp_path / "run" / "genovi.log").read_text()
    assert "  --king-cutoff 0.177" in log.splitlines()
    assert "  --hwe 1e-9 0.001 midp keep-fewhet" in log.splitlines()
    assert "--king-cutoff: 2 of 42 samples removed, 40 kept" in log
    assert "embedded 2 relatives of them afterwards" in log


def test_relatives_are_warned_of_where_nothing_is_said(shell: Any, tmp_path: Path) -> None:
    write_vcf(tmp_path / "a.vcf", with_children(simulate_structure(4, 2, 20, 600, 0.05)[0], [(3, 3)]))
    result = shell("train", "a.vcf", "--out", "run", "--quiet", *FAST)
    assert result.exit_code == 0, result.output
    assert "1 pair of close relatives (kinship above 0.245) among 41 samples, s4 and s41," in result.stderr
    assert "--king-cutoff 0.0884" in result.stderr


def test_model_options_reach_the_library(shell: Any, trained: Path, tmp_path: Path) -> None:
    words = ["--latent-dim", "3", "--posterior", "gaussian", "--prior", "normal", "--pcs", "5", "--lr", "0.001"]
    assert shell("train", trained / "old.vcf.gz", "--out", "run", *words, *FAST).exit_code == 0
    assert Embedding.read_tsv(tmp_path / "run" / "embedding.tsv").n_dimensions == 3
    manifest = (tmp_path / "run" / "model.json").read_text()
    assert '"gaussian"' in manifest
    assert '"normal"' in manifest


def test_dry_run_plans_and_writes_nothing(shell: Any, trained: Path, tmp_path: Path) -> None:
    result = shell("train", trained / "old.vcf.gz", "--out", "run", "--dry-run", *FAST)
    assert result.exit_code == 0
    assert "would read" in result.stdout
    assert "75 samples x 400 variants" in result.stdout
    filters = "--maf 0.01 --geno 0.05 --mind 0.1 --indep-pairwise 50 5 0.2 --build auto --autosome"
    assert f"would filter with {filters}\n" in result.stdout
    assert not list(tmp_path.iterdir())


def test_dry_run_words_of_filters_can_be_typed(shell: Any, trained: Path, tmp_path: Path) -> None:
    typed = "--maf 0.02 --geno 0.05 --mind 0.1 --hwe 1e-09 0.001 midp keep-fewhet --king-cutoff 0.177"
    typed += " --indep-pairwise none --build GRCh37 --region 1:1-900 --region 2 --all-contigs --no-long-range-ld"
    result = shell("train", trained / "old.vcf.gz", "--out", "run", "--dry-run", *typed.split())
    assert result.exit_code == 0, result.output
    assert f"would filter with {typed}\n" in result.stdout
    (tmp_path / "some.txt").write_text("s2\ns3\ns4\n")
    result = shell("train", trained / "old.vcf.gz", "--out", "run", "--dry-run", "--keep", "some.txt", "--chr", "1,X")
    assert "--chr 1,X --build auto --keep (3 samples) --autosome" in result.stdout


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--pcs", "75"], 3, "75 principal components cannot come from 75 samples (--pcs 75): there are at most 74"),
        (["--pcs", "3", "--keep", "three.txt"], 3, "there are at most 2"),
        (["--labels", "other.tsv"], 4, "no sample has labels"),
        (["--labels", "one.tsv", "--semi-supervised", "pop"], 3, "only 1 class to learn"),
    ],
)
def test_dry_run_refuses_what_the_names_of_samples_rule_out(
    shell: Any, trained: Path, tmp_path: Path, words: list[str], code: int, said: str
) -> None:
    (tmp_path / "three.txt").write_text("s2\ns3\ns4\n")
    (tmp_path / "other.tsv").write_text("sample\tpop\nx1\tA\nx2\tB\n")
    (tmp_path / "one.tsv").write_text("sample\tpop\n" + "".join(f"s{i}\tA\n" for i in range(1, 91)))
    shell.refuses(code, said, "train", trained / "old.vcf.gz", "--out", "run", "--dry-run", *words)
    assert shell("train", trained / "old.vcf.gz", "--out", "run", *words, *FAST).exit_code == code  # as in earnest


def test_quiet_says_nothing_but_warnings(shell: Any, trained: Path) -> None:
    result = shell("train", trained / "old.vcf.gz", "--out", "run", "--quiet", *FAST)
    assert result.exit_code == 0
    assert result.stdout == ""
    assert all(line.startswith("Warning: ") for line in result.stderr.splitlines())


def test_embed_places_new_samples(shell: Any, trained: Path, tmp_path: Path) -> None:
    result = shell("embed", trained / "run", trained / "new.vcf", "--out", "new", "--eigenvec")
    assert result.exit_code == 0, result.output
    assert "embedded 15 samples" in result.stdout
    assert {path.name for path in tmp_path.iterdir()} == {
        "new.embedding.tsv",
        "new.match.tsv",
        "new.log",
        "new.eigenvec",
    }
    assert Embedding.read_tsv(tmp_path / "new.embedding.tsv").samples == tuple(f"s{i + 1}" for i in range(0, 90, 6))
    log = (tmp_path / "new.log").read_text()
    assert "  --eigenvec" in log.splitlines()
    assert "embedded 15 samples" in log
    drawn = shell("plot", "ancestry", "new.embedding.tsv", "--labels", trained / "panel.tsv", "--out", "new.png")
    assert drawn.exit_code == 0


def test_embed_refuses_too_little_overlap(shell: Any, trained: Path, tmp_path: Path) -> None:
    matrix, _ = cohort()
    write_vcf(tmp_path / "few.vcf", matrix.take_variants(np.arange(100)))
    result = shell("embed", trained / "run", "few.vcf", "--out", "x")
    assert result.exit_code == 4
    assert "Traceback" not in result.stderr
    error = result.stderr.splitlines()[-1]
    assert error.startswith("genovi: error: only ")
    assert "--min-overlap" in error
    assert [path.name for path in tmp_path.iterdir()] == ["few.vcf"]
    assert shell("embed", trained / "run", "few.vcf", "--out", "x", "--min-overlap", "0.1").exit_code == 0


def test_embed_dry_run_matches_and_writes_nothing(shell: Any, trained: Path, tmp_path: Path) -> None:
    Path("new.embedding.tsv").write_text("mine")  # is in nobody's way, as nothing is written
    result = shell("embed", trained / "run", trained / "new.vcf", "--out", "new", "--dry-run")
    assert result.exit_code == 0, result.output
    assert "would embed 15 samples with 100.0 % of the model's" in result.stdout
    assert "missing in a sample: 0." in result.stdout
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("new.embedding.tsv", "mine")]
    matrix, _ = cohort()
    write_vcf(tmp_path / "few.vcf", matrix.take_variants(np.arange(100)))
    shell.refuses(4, "--min-overlap", "embed", trained / "run", "few.vcf", "--out", "x", "--dry-run", "--quiet")


def on_another_build(path: Path, matrix: GenotypeMatrix) -> Path:
    """``matrix`` some base pairs further on, in a VCF whose header says GRCh38."""
    moved = replace(matrix, variants=replace(matrix.variants, pos=matrix.variants.pos + 17))
    text = write_vcf(path, moved).read_text()
    path.write_text(text.replace("##fileformat=VCFv4.2", "##fileformat=VCFv4.2\n##reference=GRCh38", 1))
    return path


def test_embed_on_another_build_is_refused_and_goes_by_identifier(shell: Any, trained: Path, tmp_path: Path) -> None:
    matrix, _ = cohort()
    new = matrix.take_samples(np.arange(90) % 6 == 0)
    words = ("train", trained / "old.vcf.gz", "--build", "GRCh37", "--out", "run", "--seed", "3", *FAST)
    assert shell(*words).exit_code == 0
    on_another_build(tmp_path / "new.vcf", new)
    shell.refuses(4, "the model on GRCh37", "embed", "run", "new.vcf", "--out", "new", "--quiet")
    assert shell("embed", "run", "new.vcf", "--out", "new", "--match-by", "id").exit_code == 0
    assert shell("embed", "run", trained / "new.vcf", "--out", "same").exit_code == 0
    assert (tmp_path / "new.embedding.tsv").read_bytes() == (tmp_path / "same.embedding.tsv").read_bytes()
    shell.refuses(4, "as told", "embed", "run", trained / "new.vcf", "--out", "x", "--build", "GRCh38", "--quiet")


@pytest.mark.parametrize("name", ["new.embedding.tsv", "new.match.tsv", "new.log"])
def test_embed_keeps_existing_outputs_unless_forced(shell: Any, trained: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    words = ("embed", trained / "run", trained / "new.vcf", "--out", "new")
    shell.refuses(2, "--force", *words)
    assert (tmp_path / name).read_text() == "mine"
    assert shell(*words, "--force").exit_code == 0


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["absent.vcf"], 3, "no such file"),
        (["empty.vcf"], 3, "empty"),
        (["OLD", "--labels", "absent.tsv"], 3, "no such file (absent.tsv)"),
        (["OLD", "--labels", "other.tsv"], 4, "no sample has labels"),
        (["OLD", "--posterior", "flow"], 2, "ddvi, gaussian"),
        (["OLD", "--device", "tpu"], 2, "auto, cpu, cuda, mps"),
        (["OLD", "--maf", "0.7"], 2, "--maf 0.7"),
        (["OLD", "--king-cutoff", "0"], 2, "outside (0, 0.5]"),
        (["OLD", "--king-cutoff", "0.7"], 2, "--king-cutoff 0.7"),
        (["OLD", "--king-cutoff", "nan"], 2, "--king-cutoff nan"),
        (["OLD", "--king-cutoff", "close"], 2, "--king-cutoff"),
        (["OLD", "--hwe", "2"], 2, "--hwe 2 "),
        (["OLD", "--hwe", "1e-6", "-1"], 2, "k is below 0"),
        (["OLD", "--hwe", "keep-fewhet"], 2, "1e-6 keep-fewhet"),
        (["OLD", "--hwe", "1e-6 0.1 0.2"], 2, "1e-6 keep-fewhet"),
        (["OLD", "--hwe", "1e-6 keep"], 2, "--hwe 1e-6 keep"),
        (["OLD", "--indep-pairwise", "50kb 5 0.2"], 2, "counted in variants"),
        (["OLD", "--indep-pairwise", "50kb", "5", "0.2"], 2, "counted in variants"),
        (["OLD", "--indep-pairwise", "a b"], 2, "50 5 0.2"),
        (["OLD", "--pcs", "many"], 2, "--pcs many"),
        (["OLD", "--pcs", "75"], 3, "--pcs auto"),
        (["OLD", "--latent-dim", "0"], 2, "--latent-dim"),
        (["OLD", "--keep", "absent.txt"], 3, "absent.txt"),
        (["OLD", "--keep", "empty.txt"], 3, "--keep names nothing (empty.txt)"),
        (["OLD", "--chr", "30-20"], 2, "--chr"),
        (["OLD", "--chr", "21", "--maf", "0.5"], 3, "variant"),
        (["OLD", "--out", "other.tsv/run"], 5, "cannot write"),
        (["OLD", "--out", "other.tsv"], 2, "--force"),
        (["OLD", "NEW"], 4, ""),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_train_refuses(shell: Any, trained: Path, tmp_path: Path, words: list[str], code: int, said: str) -> None:
    (tmp_path / "empty.txt").touch()
    (tmp_path / "empty.vcf").touch()
    (tmp_path / "other.tsv").write_text("sample\tpop\nx1\tA\nx2\tB\n")
    paths = {"OLD": str(trained / "old.vcf.gz"), "NEW": str(trained / "new.vcf")}
    shell.refuses(
        code,
        said,
        "train",
        *(paths.get(word, word) for word in words),
        *([] if "--out" in words else ["--out", "run"]),
        "--quiet",
    )


def test_train_refuses_one_sample(shell: Any, tmp_path: Path) -> None:
    write_vcf(tmp_path / "one.vcf", cohort()[0].take_samples(np.array([0])))
    shell.refuses(3, "", "train", "one.vcf", "--out", "run", "--quiet")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["absent", "NEW"], 3, "absent"),
        (["RUN", "absent.vcf"], 3, "no such file"),
        (["RUN", "NEW", "--min-overlap", "2"], 2, "--min-overlap 2"),
        (["RUN", "NEW", "--match-by", "name"], 2, "position or id"),
        (["RUN", "NEW", "--build", "hg19"], 2, "GRCh37, GRCh38 or none"),
        (["RUN", "absent.vcf", "--dry-run"], 3, "no such file"),
        (["RUN", "NEW", "--device", "tpu"], 2, "--device"),
        (["RUN", "NEW", "--threads", "0"], 2, "--threads"),
        (["RUN"], 2, "INPUT"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_embed_refuses(shell: Any, trained: Path, words: list[str], code: int, said: str) -> None:
    paths = {"RUN": str(trained / "run"), "NEW": str(trained / "new.vcf")}
    shell.refuses(code, said, "embed", *(paths.get(word, word) for word in words), "--out", "new", "--quiet")


@pytest.mark.parametrize(
    ("text", "meant"),
    [("50 5 0.2", (50, 5, 0.2)), ("1000,50,0.05", (1000, 50, 0.05)), ("none", None), ("  NONE ", None)],
)
def test_indep_pairwise(text: str, meant: tuple[int, int, float] | None) -> None:
    assert parse_indep_pairwise(text) == meant


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("1e-6", HardyWeinberg(1e-6)),
        ("1e-6 0.001", HardyWeinberg(1e-6, 0.001)),
        ("midp 0.01 keep-fewhet", HardyWeinberg(0.01, 0, True, True)),
        ("0,0.5,midp", HardyWeinberg(0, 0.5, True)),
    ],
)
def test_hwe(text: str, meant: HardyWeinberg) -> None:
    assert parse_hwe(text) == meant


@pytest.mark.parametrize("text", ["", "50", "50 5", "50 5 0.2 1", "50 5 x", "1.5 5 0.2", "50 5 nan", "50kb 5 0.2"])
def test_indep_pairwise_refuses(text: str) -> None:
    with pytest.raises(ConfigError, match="indep-pairwise"):
        parse_indep_pairwise(text)


def test_demo_makes_a_picture_and_says_what_to_try_next(shell: Any, tmp_path: Path) -> None:
    result = shell("demo", "--epochs", "2", "--threads", "1")
    assert result.exit_code == 0, result.output
    out = tmp_path / "genovi-demo"
    assert {path.name for path in out.iterdir()} == {
        "run",
        "ancestry.png",
        "scores.json",
        "new.embedding.tsv",
        "new.match.tsv",
        "new.log",
    }
    assert {path.name for path in (out / "run").iterdir()} == RUN_FILES
    assert "genovi-demo/ancestry.png" in result.stdout
    assert "genovi train cohort.vcf.gz --out run" in result.stdout
    assert "$ genovi train demo_train.vcf.gz" in result.stderr
    shell.refuses(2, "--force", "demo")
