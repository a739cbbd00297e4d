"""Stopping and going on, as a batch system does it: real processes, real signals."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from helpers import simulate_structure, write_vcf
from typer.testing import CliRunner

from genovi.training.checkpointing import LATEST
from genovi_cli.app import app

SECONDS = 300  # no machine is so busy
SAME = ("model.safetensors", "embedding.tsv", "variants.tsv.gz", "qc.json")  # the others hold times
LONG = ("--epochs", "80", "--batch-size", "32", "--device", "cpu", "--threads", "1", "--checkpoint-every", "0")


@dataclass
class Cluster:
    """Starts ``genovi train`` on one cohort in a folder, and sends signals to it."""

    folder: Path
    options: tuple[str, ...] = LONG
    running: list[subprocess.Popen[str]] = field(default_factory=list)

    def start(self, out: str, *more: str) -> subprocess.Popen[str]:
        words = [sys.executable, "-m", "genovi", "train", "cohort.vcf.gz", "--out", out, *self.options, *more]
        # a suite that runs in the background hands SIGINT down ignored, which Python leaves as it is
        process = subprocess.Popen(
            words,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler) and None,
        )
        self.running.append(process)
        return process

    def finish(self, out: str, *more: str) -> str:
        """Run to the end; returns stderr."""
        process = self.start(out, *more)
        try:
            _, said = process.communicate(timeout=SECONDS)
        finally:
            self.stop()
        assert process.returncode == 0, said
        return said

    def stop(self) -> None:
        """End what is still running."""
        for process in self.running:
            process.kill()
            process.communicate()
        self.running = []

    def wait_for(self, condition: Callable[[], bool], process: subprocess.Popen[str]) -> bool:
        """Whether the condition came true before the process ended."""
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            if condition():
                return True
            if process.poll() is not None:
                return False
            time.sleep(0.005)
        raise AssertionError(f"nothing happened in {SECONDS} s")

    def version(self, out: str) -> int:
        """Changes with every checkpoint."""
        try:
            return os.stat(self.folder / f"{out}.checkpoint" / LATEST).st_ino
        except FileNotFoundError:
            return 0

    def result(self, out: str) -> list[bytes]:
        return [(self.folder / out / name).read_bytes() for name in SAME]


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cluster")
    matrix, _ = simulate_structure(seed=4, n_populations=3, n_per=30, n_variants=400, fst=0.15)
    write_vcf(folder / "cohort.vcf.gz", matrix, "bgzf")
    return folder


@pytest.fixture
def cluster(cohort: Path) -> Iterator[Cluster]:
    cluster = Cluster(cohort)
    yield cluster
    cluster.stop()


@pytest.fixture(scope="module")
def whole(cohort: Path) -> list[bytes]:
    """What a run that nobody stops makes of seed 3."""
    cluster = Cluster(cohort)
    cluster.finish("whole", "--seed", "3")
    assert not (cohort / "whole.checkpoint").exists()
    return cluster.result("whole")


def kill_and_go_on(cluster: Cluster, out: str, kills: int, rng: random.Random) -> int:
    """Kill the run ``kills`` times at random moments of training, then let it finish; returns the number of kills."""
    killed = 0
    while killed < kills:
        process = cluster.start(out, "--seed", "3", "--resume", "auto")
        before = cluster.version(out)
        changed = cluster.wait_for(lambda before=before: cluster.version(out) != before, process)
        if not changed:
            break
        time.sleep(rng.uniform(0, 0.3))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        killed += 1
        assert not (cluster.folder / out).exists() or process.returncode == 0
    if not (cluster.folder / out).exists():
        said = cluster.finish(out, "--seed", "3")
        assert "going on from the checkpoint in" in said
    assert not (cluster.folder / f"{out}.checkpoint").exists()
    return killed


def test_killed_at_random_it_ends_as_if_never_killed(cluster: Cluster, whole: list[bytes]) -> None:
    assert kill_and_go_on(cluster, "killed", 2, random.Random(1)) == 2
    assert cluster.result("killed") == whole


@pytest.mark.verification
def test_killed_twenty_times(cohort: Path) -> None:
    cluster = Cluster(cohort, (*LONG, "--epochs", "1000"))
    cluster.finish("long", "--seed", "3")
    assert kill_and_go_on(cluster, "killed20", 20, random.Random(2)) == 20
    assert cluster.result("killed20") == cluster.result("long")


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", pytest.param("SIGUSR1", marks=pytest.mark.verification)])
def test_a_signal_saves_and_asks_to_be_run_again(cluster: Cluster, whole: list[bytes], name: str) -> None:
    out = f"run-{name}"
    process = cluster.start(out, "--seed", "3")
    assert cluster.wait_for(lambda: cluster.version(out) != 0, process)
    process.send_signal(getattr(signal, name))
    stdout, said = process.communicate(timeout=SECONDS)
    assert process.returncode == 75, said
    assert stdout == ""
    last = said.splitlines()[-1]
    assert last.startswith("genovi: error: interrupted (epoch ")
    assert last.endswith(f"a checkpoint is in {out}.checkpoint; run the same command again: it goes on from there")
    assert not (cluster.folder / out).exists()
    assert "going on from the checkpoint" in cluster.finish(out)  # the seed is that of the checkpoint
    assert cluster.result(out) == whole


def test_a_second_signal_ends_at_once(cluster: Cluster) -> None:
    process = cluster.start("twice", "--seed", "3", "--batch-size", "90", "--epochs", "100000")
    assert cluster.wait_for(lambda: cluster.version("twice") != 0, process)
    # both arrive while Python is stopped, so that they are handled one right after the other, before the next step
    process.send_signal(signal.SIGSTOP)
    process.send_signal(signal.SIGUSR1)
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGCONT)
    process.communicate(timeout=SECONDS)
    assert process.returncode in (143, 75)  # 75 where a step ended between the two


def test_another_run_s_checkpoint_is_refused(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(cluster.folder)
    process = cluster.start("other", "--seed", "3")
    assert cluster.wait_for(lambda: cluster.version("other") != 0, process)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=SECONDS)
    kept = cluster.version("other")
    for more, code, expected in (
        (("--seed", "3", "--lr", "0.01"), 2, "lr 0.005 there, 0.01 here"),
        (("--seed", "3", "--resume", "nowhere"), 3, "no such checkpoint (nowhere)"),
        (("--seed", "3", "--checkpoint-every", "-1"), 2, "--checkpoint-every must not be negative"),
        (("--seed", "3", "--maf", "0.2"), 2, "maf 0.01 there, 0.2 here"),
        (("--seed", "3", "--steps", "8"), 2, "steps 2 there, 8 here"),
    ):
        words = ["train", "cohort.vcf.gz", "--out", "other", *LONG, *more]
        result = CliRunner().invoke(app, words, prog_name="genovi")
        assert result.exit_code == code, result.stderr
        assert expected in result.stderr.splitlines()[-1]
        assert cluster.version("other") == kept
    said = cluster.finish("other", "--seed", "4", "--resume", "never")
    assert "going on" not in said
    assert not (cluster.folder / "other.checkpoint").exists()


def test_a_checkpoint_elsewhere_is_gone_on_from(cluster: Cluster, whole: list[bytes]) -> None:
    process = cluster.start("left", "--seed", "3")
    assert cluster.wait_for(lambda: cluster.version("left") != 0, process)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=SECONDS)
    elsewhere = cluster.folder / "elsewhere"
    (cluster.folder / "left.checkpoint").rename(elsewhere)
    assert "going on from the checkpoint in elsewhere" in cluster.finish("right", "--resume", "elsewhere")
    assert cluster.result("right") == whole
    assert not elsewhere.exists()


def test_a_folder_without_a_checkpoint_is_refused_and_left_as_it_is(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(cluster.folder)
    mine = cluster.folder / "mine"
    mine.mkdir()
    (mine / "model.json").write_text("an older run, typed in place of its checkpoint")
    for folder in ("mine", "."):
        words = ["train", "cohort.vcf.gz", "--out", "new", *LONG, "--epochs", "1", "--resume", folder]
        result = CliRunner().invoke(app, words, prog_name="genovi")
        assert result.exit_code == 3, result.output
        assert f"no checkpoint in it ({folder})" in result.stderr
        assert (mine / "model.json").exists()
    assert not (cluster.folder / "new").exists()
