"""``genovi convert``: genotypes of any format to a PLINK 1 fileset."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from genovi_cli import options as opt
from genovi_cli.console import Display, reporting


def convert(
    inputs: opt.Inputs,
    out: Annotated[
        Path,
        typer.Option("--out", metavar="PREFIX", show_default=False, help="Writes PREFIX.bed, PREFIX.bim, PREFIX.fam."),
    ],
    chr: opt.Chr = None,
    force: opt.Force = False,
    quiet: opt.Quiet = False,
) -> None:
    """Write genotypes as a PLINK 1 fileset, which later commands open at once instead of parsing text again.

    A1 of the .bim is ALT. Multi-allelic variants are left out and counted; nothing else is filtered unless --chr is
    given.
    """
    from genovi.genotypes.converting import convert as write
    from genovi.genotypes.regions import parse_chromosomes

    chromosomes = None if chr is None else parse_chromosomes(chr)
    with reporting(Display(quiet), quiet=quiet):
        done = write(inputs, out, chromosomes=chromosomes, force=force)
    for line in done.lines():
        typer.echo(line)
