"""``genovi simulate``: genotypes drawn from a model of genotypes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from genovi.errors import ConfigError
from genovi_cli import options as opt
from genovi_cli.commands.common import draw_seed, labels_or_none, start_provenance
from genovi_cli.console import Display, reporting


def simulate(
    ctx: typer.Context,
    run: Annotated[
        Path,
        typer.Argument(metavar="RUN", show_default=False, help="Folder of genovi train --likelihood binomial."),
    ],
    samples: Annotated[int, typer.Option("--samples", metavar="N", show_default=False, help="Samples to draw.")],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            metavar="X.vcf.gz",
            show_default=False,
            help="The VCF to write; beside it X.latent.tsv, X.report.json and, with --labels, X.populations.tsv.",
        ),
    ],
    labels: opt.OptionalLabels = None,
    color: opt.Color = None,
    compare: Annotated[
        list[Path] | None,
        typer.Option(
            "--compare",
            metavar="INPUT",
            show_default=False,
            help="Genotypes of the training samples: report distances to the nearest of them and, with --labels, F_ST "
            "of populations. May be repeated.",
        ),
    ] = None,
    seed: opt.Seed = None,
    force: opt.Force = False,
    quiet: opt.Quiet = False,
) -> None:
    """Draw genotypes from a model that was trained with --likelihood binomial.

    Positions are draws from the prior, genotypes draws from the allele frequencies there: variants are independent
    given the position, without linkage or families. With --labels each sample gets its most similar reference
    population, by the nearest training samples. No simulated sample is a person; how near they come is reported.
    """
    if color is not None and labels is None:
        raise ConfigError("--color names a column of labels", where=f"--color {color}", fix="add --labels PANEL")
    known = labels_or_none(labels)
    from genovi.simulating import Comparison, simulate_run

    root = draw_seed(seed)
    provenance = start_provenance(ctx, compare or [], root)
    with reporting(Display(quiet), quiet=quiet):
        summary = simulate_run(
            run,
            out,
            samples,
            root,
            against=Comparison(known, color, tuple(compare or ())),
            provenance=provenance,
            force=force,
        )
    if not quiet:
        for line in summary.lines():
            typer.echo(line, err=True)
