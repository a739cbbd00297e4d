"""``genovi slurm`` against a real Slurm: what is submitted runs, and what is stopped goes on and ends the same."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers import simulate_structure, write_vcf
from slurms import NotStartedError, Slurm, running_slurm, why_not
from typer.testing import CliRunner

from genovi.training.checkpointing import LATEST
from genovi_cli.app import app

pytestmark = pytest.mark.skipif(why_not() is not None, reason=f"no Slurm: {why_not()}")

needs_two_cores = pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="two tasks need two cores")

SAME = ("model.safetensors", "embedding.tsv", "variants.tsv.gz", "qc.json")  # the others hold times
LENGTH = ("--epochs", "60", "--batch-size", "32", "--steps", "1", "--device", "cpu", "--checkpoint-every", "0")


@pytest.fixture(scope="module")
def slurm() -> Iterator[Slurm]:
    with ExitStack() as stack:
        try:
            started = stack.enter_context(running_slurm())
        except NotStartedError as error:  # what the machine forbids says nothing about genovi
            pytest.skip(str(error))
        yield started


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose name needs quotes, with genotypes in it."""
    folder = tmp_path_factory.mktemp("a cohort")
    matrix, _ = simulate_structure(seed=4, n_populations=3, n_per=40, n_variants=300, fst=0.15)
    write_vcf(folder / "the cohort.vcf.gz", matrix, "bgzf")
    return folder


@pytest.fixture
def here(slurm: Slurm, cohort: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder, as the one where commands are typed on a machine of the cluster."""
    monkeypatch.chdir(cohort)
    monkeypatch.setenv("SLURM_CONF", slurm.environment["SLURM_CONF"])
    return cohort


def submitted(*words: str) -> list[str]:
    """Numbers of the jobs that a command submitted."""
    result = CliRunner().invoke(
        app, ["slurm", "train", "the cohort.vcf.gz", *LENGTH, *words, "--submit"], prog_name="genovi"
    )
    assert result.exit_code == 0, result.output
    return [line.split()[-1] for line in result.stdout.splitlines() if line.startswith("submitted ")]


def under_way(out: Path) -> bool:
    return out.with_name(out.name + ".checkpoint").joinpath(LATEST).exists()


def result_of(run: Path) -> list[bytes]:
    return [(run / name).read_bytes() for name in SAME]


def log_of(out: Path, job: str) -> str:
    return out.with_name(f"{out.name}.slurm-{job}.log").read_text()


def test_seeds_as_an_array_one_of_them_preempted_then_compared(slurm: Slurm, here: Path) -> None:
    out = here / "my runs"
    array, ensemble = submitted("--out", out.name, "--array-seeds", "1-2", "--requeue")
    slurm.wait_for(lambda: under_way(out / "seed-2"), "a checkpoint of seed 2")
    assert slurm.facts(ensemble)["JobState"] == "PENDING"
    assert slurm.facts(ensemble)["Reason"] == "Dependency"
    slurm.call("scancel", "--signal=TERM", f"{array}_2")  # what Slurm sends to the steps of a job that it preempts
    slurm.wait_for(lambda: int(slurm.facts(f"{array}_2")["Restarts"]) == 1, "the second start of seed 2")
    words = ["train", "the cohort.vcf.gz", "--out", "whole", *LENGTH, "--seed", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-m", "genovi", *words], env=environment, capture_output=True, check=True)

    assert slurm.ended(array) == {f"{array}_1": "COMPLETED", f"{array}_2": "COMPLETED"}
    assert slurm.ended(ensemble) == {ensemble: "COMPLETED"}
    said = log_of(out, f"{array}-2")
    assert "stopped; back into the queue" in said
    assert "going on from the checkpoint in my runs/seed-2.checkpoint" in said
    assert slurm.facts(f"{array}_1")["Restarts"] == "0"
    assert result_of(out / "seed-2") == result_of(here / "whole")
    assert result_of(out / "seed-1") != result_of(here / "whole")
    runs = pd.read_csv(out / "ensemble" / "runs.tsv", sep="\t")
    assert sorted(runs["SEED"]) == [1, 2]
    assert (out / "ensemble" / "best").resolve() == here / runs["RUN"][0]
    assert "best run: my runs/seed-" in log_of(out, ensemble)

    again = slurm.call("sbatch", "--parsable", "my runs.sbatch").strip()  # trains what is missing: nothing
    assert set(slurm.ended(again).values()) == {"COMPLETED"}
    assert log_of(out, f"{again}-1") == "my runs/seed-1 is there already\n"


def test_near_its_limit_a_job_queues_again_if_asked_to_and_cancelled_it_stays_cancelled(
    slurm: Slurm, here: Path
) -> None:
    again, once = here / "again", here / "once"
    forever = ("--seed", "5", "--epochs", "100000")
    (job,) = submitted("--out", again.name, *forever, "--requeue")
    (other,) = submitted("--out", once.name, *forever)
    for out, number in ((once, other), (again, job)):
        slurm.wait_for(partial(under_way, out), f"a checkpoint of {out.name}")
        slurm.call("scancel", "--batch", "--signal=TERM", number)  # what --signal=B:TERM@... sends to the script
    assert slurm.ended(other) == {other: "FAILED"}
    assert slurm.facts(other)["ExitCode"] == "75:0"
    assert "stopped; submit this script again to go on" in log_of(once, other)
    slurm.wait_for(lambda: "going on from the checkpoint" in log_of(again, job), "the second start")
    assert slurm.facts(job)["Restarts"] == "1"
    slurm.call("scancel", job)
    assert slurm.ended(job) == {job: "CANCELLED"}
    assert log_of(again, job).count("back into the queue") == 1


@needs_two_cores
def test_two_tasks_of_a_step_share_a_run(slurm: Slurm, here: Path) -> None:
    (job,) = submitted("--out", "together", "--processes", "2", "--epochs", "4", "--seed", "2")
    assert slurm.ended(job) == {job: "COMPLETED"}, log_of(here / "together", job)
    assert log_of(here / "together", job).count("trained on 120 samples") == 1
    assert "2 processes share the work" in (here / "together" / "genovi.log").read_text()


@needs_two_cores
@pytest.mark.verification
def test_two_tasks_that_are_stopped_go_on(slurm: Slurm, here: Path) -> None:
    out = here / "shared"
    (job,) = submitted("--out", out.name, "--processes", "2", "--epochs", "120", "--seed", "2", "--requeue")
    slurm.wait_for(lambda: under_way(out), "a checkpoint")
    slurm.call("scancel", "--signal=TERM", job)
    slurm.wait_for(lambda: int(slurm.facts(job)["Restarts"]) == 1, "the second start")
    assert slurm.ended(job) == {job: "COMPLETED"}
    said = log_of(out, job)
    assert "stopped; back into the queue" in said
    assert said.count("genovi: error: interrupted (epoch ") == 1
    assert said.count("going on from the checkpoint in shared.checkpoint") == 1
    assert said.count("trained on 120 samples") == 1
    alone = ["train", "the cohort.vcf.gz", "--out", "alone", *LENGTH, "--epochs", "120", "--seed", "2"]
    subprocess.run([sys.executable, "-m", "genovi", *alone], capture_output=True, check=True)
    one, two = (pd.read_csv(run / "embedding.tsv", sep="\t") for run in (out, here / "alone"))
    np.testing.assert_allclose(one[["Z1", "Z2"]], two[["Z1", "Z2"]], rtol=0, atol=1e-2)


@pytest.mark.verification
def test_two_nodes_share_a_run(cohort: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(cohort)
    with ExitStack() as stack:
        try:
            slurm = stack.enter_context(running_slurm(nodes=2))
        except NotStartedError as error:
            pytest.skip(str(error))
        monkeypatch.setenv("SLURM_CONF", slurm.environment["SLURM_CONF"])
        (job,) = submitted("--out", "apart", "--nodes", "2", "--epochs", "4", "--seed", "2")
        assert slurm.ended(job) == {job: "COMPLETED"}, log_of(cohort / "apart", job)
        assert slurm.facts(job)["NumNodes"] == "2"
    assert log_of(cohort / "apart", job).count("trained on 120 samples") == 1
    assert "2 processes share the work" in (cohort / "apart" / "genovi.log").read_text()


def test_what_sbatch_refuses_is_said(slurm: Slurm, here: Path) -> None:
    words = ["slurm", "train", "the cohort.vcf.gz", "--out", "nowhere", "--partition", "none", "--submit"]
    result = CliRunner().invoke(app, words, prog_name="genovi")
    assert result.exit_code == 5
    assert result.stderr.startswith("genovi: error: sbatch refused the job (nowhere.sbatch): ")
    assert "invalid partition" in result.stderr.lower()
