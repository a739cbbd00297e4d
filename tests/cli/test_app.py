"""Errors become one line and an exit code; bugs keep their traceback; help stays light."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from genovi import errors
from genovi_cli.app import Funnel, app

COMMANDS = [
    [],
    ["train"],
    ["embed"],
    ["plot"],
    ["plot", "ancestry"],
    ["plot", "training"],
    ["evaluate"],
    ["report"],
    ["ensemble"],
    ["export"],
    ["card"],
    ["slurm"],
    ["slurm", "train"],
    ["info"],
    ["convert"],
    ["fetch"],
    ["fetch", "1kg"],
    ["demo"],
]
HEAVY = [
    "torch", "numpy", "pandas", "scipy", "sklearn", "matplotlib", "umap", "numba", "allel", "cyvcf2", "bed_reader",
    "pgenlib", "zarr", "zstandard", "bokeh",
]  # fmt: skip


def failing(error: BaseException) -> Result:
    """What a command that raises ``error`` ends as."""
    one = typer.Typer(cls=Funnel, add_completion=False, pretty_exceptions_enable=False)

    @one.callback()
    def _root() -> None:
        pass

    @one.command()
    def fail() -> None:
        raise error

    return CliRunner().invoke(one, ["fail"])


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.ConfigError("x"), 2),
        (errors.DataError("x"), 3),
        (errors.MismatchError("x"), 4),
        (errors.TrainingError("x"), 4),
        (errors.ResourceError("x"), 5),
        (MemoryError(), 5),
        (OSError(errno.ENOSPC, "No space left on device", "/big"), 5),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 PB\nmore"), 5),
        (KeyboardInterrupt(), 130),
    ],
)
def test_deliberate_errors_are_one_line(error: BaseException, code: int) -> None:
    result = failing(error)
    assert result.exit_code == code
    assert result.stderr.startswith("genovi: error: ")
    assert result.stderr.count("\n") == 1


def test_a_message_says_what_where_why_and_what_to_do() -> None:
    result = failing(errors.DataError("no GT", where="a.vcf, line 7", why="there are no genotypes", fix="call them"))
    assert result.stderr == "genovi: error: no GT (a.vcf, line 7): there are no genotypes; call them\n"


def test_a_gpu_without_memory_is_told_what_takes_less_of_it() -> None:
    from torch import OutOfMemoryError

    result = failing(OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nmore"))
    assert result.exit_code == 5
    assert result.stderr.startswith("genovi: error: out of memory on the GPU: CUDA out of memory. Tried to allocate")
    assert result.stderr.endswith("take --device cpu, or train with a smaller --batch-size\n")


@pytest.mark.parametrize("error", [ValueError("oops"), OSError(errno.EISDIR, "oops"), RuntimeError("oops")])
def test_a_bug_keeps_its_traceback_and_asks_to_be_reported(error: Exception) -> None:
    result = failing(error)
    assert result.exit_code == 1
    assert "Traceback" in result.stderr
    assert "oops" in result.stderr
    assert "report" in result.stderr.splitlines()[-1]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help(command: list[str]) -> None:
    result = CliRunner().invoke(app, [*command, "--help"], prog_name="genovi")
    assert result.exit_code == 0
    assert result.stdout.startswith(f"Usage: {' '.join(['genovi', *command])} ")
    assert result.stderr == ""
    assert max(map(len, result.stdout.splitlines())) <= 80


@pytest.mark.parametrize(
    "command", [["train"], ["plot"], ["slurm", "train"], ["card"], ["fetch", "1kg"], []], ids=" ".join
)
def test_help_loads_nothing_heavy(command: list[str]) -> None:
    code = (
        "import sys\n"
        "from genovi_cli.app import app\n"
        "try:\n"
        f"    app({[*command, '--help']!r})\n"
        "except SystemExit as end:\n"
        "    assert end.code == 0\n"
        f"print('loaded:', [m for m in {HEAVY!r} if m in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "loaded: []"


def test_help_repeats_the_defaults_of_the_library() -> None:
    from genovi.genotypes.quality import QCConfig
    from genovi.model.config import ModelConfig
    from genovi.training.config import MIN_HELD_OUT, TrainingConfig

    text = " ".join(CliRunner().invoke(app, ["train", "--help"], prog_name="genovi").stdout.split())
    qc = QCConfig()
    assert f"Smallest minor allele frequency. [default: {qc.maf:g}]" in text
    assert f"Largest missing share of a variant. [default: {qc.geno:g}]" in text
    assert f"Largest missing share of a sample. [default: {qc.mind:g}]" in text
    assert qc.indep_pairwise is not None
    assert f"switches it off. [default: {' '.join(f'{v:g}' for v in qc.indep_pairwise)}]" in text
    assert f"LD lie. [default: {qc.build}]" in text
    watched, training = 10 * MIN_HELD_OUT, TrainingConfig()
    usual, binomial = (training.steps_for(ModelConfig(likelihood=name), watched) for name in ("gaussian", "binomial"))
    assert f"as many as {usual:,} optimiser steps need ({binomial:,} with --likelihood binomial)" in text
    few = training.steps_for(ModelConfig(), watched - 1)
    assert f"under {watched} samples, of whom nobody is held out, {few:,} at most" in text
    assert qc.autosomes_only
    assert qc.long_range_ld


def test_without_a_command_it_shows_help() -> None:
    for words in ([], ["plot"], ["slurm"]):
        result = CliRunner().invoke(app, words, prog_name="genovi")
        assert result.exit_code == 0
        assert "Commands:" in result.stdout


@pytest.mark.parametrize("words", [["-m", "genovi"], ["-m", "genovi_cli"]])
def test_version_from_every_door(words: list[str]) -> None:
    from genovi import __version__

    done = subprocess.run([sys.executable, *words, "--version"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"genovi {__version__}\n", "")


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["trian"], "'train'"),
        (["train", "x.vcf", "--out", "run", "--latent-dims", "3"], "--latent-dim"),
        (["train"], "INPUT"),
        (["train", "x.vcf"], "--out"),
        (["evaluate", "x.tsv"], "--labels"),
        (["train", "x.vcf", "--out", "run", "--maf", "little"], "--maf"),
        (["plot", "ancestri"], "'ancestry'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_usage_errors_are_one_line_with_a_hint(words: list[str], hint: str) -> None:
    result = CliRunner().invoke(app, words, prog_name="genovi")
    assert result.exit_code == 2
    assert result.stderr.startswith("genovi: error: ")
    assert result.stderr.count("\n") == 1
    assert hint in result.stderr
    assert "--help'" in result.stderr


def test_a_reader_that_goes_away_ends_it_quietly(tmp_path: Path) -> None:
    vcf = tmp_path / "many.vcf"
    head = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\ts1\n"
    vcf.write_text(head + "".join(f"c{i}\t1\t.\tA\tG\t.\t.\t.\tGT\t0/1\n" for i in range(20_000)))
    read, write = os.pipe()
    os.close(read)  # the reader is gone before anything is written
    with os.fdopen(write, "w") as gone:
        done = subprocess.run(
            [sys.executable, "-m", "genovi", "info", "--json", vcf],
            stdout=gone,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 141
    assert "Traceback" not in done.stderr
    assert "Broken" not in done.stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_end_it_in_one_line_and_leave_nothing_unfinished(tmp_path: Path, number: int, code: int) -> None:
    script = (
        "import time, typer\n"
        "from pathlib import Path\n"
        "from genovi.files import atomic_folder\n"
        "from genovi_cli.app import Funnel\n"
        "app = typer.Typer(cls=Funnel, pretty_exceptions_enable=False)\n"
        "@app.callback()\n"
        "def root(): pass\n"
        "@app.command()\n"
        "def wait():\n"
        f"    with atomic_folder(Path({str(tmp_path / 'out')!r})) as folder:\n"
        "        (folder / 'half').write_text('x')\n"
        "        print('ready', flush=True)\n"
        "        time.sleep(60)\n"
        "app(['wait'])\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),  # a shell starts background jobs with SIGINT ignored
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.05)
        process.send_signal(number)
        _, stderr = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == code
    assert stderr.startswith("genovi: error: ")
    assert stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_errors_do_not_reach_stdout_where_json_is_expected(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["info", "--json", str(tmp_path / "absent.vcf")], prog_name="genovi")
    assert result.exit_code == 3
    assert result.stdout == ""
    with pytest.raises(json.JSONDecodeError):
        json.loads(result.stdout)
