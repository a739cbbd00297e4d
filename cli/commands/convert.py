"""``genovi convert``: genotypes of any format to a PLINK 1 fileset."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from genovi_cli import options as opt
from genovi_cli.commands.common import qc_config
from genovi_cli.console import Display, reporting


def convert(
    inputs: opt.Inputs,
    out: Annotated[
        Path,
        typer.Option("--out", metavar="PREFIX", show_default=False, help="Writes PREFIX.bed, PREFIX.bim, PREFIX.fam."),
    ],
    maf: opt.AskedMaf = None,
    geno: opt.AskedGeno = None,
    mind: opt.AskedMind = None,
    keep: opt.Keep = None,
    remove: opt.Remove = None,
    extract: opt.Extract = None,
    exclude: opt.Exclude = None,
    chr: opt.Chr = None,
    region: opt.Region = None,
    split_multiallelic: opt.SplitMultiallelic = False,
    force: opt.Force = False,
    quiet: opt.Quiet = False,
) -> None:
    """Write genotypes as a PLINK 1 fileset, which later commands open at once instead of parsing text again.

    A1 of the .bim is ALT. Multi-allelic variants are left out and counted; nothing else is filtered but what is asked
    for. Rows are written while the input is read, so that memory does not depend on its size.
    """
    from genovi.genotypes.converting import convert as write

    off = {"maf": 0.0, "geno": 1.0, "mind": 1.0, "indep_pairwise": None, "autosomes_only": False}
    asked = {name: value for name, value in (("maf", maf), ("geno", geno), ("mind", mind)) if value is not None}
    config = qc_config(
        off | asked | {"long_range_ld": False, "split_multiallelic": split_multiallelic},
        {"keep": keep, "remove": remove, "extract": extract, "exclude": exclude},
        chr=chr,
        region=region,
    )
    with reporting(Display(quiet), quiet=quiet):
        done = write(inputs, out, config, force=force)
    for line in done.lines():
        typer.echo(line)
