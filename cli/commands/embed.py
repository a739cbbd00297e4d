"""``genovi embed``: a trained model and new genotypes in, their embedding out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from genovi.files import check_writable
from genovi.training.config import TrainingConfig
from genovi_cli import modeloptions as modelopt
from genovi_cli import options as opt
from genovi_cli.commands.common import start_provenance
from genovi_cli.console import Display, RunLog, reporting


def embed(
    ctx: typer.Context,
    run: opt.RunOrExport,
    inputs: opt.Inputs,
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            metavar="PREFIX",
            show_default=False,
            help="Writes PREFIX.embedding.tsv, PREFIX.match.tsv, PREFIX.log.",
        ),
    ],
    min_overlap: opt.MinOverlap = 0.5,
    match_by: opt.MatchBy = "position",
    build: opt.InputBuild = "auto",
    eigenvec: Annotated[
        bool, typer.Option("--eigenvec", help="Write PREFIX.eigenvec in plink2's format, too.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Match and check, say what would be done, and write nothing.")
    ] = False,
    device: modelopt.Device = TrainingConfig.device,
    threads: modelopt.AllThreads = None,
    force: opt.Force = False,
    quiet: opt.Quiet = False,
) -> None:
    """Place new samples on the axes of a trained model.

    Variants are matched by chromosome, position and alleles; swapped alleles and the other strand are recoded. What
    the input lacks is treated as missing, never as homozygous for the reference.
    """
    TrainingConfig(device=device, threads=threads)  # checks both
    from genovi.applying import embed_run, plan_embed
    from genovi.genotypes.suitability import Demands

    demands = Demands(min_overlap, match_by, build)
    if dry_run:
        with reporting(Display(quiet), quiet=quiet):
            plan = plan_embed(run, inputs, demands)
        for line in plan:
            typer.echo(line)
        return
    for suffix in (".embedding.tsv", ".match.tsv", ".log", *([".eigenvec"] if eigenvec else [])):
        check_writable(out.parent / f"{out.name}{suffix}", force)
    display = Display(quiet)
    provenance = start_provenance(ctx, inputs)
    log = RunLog("embed", ctx.params, provenance)
    with reporting(display, log, quiet=quiet):
        summary = embed_run(
            run,
            inputs,
            out,
            demands=demands,
            eigenvec=eigenvec,
            device=device,
            threads=threads,
            provenance=provenance,
            force=force,
        )
    lines = summary.lines()
    log.write(out.parent / f"{out.name}.log", lines)
    for line in lines:
        typer.echo(line)
