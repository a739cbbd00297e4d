"""Options of ``genovi slurm``: what is asked of the cluster."""

from __future__ import annotations

from typing import Annotated

import typer

JOB = "Job (as sbatch takes them)"

Partition = Annotated[
    str | None,
    typer.Option("--partition", metavar="NAME", show_default=False, rich_help_panel=JOB, help="Partition to run in."),
]
Account = Annotated[
    str | None,
    typer.Option("--account", metavar="NAME", show_default=False, rich_help_panel=JOB, help="Account to charge."),
]
Gpus = Annotated[
    str | None,
    typer.Option("--gpus", metavar="[TYPE:]N", show_default=False, rich_help_panel=JOB, help="GPUs. [default: none]"),
]
Cpus = Annotated[
    int,
    typer.Option("--cpus", metavar="N", rich_help_panel=JOB, help="CPU cores: reading and the PCA use them all."),
]
Nodes = Annotated[
    int,
    typer.Option("--nodes", metavar="N", rich_help_panel=JOB, help="Machines that share each run."),
]
Processes = Annotated[
    int,
    typer.Option(
        "--processes", metavar="N", rich_help_panel=JOB, help="Processes on each of them, with --cpus cores each."
    ),
]
Mem = Annotated[
    str | None,
    typer.Option(
        "--mem", metavar="SIZE", show_default=False, rich_help_panel=JOB, help="Memory, such as 8G. [default: Slurm's]"
    ),
]
Time = Annotated[
    str | None,
    typer.Option(
        "--time",
        metavar="LIMIT",
        show_default=False,
        rich_help_panel=JOB,
        help="Time limit, such as 4:00:00 or 1-12. [default: the partition's]",
    ),
]
ArraySeeds = Annotated[
    str | None,
    typer.Option(
        "--array-seeds",
        metavar="1-10",
        show_default=False,
        rich_help_panel=JOB,
        help="Train once for each of these seeds, RUN/seed-1 and so on, and compare the runs in RUN/ensemble.",
    ),
]
Requeue = Annotated[
    bool,
    typer.Option(
        "--requeue", rich_help_panel=JOB, help="Preempted, or at its time limit, the job queues again and goes on."
    ),
]
Submit = Annotated[bool, typer.Option("--submit", rich_help_panel=JOB, help="Hand the scripts to sbatch.")]
