"""``genovi plot map``: geography beside an embedding. Needs neither the model nor the genotypes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from genovi.errors import ConfigError
from genovi_cli import options as opt
from genovi_cli.commands.common import labels_or_none, read_embedding, typed
from genovi_cli.commands.plot import color_by
from genovi_cli.console import Display, reporting


def geography(
    ctx: typer.Context,
    embedding: Annotated[Path, typer.Argument(metavar="EMBEDDING", show_default=False, help="A file *.embedding.tsv.")],
    coordinates: Annotated[
        Path,
        typer.Option(
            "--coordinates",
            metavar="TABLE",
            show_default=False,
            help="Columns latitude and longitude in degrees for each sample, or each population of --labels.",
        ),
    ],
    out: opt.Figure,
    labels: opt.OptionalLabels = None,
    color: opt.Color = None,
    color_as: opt.ColorAs = "auto",
    group: opt.Group = None,
    permutations: Annotated[
        int, typer.Option("--permutations", metavar="N", help="Permutations of sites for the p-value; 0 for none.")
    ] = 9999,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Of the permutations.")] = 1,
    palette: opt.PaletteFile = None,
    style: opt.Style = None,
    size: opt.Size = "page",
    no_names: opt.NoNames = False,
    no_legend: opt.NoLegend = False,
    force: opt.Force = False,
) -> None:
    """Draw where samples come from, and their embedding turned onto it, and say how well the two agree (Procrustes)."""
    from genovi.plotting.figures import Sheet, check_suffix

    check_suffix(out)
    sheet = Sheet.parse(size, style)
    if not 0 <= permutations <= 1_000_000:
        raise ConfigError(f"--permutations {permutations}", fix="type a number from 0 to 1,000,000")
    from genovi.labels import read_labels
    from genovi.plotting.composing import AncestryOptions
    from genovi.plotting.geography import plot_map

    by = color_by(color, color_as, group, palette)
    with reporting(Display()):
        summary = plot_map(
            read_embedding(embedding),
            read_labels(coordinates),
            out,
            labels=labels_or_none(labels),
            permutations=permutations,
            seed=seed,
            options=AncestryOptions(by=by, names=not no_names, legend=not no_legend, sheet=sheet),
            force=force,
            command=typed(ctx),
        )
    for line in summary.lines():
        typer.echo(line)
