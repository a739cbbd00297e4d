"""``genovi export``: a trained model as one file to share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from genovi_cli import options as opt
from genovi_cli.console import Display, reporting


def export(
    run: opt.Run,
    out: Annotated[Path, typer.Option("--out", metavar="FILE.genovi", show_default=False, help="The file to write.")],
    keep_embedding: Annotated[
        bool,
        typer.Option("--keep-embedding", help="Put in the positions of the training samples, too, with their names."),
    ] = False,
    force: opt.Force = False,
) -> None:
    """Write a trained model as one file, which genovi embed and genovi card take in place of RUN.

    It holds allele frequencies, loadings and weights; no genotypes and, without --keep-embedding, no name of a sample.
    Reading it runs nothing that is in it.
    """
    from genovi.exporting import export_model

    with reporting(Display()):
        done = export_model(run, out, keep_embedding=keep_embedding, force=force)
    for line in done.lines():
        typer.echo(line)
