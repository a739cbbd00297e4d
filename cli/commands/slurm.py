"""``genovi slurm``: batch jobs for clusters that run Slurm."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from genovi.errors import ConfigError, DataError
from genovi_cli import joboptions as jobopt
from genovi_cli import options as opt
from genovi_cli.commands.common import draw_seed, typed
from genovi_cli.commands.train import check_options
from genovi_cli.launching import check_processes

# what train alone would take; all else that is typed goes through to it as it is
PASSING = {"ignore_unknown_options": True, "allow_extra_args": True}


def slurm_train(
    ctx: typer.Context,
    out: Annotated[
        Path,
        typer.Option(
            "--out", metavar="RUN", show_default=False, help="Folder that the job writes; its scripts lie beside it."
        ),
    ],
    seed: opt.Seed = None,
    partition: jobopt.Partition = None,
    account: jobopt.Account = None,
    gpus: jobopt.Gpus = None,
    cpus: jobopt.Cpus = 1,
    nodes: jobopt.Nodes = 1,
    processes: jobopt.Processes = 1,
    mem: jobopt.Mem = None,
    time: jobopt.Time = None,
    array_seeds: jobopt.ArraySeeds = None,
    requeue: jobopt.Requeue = False,
    submit: jobopt.Submit = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the scripts and write nothing.")] = False,
    force: opt.Force = False,
) -> None:
    """Write a batch script that trains, RUN.sbatch, and submit it on request.

    INPUT and all other options are those of genovi train. With --array-seeds a second job, RUN.ensemble.sbatch, ranks
    and compares the runs when all are done. Stopped jobs keep their state: see --requeue.
    """
    from genovi.slurm import Resources, SeedArray, TrainJob, scripts_of, write_scripts
    from genovi.slurm import submit as hand_over

    if array_seeds is not None and seed is not None:
        raise ConfigError("--seed and --array-seeds cannot both be given", fix="leave one of them out")
    job = TrainJob(
        resources=Resources(partition, account, gpus, cpus, mem, time, requeue, nodes, processes),
        words=tuple(ctx.args),
        out=out,
        seeds=draw_seed(seed) if array_seeds is None else SeedArray.parse(array_seeds),
        force=force,
        program=(sys.executable, "-m", "genovi"),
        folder=Path.cwd(),
        command=typed(ctx),
    )
    _check(ctx, ctx.args, out, requeue, job.resources.ranks)
    if dry_run:
        for script in scripts_of(job):
            typer.echo(f"# {script.path}\n{script.text}")
        return
    scripts = write_scripts(job)
    for script in scripts:
        typer.echo(f"wrote {script.path}")
    if submit:
        for script, number in zip(scripts, hand_over(scripts, job.folder), strict=True):
            typer.echo(f"submitted {script.path} as job {number}")
    else:
        typer.echo("look at it, and type the same with --submit --force, or: " + _by_hand([s.path for s in scripts]))


def _check(ctx: typer.Context, words: Sequence[str], out: Path, requeue: bool, ranks: int) -> None:
    """Read the words as ``genovi train`` will, so that mistakes show now and not in the log of a job."""
    train: Any = ctx.find_root().command
    with train.commands["train"].make_context("train", [*words, "--out", str(out)], parent=ctx.parent) as asked:
        for path in asked.params["inputs"]:
            if str(path) == "-":
                raise ConfigError("a job has no standard input", where="-", fix="name a file")
            _check_input(path)
        if requeue and asked.params["resume"] == "never":
            raise ConfigError("--requeue with --resume never", why="each time it would start anew", fix="leave one out")
        check_options(asked.params)
        check_processes(ranks, asked.params["batch_size"])


def _check_input(path: Path) -> None:
    from genovi.genotypes.reading import input_files

    if not input_files(path) and not path.is_dir():
        raise DataError("no such file", where=path, fix="check the path")


def _by_hand(paths: Sequence[Path]) -> str:
    import shlex

    first = shlex.join(["sbatch", str(paths[0])])
    if len(paths) == 1:
        return first
    return f"{first}, then sbatch --dependency=afterok:JOB {shlex.quote(str(paths[1]))}"
