"""``genovi card``: a model card of a trained model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from genovi.files import atomic_path, check_writable
from genovi_cli import options as opt
from genovi_cli.commands.common import labels_or_none
from genovi_cli.console import Display, reporting


def card(
    run: opt.RunOrExport,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="CARD.md", show_default=False, help="File to write. [default: the screen]"),
    ] = None,
    labels: opt.OptionalLabels = None,
    color: opt.Color = None,
    force: opt.Force = False,
) -> None:
    """Describe a trained model for whoever is to use it: panel, quality control, metrics, limits. Markdown.

    With --labels it counts the training samples by population, which needs the embedding of the run.
    """
    if out is not None:
        check_writable(out, force)
    from genovi.card import model_card

    with reporting(Display()):
        text = model_card(run, labels_or_none(labels), color)
    if out is None:
        typer.echo(text, nl=False)
        return
    with atomic_path(out) as temporary:
        temporary.write_text(text, encoding="utf-8")
    typer.echo(f"wrote {out}")
