"""Scripts for Slurm as text; tests/cluster submits them to a real one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from genovi.errors import ConfigError, ResourceError
from genovi.slurm import Resources, Script, SeedArray, TrainJob, scripts_of, submit
from genovi_cli.app import app


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.vcf").write_text("whatever: a job reads it\n")
    return tmp_path


def job(
    out: str = "run", seeds: int | SeedArray = 3, words: tuple[str, ...] = ("in.vcf",), **asked: object
) -> TrainJob:
    resources = Resources(**asked)  # type: ignore[arg-type]
    return TrainJob(resources, words, Path(out), seeds, False, ("genovi",), Path.cwd(), "genovi slurm train in.vcf")


def typed(*words: str) -> Result:
    return CliRunner().invoke(app, ["slurm", "train", *words], prog_name="genovi")


def refused(code: int, said: str, *words: str) -> None:
    before = sorted(Path().rglob("*"))
    result = typed(*words)
    assert result.exit_code == code, result.output
    assert result.stderr.startswith("genovi: error: ")
    assert result.stderr.count("\n") == 1
    assert said in result.stderr
    assert result.stdout == ""
    assert sorted(Path().rglob("*")) == before


@pytest.mark.parametrize(
    ("text", "seeds"),
    [
        ("1-3", (1, 2, 3)),
        ("7", (7,)),
        ("1,5,9", (1, 5, 9)),
        ("0-6:2", (0, 2, 4, 6)),
        ("1-2,10-11%2", (1, 2, 10, 11)),
    ],
)
def test_seeds_are_written_as_slurm_writes_tasks(text: str, seeds: tuple[int, ...]) -> None:
    found = SeedArray.parse(text)
    assert (found.text, found.seeds) == (text, seeds)


@pytest.mark.parametrize(
    "text", ["", "a", "3-1", "1-", "-1", "1,,2", "1-3,2", "1-99999999", "1%0", "1%", "1-3:x", "1 2"]
)
def test_what_names_no_seeds(text: str) -> None:
    with pytest.raises(ConfigError, match="--array-seeds"):
        SeedArray.parse(text)


@pytest.mark.parametrize(
    "asked",
    [
        {"partition": "a b"},
        {"partition": "a\n#SBATCH --uid=0"},
        {"account": "x;y"},
        {"gpus": "0"},
        {"gpus": "a100:"},
        {"mem": "8 G"},
        {"mem": "lots"},
        {"time": "1 hour"},
        {"time": "1:2:3:4"},
        {"cpus": 0},
        {"nodes": 0},
        {"processes": -1},
    ],
    ids=str,
)
def test_what_sbatch_would_not_take(asked: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=f"--{next(iter(asked))}"):
        Resources(**asked)  # type: ignore[arg-type]


@pytest.mark.parametrize("seeds", [3, SeedArray.parse("1-4%2")], ids=["one", "array"])
@pytest.mark.parametrize("requeue", [True, False])
@pytest.mark.parametrize("out", ["run", "my 'odd' $run", "deep/er/run"])
def test_scripts_are_bash_whatever_the_names(seeds: int | SeedArray, requeue: bool, out: str, here: Path) -> None:
    words = ("a file.vcf", "--hwe", "1e-6 midp", "--keep", "it's.txt")
    scripts = scripts_of(job(out, seeds, words, requeue=requeue))
    assert len(scripts) == (1 if isinstance(seeds, int) else 2)
    for script in scripts:
        checked = subprocess.run(["bash", "-n"], input=script.text, capture_output=True, text=True, check=False)
        assert checked.returncode == 0, checked.stderr
        assert script.path.parent == Path(out).parent
        head = [line for line in script.text.splitlines() if line.startswith("#SBATCH")]
        assert len(head) == script.text.count("#SBATCH --") - script.text.count("##SBATCH --")
    assert ("scontrol requeue" in scripts[0].text) == requeue


def test_what_was_asked_for_stands_in_the_head_and_the_rest_as_comments() -> None:
    text = scripts_of(job(gpus="a100:2", cpus=8, mem="16G", time="1-12", partition="long"))[0].text
    for line in ("--gpus=a100:2", "--cpus-per-task=8", "--mem=16G", "--time=1-12", "--partition=long"):
        assert f"\n#SBATCH {line}\n" in text
    assert "\n##SBATCH --account=\n" in text
    assert "#SBATCH --requeue" not in text


def test_several_processes_are_tasks_of_one_step() -> None:
    plain = scripts_of(job("runs", SeedArray.parse("1-2"), cpus=4, requeue=True))
    scripts = scripts_of(job("runs", SeedArray.parse("1-2"), cpus=4, requeue=True, nodes=3, processes=2))
    assert scripts[1].text == plain[1].text  # what compares runs is one process as before
    head, step = scripts[0].text.split("\nstopped=no\n")
    for line in ("--nodes=3", "--ntasks-per-node=2", "--cpus-per-task=4"):
        assert f"\n#SBATCH {line}\n" in head
    assert "#SBATCH --ntasks=" not in head
    assert "srun --ntasks=6 --ntasks-per-node=2 --kill-on-bad-exit=1" in step
    assert 'train in.vcf --out "$out" --seed "$seed" &' in step
    checked = subprocess.run(["bash", "-n"], input=scripts[0].text, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr


def test_each_task_of_the_step_knows_its_rank(here: Path) -> None:
    """The lines that start a step, with another program in the place of srun."""
    text = scripts_of(job(nodes=2, processes=2))[0].text
    lines = text[text.index("MASTER_ADDR=") : text.index("&\ntraining=$!")]
    (here / "srun").write_text(
        '#!/bin/bash\nwhile [ "$1" != bash ]; do shift; done\nSLURM_PROCID=3 SLURM_NTASKS=4 SLURM_LOCALID=1 "$@"\n'
    )
    (here / "scontrol").write_text("#!/bin/bash\nprintf 'node7\\nnode8\\n'\n")
    for name in ("srun", "scontrol"):
        (here / name).chmod(0o755)
    say = 'echo $RANK $WORLD_SIZE $LOCAL_RANK $MASTER_ADDR $MASTER_PORT "$@"'
    script = f"genovi=(bash -c '{say}' genovi)\nout='my run'\n{lines}"
    environment = {"PATH": f"{here}:/usr/bin:/bin", "SLURM_JOB_ID": "20017", "SLURM_CPUS_PER_TASK": "1"}
    done = subprocess.run(["bash"], input=script, env=environment, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout == "3 4 1 node7 20017 train in.vcf --out my run --seed 3\n"


def test_the_step_that_compares_asks_for_no_gpu_and_names_every_run() -> None:
    text = scripts_of(job("runs", SeedArray.parse("2,5"), gpus="1", account="lab"))[1].text
    assert "\n##SBATCH --gpus=\n" in text
    assert "\n#SBATCH --account=lab\n" in text
    assert "ensemble runs/seed-2 runs/seed-5 --out runs/ensemble --force" in text


def test_options_of_train_go_through_as_they_are_typed(here: Path) -> None:
    (here / "keep.txt").write_text("s1\n")
    options = ["--maf", "0.05", "--hwe", "1e-6", "keep-fewhet", "--indep-pairwise", "50", "5", "0.1", "--keep=keep.txt"]
    result = typed("in.vcf", *options, "--out", "run", "--seed", "9", "--cpus", "4")
    assert result.exit_code == 0, result.output
    text = Path("run.sbatch").read_text()
    assert f'train in.vcf {" ".join(options)} --out "$out" --seed 9' in text
    assert f"genovi=({sys.executable} -m genovi)" in text
    assert f"#SBATCH --chdir={here}\n" in text


def test_a_seed_that_nobody_typed_is_drawn_once_and_written_down() -> None:
    typed("in.vcf", "--out", "one")
    typed("in.vcf", "--out", "two")
    seeds = [Path(f"{name}.sbatch").read_text().split("--seed ")[1].split()[0] for name in ("one", "two")]
    assert seeds[0].isdigit()
    assert seeds[0] != seeds[1]


def test_dry_run_prints_and_writes_nothing(here: Path) -> None:
    result = typed("in.vcf", "--out", "run", "--array-seeds", "1-2", "--dry-run")
    assert result.exit_code == 0
    assert result.stdout.count("#!/bin/bash") == 2
    assert [path.name for path in here.iterdir()] == ["in.vcf"]


def test_mistakes_show_now_and_not_in_the_log_of_a_job(here: Path) -> None:
    refused(3, "no such file (absent.vcf)", "absent.vcf", "--out", "run")
    refused(2, "INPUT", "--out", "run")
    refused(2, "No such option: --mafs", "in.vcf", "--out", "run", "--mafs", "0.1")
    refused(2, "--maf 3", "in.vcf", "--out", "run", "--maf", "3")
    refused(2, "--posterior", "in.vcf", "--out", "run", "--posterior", "flow")
    refused(3, "absent.txt", "in.vcf", "--out", "run", "--keep", "absent.txt")
    refused(3, "absent.tsv", "in.vcf", "--out", "run", "--labels", "absent.tsv")
    refused(2, "--checkpoint-every", "in.vcf", "--out", "run", "--checkpoint-every", "-1")
    refused(2, "--array-seeds", "in.vcf", "--out", "run", "--array-seeds", "some")
    refused(2, "--array-seeds", "in.vcf", "--out", "run", "--array-seeds", "1-3", "--seed", "1")
    refused(2, "--resume never", "in.vcf", "--out", "run", "--requeue", "--resume", "never")
    refused(2, "--time", "in.vcf", "--out", "run", "--time", "soon")
    refused(2, "--nodes", "in.vcf", "--out", "run", "--nodes", "0")
    refused(2, "12 processes for", "in.vcf", "--out", "run", "--nodes", "3", "--processes", "4", "--batch-size", "10")
    refused(2, "standard input", "-", "--out", "run")
    refused(2, "--out", "in.vcf", "--out", ".")
    refused(2, "--out", "in.vcf", "--out", "a\nb")


def test_nothing_is_overwritten_unless_forced(here: Path) -> None:
    (here / "run.ensemble.sbatch").write_text("mine")
    refused(2, "run.ensemble.sbatch", "in.vcf", "--out", "run", "--array-seeds", "1-2")
    (here / "done" / "seed-2").mkdir(parents=True)
    refused(2, "seed-2", "in.vcf", "--out", "done", "--array-seeds", "1-2")
    result = typed("in.vcf", "--out", "run", "--array-seeds", "1-2", "--force")
    assert result.exit_code == 0, result.output
    assert "is there already" not in Path("run.sbatch").read_text()
    assert "train in.vcf --force --out" in Path("run.sbatch").read_text()


def test_without_slurm_the_script_is_written_and_said_how_to_submit(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ResourceError, match=r"cannot run sbatch: .*; on .* type: sbatch run\.sbatch"):
        submit([Script(Path("run.sbatch"), "")], here)
    result = typed("in.vcf", "--out", "run", "--submit")
    assert result.exit_code == 5
    assert Path("run.sbatch").exists()
