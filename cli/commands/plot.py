"""``genovi plot``: figures of embeddings and of training. Neither needs the model or the genotypes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from genovi_cli import options as opt
from genovi_cli.commands.common import labels_or_none, read_embedding, typed
from genovi_cli.console import Display, reporting


def ancestry(
    ctx: typer.Context,
    embeddings: Annotated[
        list[Path],
        typer.Argument(
            metavar="EMBEDDING...", show_default=False, help="Files *.embedding.tsv; several are drawn side by side."
        ),
    ],
    out: opt.Figure,
    labels: opt.OptionalLabels = None,
    color: opt.Color = None,
    group: opt.Group = None,
    spread: Annotated[
        bool, typer.Option("--spread", help="Draw one posterior standard deviation around every sample.")
    ] = False,
    same_axes: Annotated[
        bool, typer.Option("--same-axes", help="Give all panels the same limits, as suits embeddings of one model.")
    ] = False,
    force: opt.Force = False,
) -> None:
    """Draw embeddings: a hue for each group, a shade and marker for each population.

    Without --labels, samples are coloured by the model's clusters. The command line is kept in the figure's metadata.
    """
    from genovi.plotting.figures import check_suffix

    check_suffix(out)
    from genovi.plotting.ancestry import plot_ancestry

    with reporting(Display()):
        summary = plot_ancestry(
            [read_embedding(path) for path in embeddings],
            out,
            labels=labels_or_none(labels),
            color=color,
            group=group,
            spread=spread,
            same_axes=same_axes,
            force=force,
            command=typed(ctx),
        )
    for line in summary.lines():
        typer.echo(line)


def training(
    ctx: typer.Context,
    run: Annotated[Path, typer.Argument(metavar="RUN", show_default=False, help="Folder that genovi train wrote.")],
    out: opt.Figure,
    force: opt.Force = False,
) -> None:
    """Draw the bound and its terms over the epochs of a training run."""
    from genovi.plotting.training import plot_training

    with reporting(Display()):
        written = plot_training(run, out, force=force, command=typed(ctx))
    typer.echo(f"{written}: training history of {run}")
