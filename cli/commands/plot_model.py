"""``genovi plot latent`` and ``genovi plot posterior``: figures of a model itself. They load it."""

from __future__ import annotations

from typing import Annotated

import typer

from genovi_cli import options as opt
from genovi_cli.commands.common import typed
from genovi_cli.console import Display, reporting


def latent(
    ctx: typer.Context,
    run: opt.Run,
    out: opt.Figure,
    field: Annotated[
        str,
        typer.Option("--field", metavar="density|PC1|ID|CHROM:POS", help="What to draw over the plane."),
    ] = "density",
    no_samples: Annotated[bool, typer.Option("--no-samples", help="Leave the training samples out.")] = False,
    style: opt.Style = None,
    size: opt.Size = "page",
    force: opt.Force = False,
) -> None:
    """Draw a model's latent plane: its prior, a decoded component, or the frequency of an allele."""
    from genovi.plotting.figures import Sheet, check_suffix

    check_suffix(out)
    sheet = Sheet.parse(size, style)
    from genovi.portraits.latent import plot_latent

    with reporting(Display()):
        summary = plot_latent(
            run, out, field=field, samples=not no_samples, sheet=sheet, force=force, command=typed(ctx)
        )
    for line in summary.lines():
        typer.echo(line)


def posterior(
    ctx: typer.Context,
    run: opt.Run,
    inputs: opt.Inputs,
    sample: Annotated[str, typer.Option("--sample", metavar="ID", show_default=False, help="The sample.")],
    out: opt.Figure,
    style: opt.Style = None,
    size: opt.Size = "page",
    force: opt.Force = False,
) -> None:
    """Draw one sample's posterior: draws of the model's chain beside the exact one, and what genovi reports of it."""
    from genovi.plotting.figures import Sheet, check_suffix

    check_suffix(out)
    sheet = Sheet.parse(size, style)
    from genovi.portraits.posterior import plot_posterior

    with reporting(Display()):
        summary = plot_posterior(run, inputs, sample, out, sheet=sheet, force=force, command=typed(ctx))
    for line in summary.lines():
        typer.echo(line)
