"""``genovi train`` in several processes, as users and batch systems start them: real processes, real signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers import simulate_structure, write_vcf
from typer.testing import CliRunner

from genovi.errors import ConfigError
from genovi.model.config import ModelConfig
from genovi.model.vae import LatentModel
from genovi.ranks import LAUNCHED, Ranks
from genovi.training.checkpointing import LATEST
from genovi.training.sharing import check_batch
from genovi_cli.app import app

SECONDS = 300  # no machine is so busy
PROMPTLY = 60
SAME = ("model.safetensors", "embedding.tsv", "variants.tsv.gz", "qc.json")  # the others hold times
LENGTH = ("--seed", "3", "--epochs", "60", "--batch-size", "30", "--steps", "1", "--checkpoint-every", "0")
BUILD = ("--device", "cpu", "--build", "GRCh38")
TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node")
TOLERANCE = 1e-3  # of coordinates whose standard deviation is about 0.2 and more


def ranks_of(parent: int) -> dict[int, int]:
    """Processes that a launcher has started, by their rank."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(stat.read_text().rsplit(")", 1)[1].split()[1]) != parent:
                continue
            words = stat.with_name("environ").read_bytes().decode(errors="replace").split("\0")
        except OSError:  # it has just ended
            continue
        rank = [word.removeprefix("RANK=") for word in words if word.startswith("RANK=")]
        found |= {int(number): int(stat.parent.name) for number in rank}
    return found


def is_running(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@dataclass
class Machine:
    """Starts ``genovi train`` on one cohort in a folder."""

    folder: Path
    running: list[subprocess.Popen[str]] = field(default_factory=list)

    def start(self, out: str, *more: str, launcher: tuple[str, ...] = (sys.executable,)) -> subprocess.Popen[str]:
        words = [*launcher, "-m", "genovi", "train", "cohort.vcf.gz", "--out", out, *LENGTH, *BUILD, *more]
        process = subprocess.Popen(
            words,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        self.running.append(process)
        return process

    def finish(self, out: str, *more: str, launcher: tuple[str, ...] = (sys.executable,)) -> str:
        """Run to the end; returns stderr."""
        process = self.start(out, *more, launcher=launcher)
        _, said = process.communicate(timeout=SECONDS)
        assert process.returncode == 0, said
        return said

    def under_way(self, out: str, *more: str) -> tuple[subprocess.Popen[str], dict[int, int]]:
        """A run that has just written a checkpoint, and its ranks."""
        before = self.version(out)
        process = self.start(out, "--quiet", *more)
        end = time.monotonic() + SECONDS
        while self.version(out) == before:
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < end
            time.sleep(0.01)
        return process, ranks_of(process.pid)

    def version(self, out: str) -> int:
        """Changes with every checkpoint."""
        try:
            return os.stat(self.folder / f"{out}.checkpoint" / LATEST).st_ino
        except FileNotFoundError:
            return 0

    def result(self, out: str) -> list[bytes]:
        return [(self.folder / out / name).read_bytes() for name in SAME]


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    folder = tmp_path_factory.mktemp("machine")
    matrix, _ = simulate_structure(seed=4, n_populations=3, n_per=30, n_variants=400, fst=0.15, missing=0.01)
    write_vcf(folder / "cohort.vcf.gz", matrix, "bgzf")
    machine = Machine(folder)
    yield machine
    for process in machine.running:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def two(machine: Machine) -> list[bytes]:
    """What two processes make of it that nobody disturbs."""
    machine.finish("two", "--processes", "2")
    assert not (machine.folder / "two.checkpoint").exists()
    return machine.result("two")


def assert_same_map(machine: Machine, out: str, other: str) -> None:
    one, two = (pd.read_csv(machine.folder / name / "embedding.tsv", sep="\t") for name in (out, other))
    assert list(one["IID"]) == list(two["IID"])
    for column in ("Z1", "Z2", "SD1", "SD2", "MISFIT"):
        np.testing.assert_allclose(one[column], two[column], rtol=0, atol=TOLERANCE)
    assert one["Z1"].std() > 0.1


@pytest.mark.verification
def test_two_processes_train_as_one_does(machine: Machine, two: list[bytes]) -> None:
    machine.finish("one")
    assert_same_map(machine, "one", "two")
    assert machine.result("one")[2:] == two[2:]
    assert "--processes 2" in (machine.folder / "two" / "genovi.log").read_text()


@pytest.mark.verification
def test_torchrun_starts_them_as_well(machine: Machine, two: list[bytes]) -> None:
    said = machine.finish("torchrun", launcher=(*TORCHRUN, "2"))
    assert machine.result("torchrun") == two
    assert said.count("trained on ") == 1


def test_one_that_is_killed_ends_all(machine: Machine) -> None:
    process, ranks = machine.under_way("ended", "--processes", "2", "--epochs", "100000")
    os.kill(ranks[1], signal.SIGKILL)
    out, said = process.communicate(timeout=PROMPTLY)
    assert process.returncode == 5
    assert out == ""
    assert said.startswith("genovi: error: process 2 of 2 was ended by SIGKILL: ")
    assert said.count("\n") == 1
    assert not is_running(ranks[0])
    assert not (machine.folder / "ended").exists()


@pytest.mark.verification
def test_killed_and_run_again_they_end_as_if_never_killed(machine: Machine, two: list[bytes]) -> None:
    for rank in (1, 0):
        process, ranks = machine.under_way("killed", "--processes", "2")
        os.kill(ranks[rank], signal.SIGKILL)
        process.communicate(timeout=PROMPTLY)
        assert process.returncode == 5
    assert "going on from the checkpoint in killed.checkpoint" in machine.finish("killed", "--processes", "2")
    assert machine.result("killed") == two


@pytest.mark.verification
@pytest.mark.parametrize("rank", [0, 1, 2])
def test_whichever_of_three_is_killed(machine: Machine, rank: int) -> None:
    process, ranks = machine.under_way(f"killed-{rank}", "--processes", "3", "--epochs", "100000")
    os.kill(ranks[rank], signal.SIGKILL)
    _, said = process.communicate(timeout=PROMPTLY)
    assert process.returncode == 5
    assert said.startswith(f"genovi: error: process {rank + 1} of 3 was ended by SIGKILL: ")
    assert said.count("\n") == 1
    assert not any(is_running(other) for other in ranks.values())


@pytest.mark.verification
@pytest.mark.parametrize("told", ["one of three", "parent", "all", "INT"])
def test_told_to_stop_all_stop_after_the_same_step(machine: Machine, told: str) -> None:
    out = f"stopped-{told.replace(' ', '-')}"
    process, ranks = machine.under_way(out, "--processes", "3", "--epochs", "100000")
    if told == "INT":
        process.send_signal(signal.SIGINT)
    targets = {"one of three": [ranks[2]], "parent": [process.pid], "all": [process.pid, *ranks.values()], "INT": []}
    for target in targets[told]:
        os.kill(target, signal.SIGTERM)
    _, said = process.communicate(timeout=PROMPTLY)
    assert process.returncode == 75
    assert said.startswith("genovi: error: interrupted (epoch ")
    assert said.endswith(f"a checkpoint is in {out}.checkpoint; run the same command again: it goes on from there\n")
    assert said.count("\n") == 1
    assert not any(is_running(rank) for rank in ranks.values())


@pytest.mark.verification
def test_what_three_began_two_and_one_can_end(machine: Machine, two: list[bytes]) -> None:
    for processes in ("2", "1"):
        out = f"began-{processes}"
        process, ranks = machine.under_way(out, "--processes", "3")
        os.kill(ranks[0], signal.SIGTERM)
        process.communicate(timeout=PROMPTLY)
        assert process.returncode == 75
        assert "going on from the checkpoint" in machine.finish(out, "--processes", processes)
        assert_same_map(machine, out, "two")


@pytest.mark.verification
def test_without_a_parent_none_goes_on(machine: Machine) -> None:
    process, ranks = machine.under_way("orphans", "--processes", "2", "--epochs", "100000")
    process.kill()
    end = time.monotonic() + PROMPTLY
    while any(is_running(rank) for rank in ranks.values()):
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.verification
def test_killed_under_torchrun_one_of_the_others_says_so(machine: Machine) -> None:
    process = machine.start("lost", "--epochs", "100000", "--quiet", launcher=(*TORCHRUN, "2"))
    while not machine.version("lost"):
        assert process.poll() is None
        time.sleep(0.05)
    os.kill(ranks_of(process.pid)[0], signal.SIGKILL)
    _, said = process.communicate(timeout=PROMPTLY)
    assert process.returncode == 1  # torchrun's own, whatever happened
    assert said.count("genovi: error: a process of the run was lost: ") == 1
    assert said.count("genovi: error: ") == 1


def test_what_the_first_cannot_read_is_said_once(machine: Machine) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "genovi", "train", "nowhere.vcf", "--out", "never", "--processes", "2", "--quiet"],
        cwd=machine.folder,
        stderr=subprocess.PIPE,
        text=True,
    )
    _, said = process.communicate(timeout=PROMPTLY)
    assert process.returncode == 3
    assert said.startswith("genovi: error: no such file (nowhere.vcf)")
    assert said.count("\n") == 1


def refused(*words: str) -> str:
    result = CliRunner().invoke(app, ["train", "cohort.vcf.gz", "--out", "never", *words], prog_name="genovi")
    assert result.exit_code == 2, result.output
    assert result.stderr.count("\n") == 1
    return result.stderr


def test_numbers_of_processes_that_make_no_sense(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(machine.folder)
    assert "--processes must be at least 1 (0)" in refused("--processes", "0")
    assert "9 processes for --batch-size 8" in refused("--processes", "9", "--batch-size", "8")
    for name, value in {"RANK": "0", "WORLD_SIZE": "3", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "4000"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv(LAUNCHED, raising=False)
    assert "3 processes are started already; leave --processes out" in refused("--processes", "2")
    monkeypatch.setenv("MASTER_PORT", "http")
    assert "RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT do not say" in refused()


def test_every_rank_needs_something_to_do() -> None:
    import torch

    model = LatentModel(ModelConfig(prior="normal"), torch.ones(4), torch.Generator().manual_seed(0))
    check_batch(Ranks(0, 8), 8, model)
    with pytest.raises(ConfigError, match="9 processes for 8 samples in a step"):
        check_batch(Ranks(0, 9), 8, model)
