"""Batch jobs for Slurm: readable scripts that train, survive being stopped, and rank the runs of several seeds.

    RUN.sbatch             trains; with seeds, a job array of one run for each, RUN/seed-1, RUN/seed-2, ...
    RUN.ensemble.sbatch    with seeds: ranks and compares those runs once all are there, RUN/ensemble

Slurm sends SIGTERM to the steps of a job that it preempts, and, because the script asks for it, to the script some time
before the job's limit. Training then saves its state and ends with exit code 75, and the job puts itself back into
the queue. Several processes, on one node or more, are tasks of one step: ``srun`` starts them, passes signals on to
each and ends with their exit code, of which ``torchrun`` would make 1 whatever it was.

Scripts are plain text for people to read and change; submitting them is what ``sbatch`` does.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from genovi.errors import ConfigError, InterruptedRunError, ResourceError
from genovi.files import atomic_path, check_writable

STOP = InterruptedRunError.exit_code
SECONDS_TO_STOP = 120  # Slurm's word comes up to a minute late
MOST_RESTARTS = 100
_MOST_SEEDS = 10_000
_SEED_RANGE = re.compile(r"(\d{1,10})(?:-(\d{1,10})(?::(\d{1,10}))?)?")
_FORMS = {  # what sbatch takes; also keeps line breaks out of the script
    "--partition": (re.compile(r"[\w.,-]+"), "a name, or names with commas"),
    "--account": (re.compile(r"[\w.@+-]+"), "a name"),
    "--gpus": (re.compile(r"([\w.-]+:)?[1-9]\d*"), "a number, or TYPE:NUMBER"),
    "--mem": (re.compile(r"[1-9]\d*[KMGT]?"), "a number of MiB, or one with K, M, G or T"),
    "--time": (re.compile(r"\d+(-\d+(:\d+){0,2}|(:\d+){0,2})"), "minutes, H:MM:SS or D-HH"),
}


@dataclass(frozen=True)
class Resources:
    """What a job asks for, in Slurm's own words; None leaves it to the cluster.

    Attributes:
        partition: Partition, or several with commas.
        account: Account that is charged.
        gpus: Number of GPUs, perhaps of a type: "1", "a100:1".
        cpus: CPU cores.
        mem: Memory: "8G".
        time: Time limit: "4:00:00", "1-12".
        requeue: Whether a job that is stopped goes back into the queue.
        nodes: Machines that share a run.
        processes: Processes on each of them, with ``cpus`` cores each.

    Raises:
        ConfigError: a value is not in the form that Slurm takes.
    """

    partition: str | None = None
    account: str | None = None
    gpus: str | None = None
    cpus: int = 1
    mem: str | None = None
    time: str | None = None
    requeue: bool = False
    nodes: int = 1
    processes: int = 1

    def __post_init__(self) -> None:
        for option, (form, words) in _FORMS.items():
            value = getattr(self, option.removeprefix("--"))
            if value is not None and not form.fullmatch(value):
                raise ConfigError(f"{option} {value!r} is not what sbatch takes", fix=f"type {words}")
        for name in ("cpus", "nodes", "processes"):
            if getattr(self, name) < 1:
                raise ConfigError(f"--{name} must be at least 1", where=getattr(self, name))

    @property
    def ranks(self) -> int:
        """How many processes share a run."""
        return self.nodes * self.processes


@dataclass(frozen=True)
class SeedArray:
    """Seeds of a job array: the seed is the number of the task.

    Attributes:
        text: As ``sbatch --array`` takes it.
        seeds: The seeds.
    """

    text: str
    seeds: tuple[int, ...]

    @staticmethod
    def parse(text: str) -> SeedArray:
        """Read "1-10", "1,5,9", "0-20:2" or "1-100%8" (eight at a time).

        Raises:
            ConfigError: it is none of these, or names a seed twice or too many.
        """
        ranges, _, at_once = text.partition("%")
        found = [_SEED_RANGE.fullmatch(part) for part in ranges.split(",")]
        if not all(found) or ("%" in text and not re.fullmatch(r"[1-9]\d*", at_once)):
            raise ConfigError(f"--array-seeds {text!r} names no seeds", fix="type them as 1-10, 1,5,9 or 1-100%8")
        seeds: list[int] = []
        for first, last, step in (match.groups() for match in found if match is not None):
            numbers = range(int(first), int(last or first) + 1, max(1, int(step or 1)))
            if not 0 < len(numbers) <= _MOST_SEEDS:
                raise ConfigError(f"--array-seeds {text!r} names {len(numbers)} seeds", fix="type them as 1-10")
            seeds += numbers
        if len(set(seeds)) != len(seeds):
            raise ConfigError(f"--array-seeds {text!r} names a seed twice", fix="name each once")
        return SeedArray(text, tuple(seeds))


@dataclass(frozen=True)
class TrainJob:
    """A training run as a job.

    Attributes:
        resources: What the job asks for.
        words: What follows ``genovi train``, without ``--out``, ``--seed`` and ``--force``.
        out: Folder of the run, or of all runs.
        seeds: A seed, or several, which make a job array.
        force: Overwrite the scripts and the runs.
        program: How genovi is called on this machine.
        folder: Where the job runs: paths in ``words`` are relative to it.
        command: What was typed, for the head of the scripts.
    """

    resources: Resources
    words: tuple[str, ...]
    out: Path
    seeds: int | SeedArray
    force: bool
    program: tuple[str, ...]
    folder: Path
    command: str

    def __post_init__(self) -> None:
        if not self.out.name or any(not character.isprintable() for character in f"{self.out.absolute()}{self.folder}"):
            raise ConfigError(f"--out {str(self.out)!r} is no name for a job", fix="type the name of a new folder")

    @property
    def runs(self) -> list[Path]:
        """The folders that training writes."""
        if isinstance(self.seeds, int):
            return [self.out]
        return [self.out / f"seed-{seed}" for seed in self.seeds.seeds]


@dataclass(frozen=True)
class Script:
    """A file for ``sbatch``."""

    path: Path
    text: str


def scripts_of(job: TrainJob) -> list[Script]:
    """The scripts of a job, in the order in which they run."""
    name = job.out.name
    scripts = [Script(job.out.with_name(f"{name}.sbatch"), _training(job))]
    if isinstance(job.seeds, SeedArray):
        scripts.append(Script(job.out.with_name(f"{name}.ensemble.sbatch"), _ensemble(job)))
    return scripts


def write_scripts(job: TrainJob) -> list[Script]:
    """Write the scripts of a job, all or none.

    Raises:
        ConfigError: one of them, or a run, is there already and ``force`` is false.
        ResourceError: they cannot be written.
    """
    scripts = scripts_of(job)
    there = [run for run in job.runs if os.path.lexists(run)]
    for path in (*(script.path for script in scripts), *there):
        check_writable(path, job.force)
    with ExitStack() as stack:
        for script in scripts:
            stack.enter_context(atomic_path(script.path)).write_text(script.text, encoding="utf-8")
    return scripts


def submit(scripts: Sequence[Script], folder: Path) -> list[str]:
    """Hand scripts to ``sbatch``, each to start when the one before it has ended well; returns their job numbers.

    Raises:
        ResourceError: there is no sbatch here, or it refuses.
    """
    jobs: list[str] = []
    for script in scripts:
        after = [f"--dependency=afterok:{jobs[-1]}", "--kill-on-invalid-dep=yes"] if jobs else []
        submitted = f"; job {', '.join(jobs)} is submitted" if jobs else ""
        command = ["sbatch", "--parsable", *after, str(script.path)]
        try:
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        except OSError as error:
            raise ResourceError(
                "cannot run sbatch",
                why=f"{error.strerror}{submitted}",
                fix=f"on a machine of the cluster type: {shlex.join(['sbatch', str(script.path)])}",
            ) from error
        if done.returncode != 0:
            why = (done.stderr.strip() or "it did not say why").splitlines()[-1].removeprefix(
                "sbatch: error: "
            ) + submitted
            raise ResourceError(
                "sbatch refused the job", where=script.path, why=why, fix="change the script or options"
            )
        jobs.append(done.stdout.strip().partition(";")[0])  # NUMBER;CLUSTER where there are several
    return jobs


def _training(job: TrainJob) -> str:
    array = job.seeds if isinstance(job.seeds, SeedArray) else None
    asked = _header(job, "" if array is None else "-%a", f"genovi-{job.out.name}", job.resources)
    asked += [] if array is None else [f"#SBATCH --array={array.text}"]
    asked += [f"#SBATCH --signal=B:TERM@{SECONDS_TO_STOP}"]
    asked += ["#SBATCH --requeue"] if job.resources.requeue else []
    out = shlex.quote(str(job.out))
    where = [f"out={out}", "job=$SLURM_JOB_ID"]
    if array is not None:  # one of the tasks has the number of the whole array for its own
        where = ["seed=$SLURM_ARRAY_TASK_ID", f'out={out}/seed-"$seed"', 'job="${SLURM_ARRAY_JOB_ID}_$seed"']
    seed = str(job.seeds) if array is None else '"$seed"'
    done = [
        "# a run that is there is done: submitting this script again trains those that are missing",
        'if [ -e "$out/model.json" ]; then echo "$out is there already"; exit 0; fi',
    ]
    words = shlex.join([*job.words, *(["--force"] if job.force else [])])
    return _text([
        *asked, "", *_environment(job), "", *where, *([] if job.force else done), "",
        "# Told to stop, training saves its state and ends with exit code "
        f"{STOP}; the same command goes on from there.",
        "# Slurm tells the step itself when it preempts the job, and this script before the time limit.",
        "stopped=no",
        "trap 'stopped=yes; scancel --signal=TERM \"$job\"' TERM",
        *_step(job.resources),
        f'    train {words} --out "$out" --seed {seed} &',
        "training=$!",
        'while kill -0 "$training" 2>/dev/null; do wait "$training"; done  # a signal ends a wait, not the training',
        'wait "$training"; code=$?', "",
        *(_requeue() if job.resources.requeue else _say_again()),
        'exit "$code"',
    ])  # fmt: skip


def _step(resources: Resources) -> list[str]:
    """The lines that start one process, or several that find each other by what torch calls RANK and so on."""
    if resources.ranks == 1:
        return ['srun --ntasks=1 --cpus-per-task="$SLURM_CPUS_PER_TASK" "${genovi[@]}" \\']
    return [
        'MASTER_ADDR=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)',
        "export MASTER_ADDR MASTER_PORT=$((20000 + SLURM_JOB_ID % 20000))",
        "rank='export RANK=$SLURM_PROCID WORLD_SIZE=$SLURM_NTASKS LOCAL_RANK=$SLURM_LOCALID; exec \"$@\"'",
        f"srun --ntasks={resources.ranks} --ntasks-per-node={resources.processes} --kill-on-bad-exit=1 \\",
        '    --cpus-per-task="$SLURM_CPUS_PER_TASK" bash -c "$rank" genovi "${genovi[@]}" \\',
    ]


def _requeue() -> list[str]:
    return [
        f'case "$code" in {STOP} | 143) stopped=yes ;; esac  # 143: told to while it was still reading',
        'state=$(squeue --noheader --jobs="$job" --format=%T)',
        'if [ "$code" -ne 0 ] && [ "$stopped" = yes ] && [ "$state" = RUNNING ]; then  # else somebody cancelled it',
        f'    if [ "${{SLURM_RESTART_COUNT:-0}}" -lt {MOST_RESTARTS} ]; then',
        '        echo "stopped; back into the queue"',
        '        scontrol requeue "$job"',
        "    else",
        f'        echo "stopped {MOST_RESTARTS} times: is --time too short?" >&2',
        "    fi",
        "fi",
    ]


def _say_again() -> list[str]:
    return [f'if [ "$code" -eq {STOP} ]; then echo "stopped; submit this script again to go on" >&2; fi']


def _ensemble(job: TrainJob) -> str:
    asked = _header(
        job,
        "",
        f"genovi-{job.out.name}-ensemble",
        Resources(job.resources.partition, job.resources.account, mem=job.resources.mem, time=job.resources.time),
    )
    runs = shlex.join(str(run) for run in job.runs)
    out = shlex.quote(str(job.out / "ensemble"))
    step = f'srun --ntasks=1 "${{genovi[@]}}" ensemble {runs} --out {out} --force'
    return _text([*asked, "", *_environment(job), "", step])


def _header(job: TrainJob, task: str, name: str, resources: Resources) -> list[str]:
    """The lines that sbatch reads; what was not asked for stands as a comment, to be filled in."""
    log = str(job.out.absolute()).replace("\\", "\\\\").replace("%", "%%")
    log += f".slurm-{'%A' if task else '%j'}{task}.log"
    optional = {
        "partition": resources.partition,
        "account": resources.account,
        "gpus": resources.gpus,
        "mem": resources.mem,
        "time": resources.time,
    }
    return [
        "#!/bin/bash",
        f"# Written by: {' '.join(job.command.split())}",
        f"#SBATCH --job-name={re.sub(r'[^A-Za-z0-9_.-]', '_', name)}",
        f"#SBATCH --chdir={_quoted(str(job.folder))}",
        f"#SBATCH --output={_quoted(log)}",
        "#SBATCH --open-mode=append",
        f"#SBATCH --nodes={resources.nodes}",
        "#SBATCH --ntasks=1" if resources.ranks == 1 else f"#SBATCH --ntasks-per-node={resources.processes}",
        f"#SBATCH --cpus-per-task={resources.cpus}",
        "# lines that begin with ## are comments: fill in what your cluster asks for",
        *(f"#SBATCH --{option}={value}" if value else f"##SBATCH --{option}=" for option, value in optional.items()),
    ]


def _environment(job: TrainJob) -> list[str]:
    return [
        "# Where genovi is on the machines of the cluster: what suits yours, in place of the last line.",
        "# module load python/3.12",
        "# source /path/to/venv/bin/activate; genovi=(genovi)",
        "# genovi=(apptainer exec --nv /path/to/genovi.sif genovi)    # --nv: with GPUs",
        f"genovi=({shlex.join(job.program)})",
        "",
        'export OMP_NUM_THREADS="$SLURM_CPUS_PER_TASK"',
    ]


def _quoted(text: str) -> str:
    """A value of an #SBATCH line, where double quotes and backslashes mean what they mean in a shell."""
    if re.fullmatch(r"[\w./%+:@=-]+", text):
        return text
    return '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'


def _text(lines: Sequence[str]) -> str:
    return "\n".join(lines) + "\n"
