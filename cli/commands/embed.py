"""``genovi embed``: a trained model and new genotypes in, their embedding out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from genovi.errors import ConfigError
from genovi.files import check_writable
from genovi.training.config import TrainingConfig
from genovi_cli import options as opt
from genovi_cli.commands.common import start_provenance
from genovi_cli.console import Display, RunLog, reporting


def embed(
    ctx: typer.Context,
    run: Annotated[Path, typer.Argument(metavar="RUN", show_default=False, help="Folder that genovi train wrote.")],
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
    min_overlap: Annotated[
        float, typer.Option("--min-overlap", help="Smallest share of the model's variants that must be there.")
    ] = 0.5,
    eigenvec: Annotated[
        bool, typer.Option("--eigenvec", help="Write PREFIX.eigenvec in plink2's format, too.")
    ] = False,
    device: opt.Device = TrainingConfig.device,
    threads: opt.Threads = TrainingConfig.threads,
    force: opt.Force = False,
    quiet: opt.Quiet = False,
) -> None:
    """Place new samples on the axes of a trained model.

    Variants are matched by chromosome, position and alleles; what the input lacks is treated as missing, never as
    homozygous for the reference.
    """
    if not 0 <= min_overlap <= 1:
        raise ConfigError(f"--min-overlap {min_overlap:g}", why="it is a share", fix="type a number from 0 to 1")
    TrainingConfig(device=device, threads=threads)  # checks both
    suffixes = [".embedding.tsv", ".match.tsv", ".log", *([".eigenvec"] if eigenvec else [])]
    for suffix in suffixes:
        check_writable(out.parent / f"{out.name}{suffix}", force)
    from genovi.pipeline import embed_run

    display = Display(quiet)
    provenance = start_provenance(ctx, inputs)
    log = RunLog("embed", ctx.params, provenance)
    with reporting(display, log, quiet=quiet):
        summary = embed_run(
            run,
            inputs,
            out,
            min_overlap=min_overlap,
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
